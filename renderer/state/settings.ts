/** The settings as the host keeps them; changes are shown at once and put back when the host refuses them. */
import { create } from 'zustand'
import { settingsSchema, type SettingsValues } from '../../model/contract/settings.ts'
import { callHost, host } from '../host/client.ts'
import { chooseLanguage } from '../strings/index.ts'
import { reportError } from './ui.ts'

interface SettingsState {
  readonly values: SettingsValues
  readonly loaded: boolean
}

export const useSettings = create<SettingsState>(() => ({ values: settingsSchema.parse({}), loaded: false }))

export function settings(): SettingsValues {
  return useSettings.getState().values
}

/** Reads the settings and follows them from now on. */
export async function loadSettings(): Promise<void> {
  try {
    take(await callHost('settings.get'))
  } catch (error) {
    take(settings())
    reportError(error)
  }
  host().subscribe(event => {
    if (event.type === 'settings') take(event.settings)
  })
  matchMedia('(prefers-color-scheme: light)').addEventListener('change', () => dress(settings()))
}

export async function changeSettings(patch: Partial<SettingsValues>): Promise<void> {
  const before = settings()
  take({ ...before, ...patch })
  try {
    take(await callHost('settings.set', { patch }))
  } catch (error) {
    take(before)
    reportError(error)
  }
}

function take(values: SettingsValues): void {
  useSettings.setState({ values, loaded: true })
  dress(values)
}

/** The theme that is seen now. */
export function shownTheme(values: SettingsValues = settings()): 'dark' | 'light' {
  if (values.theme !== 'system') return values.theme
  return matchMedia('(prefers-color-scheme: light)').matches ? 'light' : 'dark'
}

/** Theme, motion and language of the page. */
function dress(values: SettingsValues): void {
  const { dataset } = document.documentElement
  dataset['theme'] = shownTheme(values)
  const motion = { on: 'reduced', off: 'full', system: undefined }[values.reducedMotion]
  if (motion) dataset['motion'] = motion
  else delete dataset['motion']
  chooseLanguage(values.language)
}
