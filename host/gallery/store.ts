/** The rows of the index: writing what was read of pictures, and asking for it. Synchronous, and quick at each call. */
import { basename } from 'node:path'
import type { Recipe } from '../../model/image/foreign-metadata/index.ts'
import type { Database, Row, SqlValue, Statement } from './database.ts'
import type { PictureFacts } from './picture-file.ts'
import { type CheckedQuery, conditionOf, orders } from './query.ts'

/** A picture as lists show it. */
export interface GalleryPicture {
  readonly id: number
  readonly path: string
  readonly name: string
  readonly folder: string
  readonly bytes: number
  readonly changed: number
  readonly created: number
  readonly key: string
  /** 0 where the file cannot be read. */
  readonly width: number
  readonly height: number
  readonly tool?: string
  readonly prompt: string
  readonly negativePrompt: string
  readonly problem?: string
  readonly favourite: boolean
  /** The file has gone from its place; its recipe is still known. */
  readonly missing: boolean
}

export interface KnownFile {
  readonly id: number
  readonly path: string
  readonly bytes: number
  readonly changed: number
  readonly state: string
}

export interface Facet {
  readonly value: string
  readonly count: number
}

const settingLimits = { count: 200, text: 500, kept: 2_000 } as const

const columns =
  'id, path, folder, name, bytes, changed, created, key, width, height, tool, prompt, negative, problem, favourite, state'

export class Store {
  readonly #database: Database
  readonly #statements = new Map<string, Statement>()

  constructor(database: Database) {
    this.#database = database
  }

  #prepare(sql: string): Statement {
    let statement = this.#statements.get(sql)
    if (!statement) {
      // Searches of many shapes must not fill the memory.
      if (this.#statements.size > 200) this.#statements.clear()
      statement = this.#database.prepare(sql)
      this.#statements.set(sql, statement)
    }
    return statement
  }

  /** All or nothing. */
  transaction<T>(action: () => T): T {
    this.#database.exec('BEGIN IMMEDIATE')
    try {
      const result = action()
      this.#database.exec('COMMIT')
      return result
    } catch (error) {
      try {
        this.#database.exec('ROLLBACK')
      } catch {
        // The first error says more.
      }
      throw error
    }
  }

  /** Writes a picture, replacing what was known of its path. */
  put(path: string, folder: string, facts: PictureFacts, isFavourite: boolean): number {
    const { recipe } = facts
    const known = this.#prepare('SELECT id FROM pictures WHERE path = ?').get(path) as Row | undefined
    if (known) this.remove(Number(known['id']))
    const name = basename(path)
    const { lastInsertRowid } = this.#prepare(
      `INSERT INTO pictures (${columns.replace('problem', 'recipe, problem')})
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'here')`,
    ).run(
      // A picture keeps its number while the window shows it.
      known ? (known['id'] as SqlValue) : null,
      path,
      folder,
      name,
      facts.bytes,
      facts.changed,
      facts.created,
      facts.key,
      facts.width,
      facts.height,
      recipe?.tool ?? null,
      recipe?.prompt ?? '',
      recipe?.negativePrompt ?? '',
      recipe ? JSON.stringify(shortened(recipe)) : null,
      facts.problem ?? null,
      isFavourite ? 1 : 0,
    )
    const id = Number(lastInsertRowid)
    this.#prepare('INSERT INTO words (rowid, prompt, negative, name, model) VALUES (?, ?, ?, ?, ?)').run(
      id,
      recipe?.prompt ?? '',
      recipe?.negativePrompt ?? '',
      name,
      recipe?.model?.name ?? '',
    )
    const insert = this.#prepare(
      'INSERT OR IGNORE INTO settings (picture, key, text, number) VALUES (?, ?, ?, ?)',
    )
    for (const [key, text, number] of settingsOf(facts)) insert.run(id, key, text, number)
    return id
  }

  remove(id: number): void {
    this.#prepare('DELETE FROM words WHERE rowid = ?').run(id)
    this.#prepare('DELETE FROM settings WHERE picture = ?').run(id)
    this.#prepare('DELETE FROM pictures WHERE id = ?').run(id)
  }

  setState(id: number, state: 'here' | 'missing' | 'deleting'): void {
    this.#prepare('UPDATE pictures SET state = ? WHERE id = ?').run(state, id)
  }

  setFavourite(key: string, isFavourite: boolean): void {
    this.#prepare('UPDATE pictures SET favourite = ? WHERE key = ?').run(isFavourite ? 1 : 0, key)
  }

  /** Files of a folder in pages: a hundred thousand rows at once would stop everything else. */
  known(folder: string, afterId: number, limit: number): KnownFile[] {
    return this.#prepare(
      'SELECT id, path, bytes, changed, state FROM pictures WHERE folder = ? AND id > ? ORDER BY id LIMIT ?',
    ).all(folder, afterId, limit) as KnownFile[]
  }

  /** Folders that pictures are known of. */
  folders(): string[] {
    return (this.#prepare('SELECT DISTINCT folder FROM pictures').all() as Row[]).map(row =>
      String(row['folder']),
    )
  }

  forgetFolder(folder: string, limit: number): number {
    const rows = this.known(folder, 0, limit)
    for (const { id } of rows) this.remove(id)
    return rows.length
  }

  get(id: number): { picture: GalleryPicture; recipe?: Recipe } | undefined {
    const row = this.#prepare(`SELECT ${columns}, recipe FROM pictures WHERE id = ?`).get(id) as
      | Row
      | undefined
    if (!row) return undefined
    const recipe = row['recipe']
    return {
      picture: pictureOf(row),
      ...(typeof recipe === 'string' && { recipe: JSON.parse(recipe) as Recipe }),
    }
  }

  byKey(key: string): GalleryPicture[] {
    return (this.#prepare(`SELECT ${columns} FROM pictures WHERE key = ? LIMIT 100`).all(key) as Row[]).map(
      pictureOf,
    )
  }

  byPath(path: string): GalleryPicture | undefined {
    const row = this.#prepare(`SELECT ${columns} FROM pictures WHERE path = ?`).get(path) as Row | undefined
    return row && pictureOf(row)
  }

  page(query: CheckedQuery): { pictures: GalleryPicture[]; total: number } {
    const { sql, values } = conditionOf(query)
    const count = this.#prepare(`SELECT count(*) AS n FROM pictures WHERE ${sql}`).get(...values) as Row
    // Sorted by their numbers first: sorting whole rows would carry every prompt along.
    const order = orders[query.sort]
    const rows = this.#prepare(
      `SELECT ${columns} FROM pictures WHERE id IN
         (SELECT id FROM pictures WHERE ${sql} ORDER BY ${order} LIMIT ? OFFSET ?) ORDER BY ${order}`,
    ).all(...values, query.limit, query.offset) as Row[]
    return { pictures: rows.map(pictureOf), total: Number(count['n']) }
  }

  /** The values of a setting among the pictures that a query finds, the most frequent first. */
  facet(key: string, query: CheckedQuery, limit: number): Facet[] {
    const { sql, values } = conditionOf(query)
    const rows = this.#prepare(
      `SELECT text AS value, count(*) AS n FROM settings WHERE key = ? AND picture IN (SELECT id FROM pictures WHERE ${sql})
       GROUP BY text ORDER BY n DESC, text LIMIT ?`,
    ).all(key, ...values, limit) as Row[]
    return rows.map(row => ({ value: String(row['value']), count: Number(row['n']) }))
  }

  /** Names of settings that can be filtered by, the most frequent first. */
  settingKeys(limit: number): Facet[] {
    const rows = this.#prepare(
      'SELECT key AS value, count(*) AS n FROM settings GROUP BY key ORDER BY n DESC, key LIMIT ?',
    ).all(limit) as Row[]
    return rows.map(row => ({ value: String(row['value']), count: Number(row['n']) }))
  }
}

