/** The double's own parts that are more than recording: cloning over text. */
import { describe, expect, it } from 'vitest'
import { makeCodec } from '../support/electron/double/codec.ts'

const { encode, decode } = makeCodec()
const both = (value: unknown) => decode(encode(value))

describe('cloning over text', () => {
  it.each([
    undefined,
    null,
    true,
    'text',
    1.5,
    Number.NaN,
    Number.NEGATIVE_INFINITY,
    -0,
    12n,
    [1, [undefined, { a: null }]],
    new Date(5),
    new Map<unknown, unknown>([[{ a: 1 }, new Set([1])]]),
    Uint8Array.of(1, 2, 255),
    Float32Array.of(1.5, -1),
    BigInt64Array.of(-1n),
    Uint8Array.of(1, 2, 3).buffer,
  ])('keeps %o', value => expect(both(value)).toEqual(value))

  it('keeps cycles, prototypes of errors, and names like __proto__', () => {
    const cyclic: Record<string, unknown> = {}
    cyclic['self'] = cyclic
    const copy = both(cyclic) as typeof cyclic
    expect(copy['self']).toBe(copy)
    expect(both(new RangeError('out'))).toBeInstanceOf(RangeError)
    const odd = both(JSON.parse('{"__proto__":{"a":1}}')) as object
    expect([Object.keys(odd), Object.getPrototypeOf(odd)]).toEqual([['__proto__'], Object.prototype])
  })

  it.each([() => 1, Symbol('s'), Promise.resolve(), { deep: [() => 1] }])('refuses %o', value => {
    expect(() => encode(value)).toThrow('An object could not be cloned.')
  })
})
