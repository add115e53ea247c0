/**
 * What the index knows of one picture, read from its file without decoding it: size, texts, and a key of its
 * content. Only the chunks that hold texts are read; pixels are skipped.
 */
import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { readRecord, recordKeyword } from '../../model/contract/record.ts'
import { AttuneError } from '../../model/contract/errors.ts'
import { type Recipe, recipeFromTexts, readMetadataTexts } from '../../model/image/foreign-metadata/index.ts'
import { makeChunk, readPngHeader } from '../../model/image/png-text.ts'

export interface PictureFacts {
  readonly bytes: number
  /** Time of change in milliseconds, as the file system gives it. */
  readonly changed: number
  /** When it was made: by its record, else by the file's time. */
  readonly created: number
  /** Follows the picture through renaming and moving. */
  readonly key: string
  readonly width: number
  readonly height: number
  readonly recipe?: Recipe
  /** What is wrong with the file, or why it has no recipe. */
  readonly problem?: string
}

/** Bytes at either end that make the key; smaller files count whole. */
const keyBytes = 64 << 10
/** Bytes of text chunks that are read of one picture; Attune's records are kilobytes, ComfyUI's graphs up to megabytes. */
const textBytes = 8 << 20
const chunkLimit = 20_000
const signature = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)

/**
 * Reads a picture's facts. A file that is no PNG, or a damaged one, has a `problem` instead of a size: the gallery
 * shows it as unreadable and goes on.
 * @throws only when the file itself cannot be opened
 */
export async function readPictureFacts(path: string): Promise<PictureFacts> {
  const file = await open(path, 'r')
  try {
    const info = await file.stat()
    const base = { bytes: info.size, changed: info.mtimeMs, created: info.mtimeMs }
    if (!info.isFile()) return { ...base, key: '', width: 0, height: 0, problem: 'This is not a file.' }
    const head = await readAt(file, 0, Math.min(keyBytes, info.size))
    const key = await keyOf(file, info.size, head)
    try {
      const { width, height } = readPngHeader(head)
      const texts = await readMetadataTexts(await collectTexts(file, info.size, head))
      const { recipe, messages } = recipeFromTexts(texts)
      const record = texts.texts.find(entry => entry.keyword === recordKeyword)?.text
      return {
        ...base,
        created: createdOf(record) ?? base.created,
        key,
        width,
        height,
        ...(recipe && { recipe }),
        ...(!recipe && messages[0] !== undefined && { problem: messages[0] }),
      }
    } catch (error) {
      const problem = error instanceof AttuneError ? error.message : 'The picture cannot be read.'
      return { ...base, key, width: 0, height: 0, problem }
    }
  } finally {
    await file.close()
  }
}

/** The key of a file's content, as `PictureFacts` has it; of a picture of any format. */
export async function pictureKey(path: string): Promise<string> {
  const file = await open(path, 'r')
  try {
    const { size } = await file.stat()
    return await keyOf(file, size, await readAt(file, 0, Math.min(keyBytes, size)))
  } finally {
    await file.close()
  }
}

/**
 * A digest of the size, the first and the last 64 KiB: whole pictures of a thousand gigabytes need not be read, and
 * two pictures with equal texts and equal ends but different middles do not happen by themselves.
 */
async function keyOf(file: FileHandle, size: number, head: Uint8Array): Promise<string> {
  const hash = createHash('sha256').update(`${size}\n`).update(head)
  const rest = Math.min(keyBytes, size - head.length)
  if (rest > 0) hash.update(await readAt(file, size - rest, rest))
  return hash.digest('hex').slice(0, 40)
}

/** The signature, the header and all text chunks as a PNG without pixels, for the readers of PNG texts. */
async function collectTexts(file: FileHandle, size: number, head: Uint8Array): Promise<Uint8Array> {
  const parts: Uint8Array[] = [signature]
  let offset = signature.length
  let taken = 0
  for (let count = 0; offset + 12 <= size && count < chunkLimit; count++) {
    const start =
      offset + 8 <= head.length ? head.subarray(offset, offset + 8) : await readAt(file, offset, 8)
    if (start.length < 8) break
    const length = new DataView(start.buffer, start.byteOffset, 8).getUint32(0)
    const end = offset + 12 + length
    const type = String.fromCharCode(...start.subarray(4, 8))
    if (end > size || type === 'IEND') break
    if (wanted.has(type) && taken + length <= textBytes) {
      taken += length
      parts.push(end <= head.length ? head.subarray(offset, end) : await readAt(file, offset, end - offset))
    }
    offset = end
  }
  parts.push(makeChunk('IEND', new Uint8Array()))
  return Buffer.concat(parts)
}

const wanted = new Set(['IHDR', 'tEXt', 'zTXt', 'iTXt', 'eXIf'])

/** As many bytes as there are. */
async function readAt(file: FileHandle, offset: number, length: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(length)
  let done = 0
  while (done < length) {
    const { bytesRead } = await file.read(bytes, done, length - done, offset + done)
    if (bytesRead === 0) break
    done += bytesRead
  }
  return done === length ? bytes : bytes.subarray(0, done)
}

function createdOf(record: string | undefined): number | undefined {
  if (record === undefined) return undefined
  try {
    const time = Date.parse(readRecord(record).created)
    return Number.isFinite(time) ? time : undefined
  } catch {
    return undefined
  }
}

/** Whether a name is one that the gallery looks at. */
export function isPictureName(name: string): boolean {
  // A dot at the beginning: unfinished files of ours, and what systems hide.
  return /\.png$/i.test(name) && !name.startsWith('.')
}
