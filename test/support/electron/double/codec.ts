/**
 * Structured cloning over a wire of text, for messages between a page and the double's main process: Playwright's own
 * turns buffers, maps and sets into empty objects. The function is also put into pages by its source, so it uses
 * nothing from outside of itself.
 */
/* oxlint-disable unicorn/consistent-function-scoping -- everything must be inside of the function */

export interface Codec {
  /** @throws Error as Electron words it, for functions, symbols and promises */
  encode(value: unknown): string
  decode(text: string): unknown
}

/** Makes a codec; self-contained. */
export function makeCodec(): Codec {
  type Wire = unknown
  const views: Record<string, new (buffer: ArrayBuffer) => ArrayBufferView> = {
    Int8Array,
    Uint8Array,
    Uint8ClampedArray,
    Int16Array,
    Uint16Array,
    Int32Array,
    Uint32Array,
    Float32Array,
    Float64Array,
    BigInt64Array,
    BigUint64Array,
    DataView,
  }
  const toText = (bytes: Uint8Array): string => {
    let text = ''
    for (let at = 0; at < bytes.length; at += 0x8000) {
      text += String.fromCharCode(...bytes.subarray(at, at + 0x8000))
    }
    return btoa(text)
  }
  const toBytes = (text: string): ArrayBuffer => {
    const binary = atob(text)
    const bytes = new Uint8Array(binary.length)
    for (let at = 0; at < binary.length; at++) bytes[at] = binary.charCodeAt(at)
    return bytes.buffer
  }
  const kindOf = (value: object): string => Object.prototype.toString.call(value).slice(8, -1)
  return {
    encode(root) {
      const seen = new Map<object, number>()
      const wire = (value: unknown): Wire => {
        if (value === null || typeof value === 'string' || typeof value === 'boolean') return value
        if (value === undefined) return { t: 'undefined' }
        if (typeof value === 'number') {
          return Number.isFinite(value) && !Object.is(value, -0)
            ? value
            : { t: 'number', v: Object.is(value, -0) ? '-0' : String(value) }
        }
        if (typeof value === 'bigint') return { t: 'bigint', v: String(value) }
        if (typeof value !== 'object') throw new Error('An object could not be cloned.')
        const known = seen.get(value)
        if (known !== undefined) return { t: 'again', v: known }
        const id = seen.size
        seen.set(value, id)
        const kind = kindOf(value)
        if (ArrayBuffer.isView(value)) {
          // Node's Buffer arrives as the array it is.
          const name = kind in views ? kind : 'Uint8Array'
          return {
            t: name,
            id,
            v: toText(new Uint8Array(value.buffer as ArrayBuffer, value.byteOffset, value.byteLength)),
          }
        }
        if (kind === 'ArrayBuffer') return { t: kind, id, v: toText(new Uint8Array(value as ArrayBuffer)) }
        if (kind === 'Date') return { t: kind, id, v: wire((value as Date).getTime()) }
        if (kind === 'RegExp') return { t: kind, id, v: [(value as RegExp).source, (value as RegExp).flags] }
        if (kind === 'Map')
          return {
            t: kind,
            id,
            v: [...(value as Map<unknown, unknown>)].map(([key, each]) => [wire(key), wire(each)]),
          }
        if (kind === 'Set') return { t: kind, id, v: [...(value as Set<unknown>)].map(wire) }
        if (kind === 'Error') {
          const { name, message } = value as Error
          return { t: kind, id, v: [name, message] }
        }
        if (
          kind === 'Promise' ||
          kind === 'WeakMap' ||
          kind === 'WeakSet' ||
          kind === 'Window' ||
          kind.startsWith('HTML')
        ) {
          throw new Error('An object could not be cloned.')
        }
        if (Array.isArray(value)) return { t: 'Array', id, v: Array.from(value, wire) }
        return { t: 'Object', id, v: Object.entries(value).map(([key, each]) => [key, wire(each)]) }
      }
      return JSON.stringify(wire(root))
    },
    decode(text) {
      const made: unknown[] = []
      const value = (wire: Wire): unknown => {
        if (wire === null || typeof wire !== 'object') return wire
        const { t, id = 0, v } = wire as { t: string; id?: number; v: unknown }
        const keep = <Made>(made_: Made): Made => {
          made[id] = made_
          return made_
        }
        if (t === 'undefined') return undefined
        if (t === 'number') return Number(v)
        if (t === 'bigint') return BigInt(v as string)
        if (t === 'again') return made[v as number]
        if (t === 'ArrayBuffer') return keep(toBytes(v as string))
        if (t === 'Date') return keep(new Date(value(v) as number))
        if (t === 'RegExp') return keep(new RegExp(...(v as [string, string])))
        if (t === 'Error') {
          const [name, message] = v as [string, string]
          const names: Record<string, ErrorConstructor> = {
            TypeError,
            RangeError,
            SyntaxError,
            ReferenceError,
            URIError,
            EvalError,
          }
          return keep(new (names[name] ?? Error)(message))
        }
        if (t === 'Map') {
          const map = keep(new Map())
          for (const [key, each] of v as [Wire, Wire][]) map.set(value(key), value(each))
          return map
        }
        if (t === 'Set') {
          const set = keep(new Set())
          for (const each of v as Wire[]) set.add(value(each))
          return set
        }
        if (t === 'Array') {
          const array: unknown[] = keep([])
          for (const each of v as Wire[]) array.push(value(each))
          return array
        }
        if (t === 'Object') {
          const object = keep({} as Record<string, unknown>)
          for (const [key, each] of v as [string, Wire][]) {
            // Defined and not set: `__proto__` is a key like any other here.
            Object.defineProperty(object, key, {
              value: value(each),
              writable: true,
              enumerable: true,
              configurable: true,
            })
          }
          return object
        }
        const View = views[t]
        if (!View) throw new Error(`unknown kind ${t}`)
        return keep(new View(toBytes(v as string)))
      }
      return value(JSON.parse(text))
    },
  }
}
