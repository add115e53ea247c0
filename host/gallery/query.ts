/** What can be asked of the gallery, and the SQL that asks it. Everything from outside is a bound value. */
import { z } from 'zod'
import { AttuneError } from '../../model/contract/errors.ts'
import type { SqlValue } from './database.ts'

const bound = z.number().refine(Number.isFinite)

/** A condition on one setting: its text, or a range of its number. */
const settingFilterSchema = z.strictObject({
  /** As `GalleryPicture.settings` names it: `steps`, `sampler`, `model`, or any unknown one. */
  key: z.string().min(1).max(200),
  /** Equal to one of these, whatever the case. */
  is: z.array(z.string().max(1000)).max(100).optional(),
  atLeast: bound.optional(),
  atMost: bound.optional(),
})

export const galleryQuerySchema = z.strictObject({
  /** Words that must occur in the prompt, the negative prompt, the file's name or the model's; the last may be begun. */
  text: z.string().max(2000).optional(),
  settings: z.array(settingFilterSchema).max(32).optional(),
  tools: z.array(z.string().max(100)).max(50).optional(),
  favourite: z.boolean().optional(),
  /** Only pictures in this folder, as `Gallery.folders` names it. */
  folder: z.string().max(4096).optional(),
  /** Milliseconds since 1970. */
  from: bound.optional(),
  to: bound.optional(),
  /** Files that have gone: they are listed unless this is false. */
  missing: z.boolean().optional(),
  sort: z.enum(['newest', 'oldest', 'name', 'largest']).default('newest'),
  offset: z.int().min(0).max(10_000_000).default(0),
  limit: z.int().min(1).max(1000).default(200),
})

export type GalleryQuery = z.input<typeof galleryQuerySchema>
export type CheckedQuery = z.output<typeof galleryQuerySchema>

/** @throws AttuneError `bad-argument` naming the first thing that is wrong */
export function parseQuery(input: unknown): CheckedQuery {
  const parsed = galleryQuerySchema.safeParse(input)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  throw new AttuneError(
    'bad-argument',
    `The gallery cannot be searched: ${issue?.path.join('.') || 'query'}: ${issue?.message ?? 'unknown'}.`,
    'Change the search.',
  )
}

export interface SqlPart {
  readonly sql: string
  readonly values: readonly SqlValue[]
}

/** The condition of a query, over `pictures`. */
export function conditionOf(query: CheckedQuery): SqlPart {
  const parts: string[] = []
  const values: SqlValue[] = []
  const add = (sql: string, ...given: SqlValue[]) => {
    parts.push(sql)
    values.push(...given)
  }
  if (query.missing === false) add("state = 'here'")
  else add("state <> 'deleting'")
  const words = matchOf(query.text ?? '')
  if (words !== undefined) add('id IN (SELECT rowid FROM words WHERE words MATCH ?)', words)
  if (query.favourite !== undefined) add('favourite = ?', query.favourite ? 1 : 0)
  if (query.folder !== undefined) add('folder = ?', query.folder)
  if (query.tools?.length) add(`tool IN (${query.tools.map(() => '?').join(', ')})`, ...query.tools)
  if (query.from !== undefined) add('created >= ?', query.from)
  if (query.to !== undefined) add('created <= ?', query.to)
  for (const filter of query.settings ?? []) {
    const inner: string[] = ['key = ?']
    const innerValues: SqlValue[] = [filter.key]
    if (filter.is) {
      // An empty list is met by nothing.
      inner.push(`text COLLATE NOCASE IN (${filter.is.map(() => '?').join(', ')})`)
      innerValues.push(...filter.is)
    }
    if (filter.atLeast !== undefined) {
      inner.push('number >= ?')
      innerValues.push(filter.atLeast)
    }
    if (filter.atMost !== undefined) {
      inner.push('number <= ?')
      innerValues.push(filter.atMost)
    }
    add(`id IN (SELECT picture FROM settings WHERE ${inner.join(' AND ')})`, ...innerValues)
  }
  return { sql: parts.join(' AND '), values }
}

/**
 * Words as FTS5 takes them: each quoted, so that none is an operator; the last as a beginning, so that results come
 * while it is typed. Undefined when there is no word.
 */
export function matchOf(text: string): string | undefined {
  const words = text.match(/[\p{L}\p{N}\p{M}]+/gu)?.slice(0, 32)
  if (!words?.length) return undefined
  const endsInWord = /[\p{L}\p{N}\p{M}]$/u.test(text)
  return words.map((word, i) => `"${word}"${endsInWord && i === words.length - 1 ? '*' : ''}`).join(' AND ')
}

export const orders: Readonly<Record<CheckedQuery['sort'], string>> = {
  newest: 'created DESC, id DESC',
  oldest: 'created, id',
  name: 'name COLLATE NOCASE, id',
  largest: 'width * height DESC, id DESC',
}
