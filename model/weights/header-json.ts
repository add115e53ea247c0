/**
 * A scanner for the JSON header of a safetensors file.
 *
 * `JSON.parse` cannot be used: it keeps the last of two equal keys, reads `1e2`, `1.0` and `-0` as sizes, rounds
 * integers above 2^53, accepts lone surrogates, and builds objects with a prototype. This scanner knows only the
 * grammar of the header, says where it stopped, and never nests deeper than `depthLimit`.
 *
 * Reference: huggingface/safetensors `safetensors/src/tensor.rs` (serde_json semantics).
 */
import { printable } from './printable.ts'

/** One tensor of the header, before any check of its meaning. `begin` and `end` count from the data's start. */
export interface RawTensorInfo {
  readonly dtype: string
  readonly shape: readonly number[]
  readonly begin: number
  readonly end: number
}

export interface RawHeader {
  /** In the header's order. A `Map`: names are attacker data and must not meet a prototype. */
  readonly tensors: Map<string, RawTensorInfo>
  readonly metadata: Map<string, string>
}

/** Why a header was refused; the caller adds the file's name and the remedy. */
export class HeaderSyntaxError extends Error {}

const numberPattern = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y

const depthLimit = 32
const rankLimit = 64
const nameLimit = 4096

/**
 * Scans a header.
 * @param text the header as decoded UTF-8, without its length prefix.
 * @param tensorLimit more tensors than this are refused while scanning, before the rest is read.
 * @throws HeaderSyntaxError
 */
export function scanHeader(text: string, tensorLimit: number): RawHeader {
  // Every entry spells this field, so a crowd is seen in a fraction of the time that it takes to scan it.
  const field = '"data_offsets"'
  let seen = 0
  for (
    let at = text.indexOf(field);
    at >= 0 && seen <= tensorLimit;
    at = text.indexOf(field, at + field.length)
  )
    seen++
  if (seen > tensorLimit) throw tooMany(tensorLimit)
  return new HeaderScanner(text, tensorLimit).header()
}

function tooMany(limit: number): HeaderSyntaxError {
  return new HeaderSyntaxError(`it lists more than ${limit.toLocaleString('en-US')} tensors`)
}

class HeaderScanner {
  private readonly text: string
  private readonly tensorLimit: number
  private position = 0
  /** What is being read, for messages: a tensor's entry, or what `place` says. Put into words only for a message. */
  private tensor: string | undefined
  private place = 'the header'

  constructor(text: string, tensorLimit: number) {
    this.text = text
    this.tensorLimit = tensorLimit
  }

  // Objects and lists are walked by `enter … do … while (this.next(close))` instead of callbacks: a header can hold a
  // million entries, and three closures for each of them cost more than the scan itself.

  header(): RawHeader {
    const tensors = new Map<string, RawTensorInfo>()
    const metadata = new Map<string, string>()
    let hasMetadata = false
    if (this.enter('{', '}')) {
      do {
        const name = this.key()
        if (name === '__metadata__') {
          if (hasMetadata) this.fail('the key "__metadata__" appears twice')
          hasMetadata = true
          this.place = '"__metadata__"'
          this.metadataInto(metadata)
        } else {
          if (name === '__proto__') this.fail('a tensor is named "__proto__"')
          if (name.length > nameLimit) {
            this.fail(`the name ${printable(name)} is longer than ${nameLimit} characters`)
          }
          if (tensors.has(name)) this.fail(`the key ${printable(name)} appears twice`)
          // A field spelt with escapes passes the count above.
          if (tensors.size === this.tensorLimit) throw tooMany(this.tensorLimit)
          this.tensor = name
          tensors.set(name, this.tensorInfo())
          this.tensor = undefined
        }
        this.place = 'the header'
      } while (this.next('}'))
    }
    this.skipSpace()
    if (this.position < this.text.length) this.unexpected('the end of the header')
    return { tensors, metadata }
  }

  private metadataInto(metadata: Map<string, string>): void {
    this.skipSpace()
    if (this.text.startsWith('null', this.position)) {
      this.position += 4
      return
    }
    if (!this.enter('{', '}')) return
    do {
      const key = this.key()
      if (metadata.has(key)) this.fail(`the metadata key ${printable(key)} appears twice`)
      this.skipSpace()
      if (this.text[this.position] !== '"') this.fail(`the metadata of ${printable(key)} is not a string`)
      metadata.set(key, this.string())
    } while (this.next('}'))
  }

