/** What can be set, with its limits and its defaults. Every key has a default; a wrong value costs that key alone. */
import { homedir } from 'node:os'
import { join } from 'node:path'
import { settingsShape } from '../../model/contract/settings.ts'
import { type SettingsDefinition, SettingsStore, type SettingsStoreOptions } from './store.ts'

/** Raised when a key changes its meaning; then a migration is added. New keys need neither. */
export const settingsVersion = 1

export const settingsDefinition: SettingsDefinition<typeof settingsShape> = {
  shape: settingsShape,
  version: settingsVersion,
  migrations: [],
}

export type Settings = SettingsStore<typeof settingsShape>
export type SettingsValues = Settings['values']

/** Opens the user's settings. */
export function openSettings(options: SettingsStoreOptions): Promise<Settings> {
  return SettingsStore.open(settingsDefinition, options)
}

/** Where this user's settings, index and queue lie. */
export function dataFolder(env: Readonly<Record<string, string | undefined>> = process.env): string {
  if (process.platform === 'win32')
    return join(env['APPDATA'] ?? join(homedir(), 'AppData', 'Roaming'), 'Attune')
  if (process.platform === 'darwin') return join(homedir(), 'Library', 'Application Support', 'Attune')
  return join(env['XDG_CONFIG_HOME'] || join(homedir(), '.config'), 'attune')
}

export { settingsShape }
