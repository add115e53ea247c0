import { describe, expect, it } from 'vitest'
import { decodeFrame, encodeFrame, FrameReader } from '../../model/contract/frames.ts'

const message = {
  type: 'done',
  id: 3,
  text: 'a réd car 🚗',
  nothing: null,
  picture: { width: 1, data: Uint8Array.of(1, 2, 3) },
  layers: [{ sums: Float32Array.of(0.5, -0, Number.NaN) }, { sums: new Float32Array(0) }],
  arrays: [['message', 'id'], 'u8', 4],
}

describe('frames', () => {
  it('carry plain data and arrays of every kind, as they were', () => {
    expect(decodeFrame(encodeFrame(message))).toEqual(message)
    const kinds = [
      new Uint8ClampedArray([1]),
      new Uint16Array([65535]),
      new Int32Array([-1]),
      new Uint32Array([4294967295]),
      new Float64Array([Math.PI]),
    ]
    expect(decodeFrame(encodeFrame(kinds))).toEqual(kinds)
    for (const plain of [null, 'x', 5, true, [], {}]) expect(decodeFrame(encodeFrame(plain))).toEqual(plain)
    expect(decodeFrame(encodeFrame(new Uint8Array(5)))).toEqual(new Uint8Array(5))
    expect(decodeFrame(encodeFrame({ a: undefined, b: [undefined] }))).toEqual({ b: [null] })
  })

  it('take a part of a larger buffer, and no more of it', () => {
    const data = new Float32Array([9, 1, 2, 9]).subarray(1, 3)
    expect(decodeFrame(encodeFrame({ data }))).toEqual({ data: Float32Array.of(1, 2) })
    expect(decodeFrame(encodeFrame({ data: Buffer.from('ab') }))).toEqual({ data: Uint8Array.of(97, 98) })
  })

  it('come out of a stream however it is cut', () => {
    const frames = [encodeFrame(message), encodeFrame({}), encodeFrame({ data: new Uint8Array(100) })]
    const bytes = new Uint8Array(Buffer.concat(frames))
    for (const size of [1, 3, 7, 64, bytes.length]) {
      const reader = new FrameReader()
      const seen: unknown[] = []
      for (let at = 0; at < bytes.length; at += size) seen.push(...reader.push(bytes.subarray(at, at + size)))
      expect(seen).toEqual([message, {}, { data: new Uint8Array(100) }])
      expect(reader.isPartial).toBe(false)
    }
    const cut = new FrameReader()
    cut.push(bytes.subarray(0, 50))
    expect(cut.isPartial).toBe(true)
  })

  it('cannot be made to reach a prototype', () => {
    const evil = JSON.parse('{"__proto__":{"polluted":1},"constructor":{"prototype":null}}') as object
    const back = decodeFrame(encodeFrame(evil)) as object
    expect(Object.hasOwn(back, '__proto__')).toBe(true)
    expect(({} as { polluted?: number }).polluted).toBeUndefined()
    for (const path of ['["__proto__","x"]', '["constructor","prototype"]', '["a"]', '["b"]', '[0]', '"a"']) {
      expect(() => decodeFrame(made(`{"message":{"b":1},"arrays":[[${path},"u8",1]]}`, 1))).toThrow(/carried/)
    }
  })

  it.each([
    ['no frame', new Uint8Array(3)],
    ['a wrong length', Uint8Array.of(9, 0, 0, 0, 2, 0, 0, 0, 123, 125)],
    ['a text that is cut off', Uint8Array.of(4, 0, 0, 0, 9, 0, 0, 0)],
    ['no JSON', made('{')],
    ['no UTF-8', made(new Uint8Array([0x22, 0xff, 0x22]))],
    ['no arrays', made('{"message":1}')],
    ['an unknown kind', made('{"message":{"a":null},"arrays":[[["a"],"big64",1]]}', 8)],
    ['a kind of the prototype', made('{"message":{"a":null},"arrays":[[["a"],"toString",1]]}', 8)],
    ['an array beyond its end', made('{"message":{"a":null},"arrays":[[["a"],"u8",99]]}', 8)],
    ['a negative length', made('{"message":{"a":null},"arrays":[[["a"],"u8",-1]]}', 8)],
    ['half a number', made('{"message":{"a":null},"arrays":[[["a"],"f32",3]]}', 3)],
    ['something behind its last array', made('{"message":{},"arrays":[]}', 8)],
  ])('refuse %s', (_, bytes) => {
    expect(() => decodeFrame(bytes)).toThrow(/carried/)
  })

  it('refuse what they cannot carry, and what is too large before it is taken', () => {
    const cycle: { self?: object } = {}
    cycle.self = cycle
    for (const value of [() => 0, { a: 1n }, new Map(), new DataView(new ArrayBuffer(1)), cycle])
      expect(() => encodeFrame(value)).toThrow(/carried/)
    expect(() => new FrameReader(1000).push(Uint8Array.of(255, 255, 255, 255))).toThrow(/more than 1000/)
  })
})

/** A frame of a text and so many bytes behind it. */
function made(text: string | Uint8Array, extra = 0): Uint8Array {
  const json = typeof text === 'string' ? new TextEncoder().encode(text) : text
  const start = extra ? Math.ceil((4 + json.length) / 8) * 8 : 4 + json.length
  const frame = new Uint8Array(4 + start + extra)
  const view = new DataView(frame.buffer)
  view.setUint32(0, start + extra, true)
  view.setUint32(4, json.length, true)
  frame.set(json, 8)
  return frame
}