  private tensorInfo(): RawTensorInfo {
    let dtype: string | undefined
    let shape: number[] | undefined
    let offsets: number[] | undefined
    let others: Set<string> | undefined
    if (this.enter('{', '}')) {
      do {
        const field = this.key()
        const repeated =
          (field === 'dtype' && dtype !== undefined) ||
          (field === 'shape' && shape !== undefined) ||
          (field === 'data_offsets' && offsets !== undefined) ||
          others?.has(field)
        if (repeated) this.fail(`the field ${printable(field)} appears twice in ${this.where()}`)
        if (field === 'dtype') {
          this.skipSpace()
          if (this.text[this.position] !== '"') this.fail(`"dtype" is not a string in ${this.where()}`)
          dtype = this.string()
        } else if (field === 'shape') {
          shape = this.unsignedList(field)
        } else if (field === 'data_offsets') {
          offsets = this.unsignedList(field)
        } else {
          // The reference ignores fields that it does not know, so a later version of the format may add one.
          others ??= new Set()
          others.add(field)
          this.skipValue(0)
        }
      } while (this.next('}'))
    }
    if (dtype === undefined) this.fail(`"dtype" is missing in ${this.where()}`)
    if (shape === undefined) this.fail(`"shape" is missing in ${this.where()}`)
    if (offsets === undefined) this.fail(`"data_offsets" is missing in ${this.where()}`)
    const [begin, end] = offsets
    if (begin === undefined || end === undefined || offsets.length > 2) {
      this.fail(`"data_offsets" must hold two numbers in ${this.where()}`)
    }
    return { dtype, shape, begin, end }
  }

  private where(): string {
    return this.tensor === undefined ? this.place : `the entry of ${printable(this.tensor)}`
  }

  /** Steps into an object or a list; false when it is empty (the cursor is then behind it). */
  private enter(open: '{' | '[', close: '}' | ']'): boolean {
    this.skipSpace()
    if (this.text[this.position] !== open) this.unexpected(`"${open}" for ${this.where()}`)
    this.position++
    this.skipSpace()
    if (this.text[this.position] !== close) return true
    this.position++
    return false
  }

  /** After an item: true when another follows, false behind the closing bracket. */
  private next(close: '}' | ']'): boolean {
    this.skipSpace()
    const character = this.text[this.position]
    if (character !== ',' && character !== close) this.unexpected(`"," or "${close}" in ${this.where()}`)
    this.position++
    return character === ','
  }

  /** A key of an object; the cursor is then behind the colon. */
  private key(): string {
    this.skipSpace()
    if (this.text[this.position] !== '"') this.unexpected(`a key in ${this.where()}`)
    const key = this.string()
    this.skipSpace()
    if (this.text[this.position] !== ':') this.unexpected(`":" in ${this.where()}`)
    this.position++
    return key
  }

  private unsignedList(field: string): number[] {
    this.skipSpace()
    if (this.text[this.position] !== '[') this.fail(`"${field}" is not a list in ${this.where()}`)
    const values: number[] = []
    if (this.enter('[', ']')) {
      do {
        values.push(this.unsigned(field))
        if (values.length > rankLimit) {
          this.fail(`"${field}" holds more than ${rankLimit} numbers in ${this.where()}`)
        }
      } while (this.next(']'))
    }
    return values
  }

  private unsigned(field: string): number {
    this.skipSpace()
    const plain = this.plainDigits()
    if (plain !== undefined) return plain
    const number = this.numberText()
    const label = `"${field}" in ${this.where()}`
    if (number === undefined) this.fail(`${label} holds something that is not a number`)
    if (!/^\d+$/.test(number))
      this.fail(`${label} holds ${printable(number)}, which is not an unsigned integer`)
    const value = Number(number)
    if (!Number.isSafeInteger(value))
      this.fail(`${label} holds ${printable(number)}, which is above 2^53 - 1`)
    return value
  }

  /** The common case, without a regular expression: up to 15 digits that end at a comma or a bracket. */
  private plainDigits(): number | undefined {
    let value = 0
    let end = this.position
    for (; end < this.position + 15; end++) {
      const digit = this.text.charCodeAt(end) - 48
      if (!(digit >= 0 && digit <= 9)) break
      value = value * 10 + digit
    }
    const length = end - this.position
    const hasLeadingZero = length > 1 && this.text[this.position] === '0'
    const next = this.text[end]
    if (length === 0 || hasLeadingZero || (next !== ',' && next !== ']')) return undefined
    this.position = end
    return value
  }

