/**
 * Styles and wildcard lists, as the host keeps them beside its settings: every window sees the same. A change holds here
 * at once; when the host cannot keep it, that is said and the change stays until the window closes.
 */
import { create } from 'zustand'
import { z } from 'zod'
import { type Preset, type Styles, type StylesPatch, stylesShape } from '../../../model/contract/styles.ts'
import { callHost, host } from '../../host/client.ts'
import { recordOf, tell } from '../../state/ui.ts'
import { strings } from '../../strings/index.ts'

export { type Preset, presetSchema } from '../../../model/contract/styles.ts'

/** A file of styles and lists, for another machine. */
export const keptSchema = z.object({
  format: z.literal('attune-styles'),
  version: z.literal(1),
  ...stylesShape,
})

/** Where they were before the host kept them. */
const oldKey = 'attune.styles'

export const useKept = create<Styles>(() => ({ presets: [], lists: {} }))

/** Reads them and follows them from now on. What the page kept in earlier versions goes to the host, once. */
export async function followStyles(): Promise<void> {
  host().subscribe(event => {
    if (event.type === 'styles') useKept.setState(event.styles)
  })
  try {
    useKept.setState(await callHost('styles.get'))
  } catch (error) {
    notKept(error)
    return
  }
  const old = oldKept()
  if (!old) return
  const { presets, lists } = useKept.getState()
  const known = new Set(presets.map(({ name }) => name))
  const isKept = await keep({
    presets: sorted([...presets, ...old.presets.filter(({ name }) => !known.has(name))]),
    lists: { ...old.lists, ...lists },
  })
  if (isKept) localStorage.removeItem(oldKey)
}

/** What cannot be read is left alone: a newer version may have written it. */
function oldKept(): Styles | undefined {
  try {
    const parsed = keptSchema.safeParse(JSON.parse(localStorage.getItem(oldKey) ?? 'null'))
    return parsed.success ? parsed.data : undefined
  } catch {
    return undefined
  }
}

const sorted = (presets: readonly Preset[]): Preset[] =>
  presets.toSorted((a, b) => a.name.localeCompare(b.name))

/** One change after the other: the host's answer to an earlier one must not undo a later one. */
let keeping: Promise<unknown> = Promise.resolve()

/** @returns whether the host keeps it */
function keep(patch: StylesPatch): Promise<boolean> {
  const { presets, lists } = patch
  useKept.setState({ ...(presets && { presets }), ...(lists && { lists }) })
  const done = keeping
    .then(() => callHost('styles.set', { patch }))
    .then(
      () => true,
      (error: unknown) => notKept(error),
    )
  keeping = done
  return done
}

function notKept(error: unknown): false {
  const { message, remedy } = recordOf(error)
  tell({
    tone: 'problem',
    text: strings().presets.notKept,
    detail: [message, remedy].filter(Boolean).join(' '),
  })
  return false
}

/** Adds a style, or replaces the one of its name. */
export function savePreset(preset: Preset): Promise<boolean> {
  const { presets } = useKept.getState()
  return keep({ presets: sorted([...presets.filter(({ name }) => name !== preset.name), preset]) })
}

export function removePreset(name: string): Promise<boolean> {
  return keep({ presets: useKept.getState().presets.filter(each => each.name !== name) })
}

/** @param before its name until now, when it is renamed */
export function saveList(name: string, entries: readonly string[], before = name): Promise<boolean> {
  return keep({ lists: { ...withoutList(before), [name]: [...entries] } })
}

export function removeList(name: string): Promise<boolean> {
  return keep({ lists: withoutList(name) })
}

function withoutList(name: string): Styles['lists'] {
  return Object.fromEntries(Object.entries(useKept.getState().lists).filter(([each]) => each !== name))
}

/** Everything as a file's text. */
export function exportKept(): string {
  const { presets, lists } = useKept.getState()
  return `${JSON.stringify({ format: 'attune-styles', version: 1, presets, lists }, undefined, 2)}\n`
}

/**
 * Adds a file's styles and lists to those that are here; equal names are replaced.
 * @returns how many came; undefined when it is not such a file
 */
export async function importKept(
  file: string,
): Promise<{ readonly presets: number; readonly lists: number; readonly isKept: boolean } | undefined> {
  let json: unknown
  try {
    json = JSON.parse(file)
  } catch {
    return undefined
  }
  const parsed = keptSchema.safeParse(json)
  if (!parsed.success) return undefined
  const { presets, lists } = parsed.data
  const names = new Set(presets.map(({ name }) => name))
  const now = useKept.getState()
  const isKept = await keep({
    presets: sorted([...now.presets.filter(({ name }) => !names.has(name)), ...presets]),
    lists: { ...now.lists, ...lists },
  })
  return { presets: presets.length, lists: Object.keys(lists).length, isKept }
}
