/** Styles and wildcard lists: a file of their own beside the settings, since they grow and are shared between machines. */
import { AttuneError } from '../../model/contract/errors.ts'
import { type Styles, styleLimits, type StylesPatch, stylesShape } from '../../model/contract/styles.ts'
import { type SettingsDefinition, SettingsStore } from './store.ts'

const definition: SettingsDefinition<typeof stylesShape> = { shape: stylesShape, version: 1, migrations: [] }

export type StylesStore = SettingsStore<typeof stylesShape>

/** Opens the user's styles. Never fails: whatever is wrong with the file becomes a notice. */
export function openStyles(options: {
  readonly path: string
  readonly now?: () => Date
}): Promise<StylesStore> {
  return SettingsStore.open(definition, { ...options, what: 'styles', byteLimit: 2 * styleLimits.bytes })
}

/**
 * Changes styles, lists, or both.
 * @throws AttuneError `bad-argument` for more than is kept; `bad-file` when the file cannot be written: the change then
 *   holds until the host ends, and the caller says so
 */
export async function updateStyles(store: StylesStore, patch: StylesPatch): Promise<Styles> {
  const { presets, lists } = patch
  const next = { ...store.values, ...(presets && { presets }), ...(lists && { lists }) }
  if (Buffer.byteLength(JSON.stringify(next)) > styleLimits.bytes) {
    throw new AttuneError(
      'bad-argument',
      `Styles and lists together may have ${styleLimits.bytes >> 20} MB.`,
      'Delete lists that are no longer used, or divide the new one.',
    )
  }
  const told = store.notices.length
  await store.update({ ...(presets && { presets }), ...(lists && { lists }) })
  const notice = store.isWritable ? store.notices[told] : (store.notices.at(-1) ?? 'They cannot be written.')
  if (notice !== undefined)
    throw new AttuneError('bad-file', notice, 'Free some space, or export them to a file.')
  return store.values
}