function pictureOf(row: Row): GalleryPicture {
  const text = (name: string) => String(row[name])
  const number = (name: string) => Number(row[name])
  return {
    id: number('id'),
    path: text('path'),
    name: text('name'),
    folder: text('folder'),
    bytes: number('bytes'),
    changed: number('changed'),
    created: number('created'),
    key: text('key'),
    width: number('width'),
    height: number('height'),
    ...(row['tool'] !== null && { tool: text('tool') }),
    prompt: text('prompt'),
    negativePrompt: text('negative'),
    ...(row['problem'] !== null && { problem: text('problem') }),
    favourite: row['favourite'] === 1,
    missing: row['state'] !== 'here',
  }
}

/** The recipe without long unknown values: a graph in every row would make the index larger than some galleries. */
function shortened(recipe: Recipe): Recipe {
  const unknown = Object.entries(recipe.unknown).filter(([, value]) => {
    const length = typeof value === 'string' ? value.length : (JSON.stringify(value)?.length ?? 0)
    return length <= settingLimits.kept
  })
  return { ...recipe, unknown: Object.fromEntries(unknown) }
}

/** What can be filtered by: the recipe's fields by their names, and unknown ones by theirs. */
function settingsOf(facts: PictureFacts): [key: string, text: string, number: number | null][] {
  const found: [string, string, number | null][] = []
  const add = (key: string, value: unknown) => {
    if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') return
    const text = String(value)
    if (text === '' || text.length > settingLimits.text || found.length >= settingLimits.count) return
    const number = typeof value === 'boolean' ? Number.NaN : Number(text)
    found.push([key, text, Number.isFinite(number) && text.trim() !== '' ? number : null])
  }
  add('width', facts.width)
  add('height', facts.height)
  const { recipe } = facts
  if (!recipe) return found
  add('tool', recipe.tool)
  add('steps', recipe.steps)
  add('guidance', recipe.guidanceScale)
  add('seed', recipe.seed)
  add('sampler', recipe.sampler ?? recipe.samplerName)
  add('model', recipe.model?.name)
  add('model hash', recipe.model?.hash)
  add('clip skip', recipe.clipSkip)
  add('strength', recipe.strength)
  add('dialect', recipe.dialect)
  for (const [key, value] of Object.entries(recipe.unknown)) add(key, value)
  return found
}