  /** The text of a JSON number at the cursor, or undefined when there is none. */
  private numberText(): string | undefined {
    numberPattern.lastIndex = this.position
    const match = numberPattern.exec(this.text)?.[0]
    if (match === undefined) return undefined
    this.position += match.length
    // `01` matches as `0`: what follows a number must not look like more of it.
    if (/[\w.+-]/.test(this.text[this.position] ?? ''))
      this.fail(`a number is malformed at character ${this.position}`)
    return match
  }

  private string(): string {
    const start = ++this.position
    const close = this.text.indexOf('"', start)
    if (close < 0) this.fail('a string is not closed')
    const plain = this.text.slice(start, close)
    // oxlint-disable-next-line no-control-regex
    if (!/[\\\u0000-\u001f]/.test(plain)) {
      this.position = close + 1
      return plain
    }
    return this.escapedString(start)
  }

  private escapedString(start: number): string {
    const parts: string[] = []
    let from = start
    this.position = start
    for (;;) {
      const character = this.text[this.position]
      if (character === undefined) this.fail('a string is not closed')
      if (character === '"') break
      if (character < ' ') this.fail(`a string holds a raw control character at character ${this.position}`)
      if (character !== '\\') {
        this.position++
        continue
      }
      parts.push(this.text.slice(from, this.position))
      parts.push(this.escape())
      from = this.position
    }
    parts.push(this.text.slice(from, this.position))
    this.position++
    return parts.join('')
  }

  private escape(): string {
    const simple: Readonly<Record<string, string>> = {
      '"': '"',
      '\\': '\\',
      '/': '/',
      b: '\b',
      f: '\f',
      n: '\n',
      r: '\r',
      t: '\t',
    }
    const kind = this.text[this.position + 1] ?? ''
    if (kind !== 'u') {
      const value = Object.hasOwn(simple, kind) ? simple[kind] : undefined
      if (value === undefined) this.fail(`a string holds an unknown escape at character ${this.position}`)
      this.position += 2
      return value
    }
    const unit = this.codeUnit()
    if (unit < 0xd800 || unit > 0xdfff) return String.fromCharCode(unit)
    // A surrogate is half a character: only a high one followed by a low one is text.
    if (unit > 0xdbff || this.text[this.position] !== '\\' || this.text[this.position + 1] !== 'u') {
      this.fail(`a string holds a lone surrogate before character ${this.position}`)
    }
    const low = this.codeUnit()
    if (low < 0xdc00 || low > 0xdfff)
      this.fail(`a string holds a lone surrogate before character ${this.position}`)
    return String.fromCharCode(unit, low)
  }

  private codeUnit(): number {
    const digits = this.text.slice(this.position + 2, this.position + 6)
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) {
      this.fail(`a string holds an unknown escape at character ${this.position}`)
    }
    this.position += 6
    return Number.parseInt(digits, 16)
  }

  private skipValue(depth: number): void {
    if (depth > depthLimit) this.fail(`it nests deeper than ${depthLimit} levels`)
    this.skipSpace()
    const character = this.text[this.position]
    if (character === '{') {
      if (!this.enter('{', '}')) return
      do {
        this.key()
        this.skipValue(depth + 1)
      } while (this.next('}'))
    } else if (character === '[') {
      if (!this.enter('[', ']')) return
      do this.skipValue(depth + 1)
      while (this.next(']'))
    } else if (character === '"') {
      this.string()
    } else {
      const word = ['true', 'false', 'null'].find(each => this.text.startsWith(each, this.position))
      if (word !== undefined) this.position += word.length
      else if (this.numberText() === undefined) this.unexpected('a value')
    }
  }

  private skipSpace(): void {
    for (;;) {
      const character = this.text[this.position]
      if (character !== ' ' && character !== '\n' && character !== '\r' && character !== '\t') return
      this.position++
    }
  }

  private unexpected(wanted: string): never {
    const character = this.text[this.position]
    if (character === '\u0000') {
      this.fail(`its header is padded with NUL bytes where ${wanted} should be (only spaces are allowed)`)
    }
    if (character === '\ufeff') this.fail('its header starts with a byte order mark')
    const found = character === undefined ? 'the header ends' : `there is ${printable(character)}`
    this.fail(`${found} at character ${this.position} where ${wanted} should be`)
  }

  private fail(why: string): never {
    throw new HeaderSyntaxError(why)
  }
}
