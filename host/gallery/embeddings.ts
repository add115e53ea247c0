/**
 * Embeddings of pictures in the gallery's index, by the picture's content and the encoder. They are a cache as all of it
 * is: a picture that was moved or renamed keeps its own, and whatever is lost can be computed again.
 */
import { invariant } from '../../model/contract/errors.ts'
import type { Database, Row } from './database.ts'

/** Made where it is missing, so that an index without it stays as it is. */
const schema = `
CREATE TABLE IF NOT EXISTS embeddings (
  key TEXT NOT NULL,
  encoder TEXT NOT NULL,
  vector BLOB NOT NULL,
  PRIMARY KEY (key, encoder)
) WITHOUT ROWID;
`

export class EmbeddingIndex {
  readonly #database: Database

  constructor(database: Database) {
    this.#database = database
    database.exec(schema)
  }

  /**
   * @param key of the picture's content, see `pictureKey`
   * @param encoder whatever tells encoders apart: its digest, and how it was asked
   */
  get(key: string, encoder: string): Float32Array | undefined {
    const row = this.#database
      .prepare('SELECT vector FROM embeddings WHERE key = ? AND encoder = ?')
      .get(key, encoder) as Row | undefined
    const bytes = row?.['vector']
    if (!(bytes instanceof Uint8Array) || bytes.byteLength === 0 || bytes.byteLength % 4 !== 0)
      return undefined
    // A copy: where SQLite puts bytes need not be aligned.
    return new Float32Array(bytes.slice().buffer)
  }

  put(key: string, encoder: string, vector: Float32Array): void {
    invariant(vector.length > 0, 'an embedding')
    this.#database
      .prepare('INSERT OR REPLACE INTO embeddings (key, encoder, vector) VALUES (?, ?, ?)')
      .run(key, encoder, new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength))
  }

  /** How many embeddings of an encoder there are. */
  count(encoder: string): number {
    const row = this.#database.prepare('SELECT count(*) AS n FROM embeddings WHERE encoder = ?').get(encoder)
    return Number((row as Row)['n'])
  }

  /** Drops embeddings of pictures that the gallery no longer knows. @returns how many */
  prune(): number {
    return Number(
      this.#database.prepare('DELETE FROM embeddings WHERE key NOT IN (SELECT key FROM pictures)').run()
        .changes,
    )
  }
}
