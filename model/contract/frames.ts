/**
 * Plain data with typed arrays as bytes, for ways that carry no structured clones: an HTTP body, a pipe. Messages are
 * what JSON can say, and typed arrays anywhere in it.
 *
 * A frame: u32 length of all that follows it · u32 length of the JSON · JSON in UTF-8 · for each array, from the next
 * multiple of 8 (counted from behind the first u32), its bytes. Little-endian. The JSON is
 * { "message": …, "arrays": [[path, type, byteLength], …] }; in the message, null stands in the place of each array. That
 * the places are told outside of the message means that no message can pretend to hold one.
 */
import { AttuneError } from './errors.ts'

const kinds = {
  u8: Uint8Array,
  u8c: Uint8ClampedArray,
  u16: Uint16Array,
  i32: Int32Array,
  u32: Uint32Array,
  f32: Float32Array,
  f64: Float64Array,
} as const
type Kind = keyof typeof kinds
type FrameArray = InstanceType<(typeof kinds)[Kind]>

/** Most bytes of one frame unless its reader says otherwise: latents, a picture of 100 million pixels, its maps. */
export const frameByteLimit = 512 * 2 ** 20
const arrayLimit = 10_000
const depthLimit = 64

interface Found {
  readonly path: (string | number)[]
  readonly kind: Kind
  readonly bytes: Uint8Array
}

/** @throws AttuneError `internal` for what no frame can carry: functions, cycles, buffers of other kinds */
export function encodeFrame(message: unknown): Uint8Array<ArrayBuffer> {
  const found: Found[] = []
  const plain = take(message, [], found)
  const arrays = found.map(({ path, kind, bytes }) => [path, kind, bytes.byteLength])
  const json = new TextEncoder().encode(JSON.stringify({ message: plain, arrays }))
  let length = 4 + json.length
  const starts = found.map(({ bytes }) => {
    const start = aligned(length)
    length = start + bytes.byteLength
    return start
  })
  const frame = new Uint8Array(4 + length)
  const view = new DataView(frame.buffer)
  view.setUint32(0, length, true)
  view.setUint32(4, json.length, true)
  frame.set(json, 8)
  found.forEach(({ bytes }, index) => frame.set(bytes, 4 + (starts[index] as number)))
  return frame
}

const aligned = (offset: number): number => Math.ceil(offset / 8) * 8

/** The message without its arrays, which go into `found`. */
function take(value: unknown, path: (string | number)[], found: Found[]): unknown {
  if (path.length > depthLimit) throw unfit('it is nested too deeply')
  if (value === null || typeof value !== 'object') {
    if (typeof value === 'function' || typeof value === 'symbol' || typeof value === 'bigint')
      throw unfit(`it holds a ${typeof value}`)
    return value
  }
  if (ArrayBuffer.isView(value)) {
    const kind = (Object.keys(kinds) as Kind[]).find(each => value.constructor === kinds[each])
    // Node's Buffer is a Uint8Array of another name.
    const known = kind ?? (value instanceof Uint8Array ? 'u8' : undefined)
    if (!known) throw unfit('it holds an array of a kind that is not carried')
    const bytes = new Uint8Array(value.buffer, value.byteOffset, value.byteLength)
    if (found.push({ path, kind: known, bytes }) > arrayLimit) throw unfit('it holds too many arrays')
    return null
  }
  if (Array.isArray(value))
    return value.map((item: unknown, index) => take(item, [...path, index], found) ?? null)
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) throw unfit('it holds an object of a class')
  // Built of entries: a field called __proto__ is a field like any other.
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, take(item, [...path, key], found)]),
  )
}

/**
 * The message of a whole frame. Its arrays are views of `frame` where that lies at a multiple of 8, else copies.
 * @throws AttuneError `internal` for what is not a frame
 */
export function decodeFrame(frame: Uint8Array): unknown {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength)
  if (frame.byteLength < 8 || view.getUint32(0, true) !== frame.byteLength - 4)
    throw unfit('its length is wrong')
  return decodeBody(frame.subarray(4))
}

