/**
 * The search field's language: words look everywhere, `key:value` asks for a setting. The gallery's index decides what a
 * word is; here only settings are taken out of the text.
 */
import type { HostGalleryQuery } from '../../../model/contract/host-api.ts'

export type SettingFilter = NonNullable<HostGalleryQuery['settings']>[number]

export const periods = ['any', 'today', 'week', 'month', 'year'] as const
export type Period = (typeof periods)[number]

export interface GalleryFilter {
  readonly text: string
  readonly favourite: boolean
  /** Values chosen from the chips, by the setting's name in the index. */
  readonly chosen: Readonly<Record<string, readonly string[]>>
  readonly period: Period
  readonly sort: NonNullable<HostGalleryQuery['sort']>
}

export const noFilter: GalleryFilter = {
  text: '',
  favourite: false,
  chosen: {},
  period: 'any',
  sort: 'newest',
}

/** Names that people type for what the index calls otherwise. */
const otherNames: Readonly<Record<string, string>> = {
  cfg: 'guidance',
  scale: 'guidance',
  program: 'tool',
  clipskip: 'clip skip',
  hash: 'model hash',
}

const number = String.raw`-?\d+(?:\.\d+)?`
/** `key:value`, `"a key":"a value"`, `key>=3`; the key begins a word. */
const setting = /(?<=^|\s)(?:"([^"]{1,200})"|([\p{L}][\p{L}\p{N}_-]*))(:|>=|<=|>|<)(?:"([^"]*)"|([^\s"]+))/gu
const range = new RegExp(`^(${number})\\.\\.(${number})$`)
const plainNumber = new RegExp(`^${number}$`)

/** Takes the settings out of a search. */
export function readSearch(search: string): { readonly text: string; readonly settings: SettingFilter[] } {
  const settings: SettingFilter[] = []
  const text = search.replaceAll(
    setting,
    (whole, quoted: string, bare: string, sign: string, q: string, b: string) => {
      const typed = (quoted ?? bare).toLowerCase()
      const key = quoted ?? otherNames[typed] ?? typed
      const value = q ?? b
      const filter = filterOf(key, sign, value)
      if (!filter || settings.length >= 24) return whole
      settings.push(filter)
      return ' '
    },
  )
  return { text: text.replaceAll(/\s+/g, ' ').trim(), settings }
}

function filterOf(key: string, sign: string, value: string): SettingFilter | undefined {
  if (sign !== ':') {
    if (!plainNumber.test(value)) return undefined
    // The index has no "less than": a hair is enough for numbers that people type.
    const bound = Number(value)
    const hair = Math.max(1e-9, Math.abs(bound) * 1e-9)
    if (sign === '>=') return { key, atLeast: bound }
    if (sign === '<=') return { key, atMost: bound }
    return sign === '>' ? { key, atLeast: bound + hair } : { key, atMost: bound - hair }
  }
  const between = range.exec(value)
  if (between) return { key, atLeast: Number(between[1]), atMost: Number(between[2]) }
  // Seeds have 64 bits, more than a number holds; 4 and 4.0 are one guidance.
  if (key !== 'seed' && plainNumber.test(value)) return { key, atLeast: Number(value), atMost: Number(value) }
  return value === '' ? undefined : { key, is: [value] }
}

const day = 86_400_000

/** The first moment of a period. */
function beginOf(period: Period, now: Date): number | undefined {
  const midnight = new Date(now.getFullYear(), now.getMonth(), now.getDate()).getTime()
  if (period === 'today') return midnight
  if (period === 'week') return midnight - 6 * day
  if (period === 'month') return midnight - 29 * day
  return period === 'year' ? new Date(now.getFullYear(), 0, 1).getTime() : undefined
}

/** What the gallery is asked for. */
export function queryOf(filter: GalleryFilter, now = new Date()): HostGalleryQuery {
  const { text, settings } = readSearch(filter.text)
  for (const [key, is] of Object.entries(filter.chosen))
    if (is.length > 0) settings.push({ key, is: [...is] })
  const from = beginOf(filter.period, now)
  return {
    sort: filter.sort,
    ...(text !== '' && { text }),
    ...(settings.length > 0 && { settings: settings.slice(0, 32) }),
    ...(filter.favourite && { favourite: true }),
    ...(from !== undefined && { from }),
  }
}

export function isFiltered(filter: GalleryFilter): boolean {
  const { sort: _sort, ...rest } = queryOf(filter)
  return Object.keys(rest).length > 0
}
