/**
 * The gallery's index: SQLite, behind node:sqlite's interface, so that Node's own can take its place. The index is a
 * cache of what stands in the pictures (D8): a file that is damaged, of another version or not ours is moved
 * aside and built anew, never migrated and never mended.
 */
import { mkdir, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { DatabaseSync } from '@photostructure/sqlite'
import { AttuneError } from '../../model/contract/errors.ts'

/** Raised with every change of the tables: an index of another version is built anew. */
export const indexVersion = 1
/** "Attn": tells our file from any other database. */
const applicationId = 0x4174746e

/** A value as SQLite gives and takes it. */
export type SqlValue = string | number | bigint | null | Uint8Array
export type Row = Readonly<Record<string, SqlValue>>

/** The part of node:sqlite that is used. */
export interface Database {
  exec(sql: string): void
  prepare(sql: string): Statement
  close(): void
}

export interface Statement {
  run(...values: SqlValue[]): { changes: number | bigint; lastInsertRowid: number | bigint }
  get(...values: SqlValue[]): unknown
  all(...values: SqlValue[]): unknown[]
}

const schema = `
CREATE TABLE pictures (
  id INTEGER PRIMARY KEY,
  path TEXT NOT NULL UNIQUE,
  folder TEXT NOT NULL,
  name TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  changed REAL NOT NULL,
  created REAL NOT NULL,
  key TEXT NOT NULL,
  width INTEGER NOT NULL,
  height INTEGER NOT NULL,
  tool TEXT,
  prompt TEXT NOT NULL,
  negative TEXT NOT NULL,
  recipe TEXT,
  problem TEXT,
  favourite INTEGER NOT NULL,
  state TEXT NOT NULL
);
CREATE INDEX pictures_created ON pictures (created, id, state, favourite);
CREATE INDEX pictures_name ON pictures (name COLLATE NOCASE, id, state, favourite);
CREATE INDEX pictures_favourite ON pictures (favourite, created, id, state);
CREATE INDEX pictures_folder ON pictures (folder);
CREATE INDEX pictures_key ON pictures (key);
CREATE TABLE settings (
  picture INTEGER NOT NULL REFERENCES pictures (id) ON DELETE CASCADE,
  key TEXT NOT NULL,
  text TEXT NOT NULL,
  number REAL,
  PRIMARY KEY (picture, key)
) WITHOUT ROWID;
CREATE INDEX settings_text ON settings (key, text COLLATE NOCASE, picture);
CREATE INDEX settings_number ON settings (key, number, picture);
CREATE VIRTUAL TABLE words USING fts5 (
  prompt, negative, name, model, content='', contentless_delete=1,
  tokenize="unicode61 remove_diacritics 2", prefix='2 3'
);
`

export interface OpenedIndex {
  readonly database: Database
  /** Whether it is empty because it was just made. */
  readonly isNew: boolean
  /** Why an older file was set aside, as a sentence to show. */
  readonly notice?: string
}

/**
 * Opens or makes the index.
 * @param now names the file that is set aside
 */
export async function openIndex(path: string, now: () => Date): Promise<OpenedIndex> {
  await mkdir(dirname(path), { recursive: true })
  try {
    return tryOpen(path)
  } catch (error) {
    if (!isIndexDamage(error)) throw indexError(path, error)
    const aside = await setAside(path, now())
    const opened = tryOpen(path)
    const why = error instanceof OtherVersion ? 'was made by another version' : 'was damaged'
    return {
      ...opened,
      notice: `The gallery's index ${why} and is built anew from the pictures; nothing is lost. The old file is ${aside}.`,
    }
  }
}

function tryOpen(path: string): OpenedIndex {
  const database: Database = new DatabaseSync(path)
  try {
    // A lock by another process is waited for; a cache need not survive a power cut to the last row.
    database.exec('PRAGMA busy_timeout = 2000; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL')
    database.exec('PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16000')
    const id = pragma(database, 'application_id')
    const version = pragma(database, 'user_version')
    const tables = database.prepare('SELECT count(*) AS n FROM sqlite_schema').get() as { n: number }
    if (id === applicationId && version === indexVersion) {
      // Touches the roots of all tables: a file that was cut off shows here, other damage where it is met.
      database.prepare('SELECT max(id) FROM pictures').get()
      database.prepare('SELECT rowid FROM words LIMIT 1').get()
      database.prepare('SELECT key FROM settings LIMIT 1').get()
      return { database, isNew: false }
    }
    if (tables.n > 0) throw new OtherVersion()
    database.exec(`BEGIN; ${schema}
      PRAGMA application_id = ${applicationId}; PRAGMA user_version = ${indexVersion}; COMMIT`)
    return { database, isNew: true }
  } catch (error) {
    closeQuietly(database)
    throw error
  }
}

class OtherVersion extends Error {}

function pragma(database: Database, name: string): number {
  const row = database.prepare(`PRAGMA ${name}`).get() as Row | undefined
  return Number(row?.[name] ?? 0)
}

/** SQLITE_CORRUPT, _NOTADB, _FORMAT, _IOERR_SHORT_READ, and tables that should be there and are not (SQLITE_ERROR). */
export function isIndexDamage(error: unknown): boolean {
  if (error instanceof OtherVersion) return true
  const whole = error instanceof Error && 'errcode' in error ? Number(error.errcode) : -1
  const code = whole & 0xff
  if (code === 11 || code === 24 || code === 26 || whole === 522) return true
  return (
    code === 1 && error instanceof Error && /no such table|malformed|vtable constructor/i.test(error.message)
  )
}

/** Moves the index and its companions out of the way. */
export async function setAside(path: string, now: Date): Promise<string> {
  const aside = `${path}.broken-${now.toISOString().replaceAll(/[:.]/g, '-')}`
  await rename(path, aside).catch(() => rm(path, { force: true }))
  // A log of another file's pages would damage the new one.
  for (const end of ['-wal', '-shm', '-journal']) await rm(`${path}${end}`, { force: true })
  return aside
}

export function closeQuietly(database: Database): void {
  try {
    // Closing alone would leave the log and its lock until the statements are collected: this version of the package
    // has no way to end them. Leaving WAL writes everything into the file and lets go.
    database.exec('PRAGMA journal_mode = DELETE')
  } catch {
    // A damaged file is moved aside with its log.
  }
  try {
    database.close()
  } catch {
    // A damaged file may not even close.
  }
}

/** What SQLite says, as our error. */
export function indexError(path: string, error: unknown): AttuneError {
  if (error instanceof AttuneError) return error
  const message = error instanceof Error ? error.message : String(error)
  return new AttuneError(
    'bad-file',
    `The gallery's index ${path} cannot be used: ${message}.`,
    'Check that the disk has space and that no other Attune is running; the pictures themselves are unharmed.',
    { cause: error },
  )
}