/** What follows the first u32. */
function decodeBody(body: Uint8Array): unknown {
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength)
  const jsonLength = body.byteLength < 4 ? Number.POSITIVE_INFINITY : view.getUint32(0, true)
  if (4 + jsonLength > body.byteLength) throw unfit('its text is cut off')
  let parsed: unknown
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(body.subarray(4, 4 + jsonLength))
    parsed = JSON.parse(text)
  } catch {
    throw unfit('its text is not JSON')
  }
  const { message, arrays } = (parsed ?? {}) as { message?: unknown; arrays?: unknown }
  if (!Array.isArray(arrays) || arrays.length > arrayLimit) throw unfit('its arrays are not told')
  const holder = { message }
  let offset = 4 + jsonLength
  for (const entry of arrays as unknown[]) {
    const [path, kind, byteLength] = Array.isArray(entry) ? (entry as unknown[]) : []
    const isKnown = typeof kind === 'string' && Object.hasOwn(kinds, kind)
    if (!Array.isArray(path) || !isKnown || !Number.isSafeInteger(byteLength) || (byteLength as number) < 0)
      throw unfit('an array is not described')
    const start = aligned(offset)
    offset = start + (byteLength as number)
    if (offset > body.byteLength) throw unfit('an array is cut off')
    put(holder, ['message', ...(path as unknown[])], arrayOf(kind as Kind, body.subarray(start, offset)))
  }
  if (offset !== body.byteLength) throw unfit('something follows its last array')
  return holder.message
}

function arrayOf(kind: Kind, bytes: Uint8Array): FrameArray {
  const type = kinds[kind]
  const size = type.BYTES_PER_ELEMENT
  if (bytes.byteLength % size !== 0) throw unfit('an array ends within a number')
  const fit = bytes.byteOffset % size === 0 ? bytes : bytes.slice()
  return new type(fit.buffer as ArrayBuffer, fit.byteOffset, fit.byteLength / size)
}

/** Own fields only, and only where null holds the place: a path must not lead to a prototype. */
function put(holder: object, path: readonly unknown[], array: FrameArray): void {
  let at: unknown = holder
  for (const [depth, key] of path.entries()) {
    const isKey = typeof key === 'string' || (typeof key === 'number' && Array.isArray(at))
    if (typeof at !== 'object' || at === null || !isKey || !Object.hasOwn(at, key))
      throw unfit('an array has no place')
    const fields = at as Record<string | number, unknown>
    if (depth < path.length - 1) at = fields[key]
    else if (fields[key] === null) fields[key] = array
    else throw unfit('the place of an array is taken')
  }
}

/** Frames out of pieces of any size, as a stream brings them. */
export class FrameReader {
  readonly #limit: number
  readonly #head = new Uint8Array(4)
  #headLength = 0
  #body: Uint8Array | undefined
  #bodyLength = 0

  constructor(limit = frameByteLimit) {
    this.#limit = limit
  }

  /** Whether a frame has begun and not ended. */
  get isPartial(): boolean {
    return this.#headLength > 0
  }

  /**
   * The messages that a piece completes.
   * @throws AttuneError `internal` when a frame is too large or none; the stream cannot be read on
   */
  push(piece: Uint8Array): unknown[] {
    const messages: unknown[] = []
    let at = 0
    while (at < piece.byteLength || (this.#body && this.#bodyLength === this.#body.byteLength)) {
      if (!this.#body) {
        const taken = piece.subarray(at, at + 4 - this.#headLength)
        this.#head.set(taken, this.#headLength)
        this.#headLength += taken.byteLength
        at += taken.byteLength
        if (this.#headLength < 4) break
        const length = new DataView(this.#head.buffer).getUint32(0, true)
        if (length > this.#limit) throw unfit(`it has ${length} bytes, more than ${this.#limit}`)
        this.#body = new Uint8Array(length)
        this.#bodyLength = 0
        continue
      }
      const taken = piece.subarray(at, at + this.#body.byteLength - this.#bodyLength)
      this.#body.set(taken, this.#bodyLength)
      this.#bodyLength += taken.byteLength
      at += taken.byteLength
      if (this.#bodyLength < this.#body.byteLength) break
      const body = this.#body
      this.#body = undefined
      this.#headLength = 0
      messages.push(decodeBody(body))
    }
    return messages
  }
}

const unfit = (why: string): AttuneError =>
  new AttuneError(
    'internal',
    `A message between window and host cannot be carried: ${why}.`,
    'Reload the window.',
  )
