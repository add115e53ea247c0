import { describe, expect, it } from 'vitest'
import { readNpy, writeNpy } from '../../model/tensor/npy.ts'

/** A file as numpy.save writes it, with any header text and body. */
function npy(header: string, body: Uint8Array = new Uint8Array(), version = 1): Uint8Array {
  const text = new TextEncoder().encode(header)
  const length =
    version === 1 ? [text.length & 255, text.length >> 8] : [text.length & 255, text.length >> 8, 0, 0]
  return Uint8Array.from([
    0x93,
    ...new TextEncoder().encode('NUMPY'),
    version,
    0,
    ...length,
    ...text,
    ...body,
  ])
}

const bytes = (array: ArrayBufferView) => new Uint8Array(array.buffer, array.byteOffset, array.byteLength)
const header = (descr: string, shape: string, order = 'False') =>
  `{'descr': ${descr}, 'fortran_order': ${order}, 'shape': ${shape}, }\n`

describe('writeNpy', () => {
  it('writes what numpy.save writes, byte for byte', () => {
    // numpy.save(f, numpy.zeros((1, 2), "<f4")): 128 bytes of header.
    const file = writeNpy([1, 2], Float32Array.of(1.5, -2))
    const text = `{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2), }`
    expect(file.length).toBe(128 + 8)
    expect(new TextDecoder('latin1').decode(file.subarray(10, 128))).toBe(`${text.padEnd(117)}\n`)
    expect([...file.subarray(6, 10)]).toEqual([1, 0, 118, 0])
  })

  it.each([[[]], [[3]], [[1, 4, 8, 6]], [[0, 2]]])('is read back: shape %j', shape => {
    const count = shape.reduce((product, size) => product * size, 1)
    const data = Float32Array.from({ length: count }, (_, i) => Math.sin(i) * 1e3)
    const array = readNpy(writeNpy(shape, data))
    expect(array.shape).toEqual(shape)
    expect(array.data).toEqual(data)
  })

  it('refuses numbers that do not fill the shape', () => {
    expect(() => writeNpy([2, 2], new Float32Array(3))).toThrow('3 numbers')
  })
})

describe('readNpy', () => {
  it('reads half, single and double', () => {
    expect(readNpy(npy(header("'<f2'", '(2,)'), bytes(Uint16Array.of(0x3c00, 0xc000)))).data).toEqual(
      Float32Array.of(1, -2),
    )
    expect(readNpy(npy(header("'<f4'", '(2,)'), bytes(Float32Array.of(0.1, 2)))).data).toEqual(
      Float32Array.of(0.1, 2),
    )
    expect(readNpy(npy(header("'<f8'", '(1, 1)'), bytes(Float64Array.of(0.1)))).data).toEqual(
      Float32Array.of(0.1),
    )
  })

  it('reads version 2, keys in any order, no last comma, and a view that is not aligned', () => {
    const text = "{'shape': (2L, 1L), 'fortran_order': False, 'descr': '<f4'}"
    const file = npy(text, bytes(Float32Array.of(7, 8)), 2)
    const shifted = new Uint8Array(file.length + 3)
    shifted.set(file, 3)
    expect(readNpy(shifted.subarray(3))).toEqual({ shape: [2, 1], dtype: 'f4', data: Float32Array.of(7, 8) })
  })

  it("reads a Buffer, which may be a window of Node's pool", () => {
    const file = Buffer.from(writeNpy([2], Float32Array.of(3, 4)))
    expect(readNpy(file).data).toEqual(Float32Array.of(3, 4))
  })

  it.each([
    ['Fortran order', header("'<f4'", '(1, 1)', 'True'), 'Fortran order'],
    ['big endian', header("'>f4'", '(1,)'), '">f4"'],
    ['integers', header("'<i8'", '(1,)'), '"<i8"'],
    ['pickled objects', header("'|O'", '(1,)'), '"|O"'],
    ['records', header("[('a', '<f4')]", '(1,)'), "('a', '<f4')"],
    ['negative sizes', header("'<f4'", '(-1,)'), 'cannot be read'],
    ['a size that is an expression', header("'<f4'", '(2**40,)'), 'cannot be read'],
    [
      'a product beyond numbers',
      header("'<f4'", `(${Array(20).fill('9999999999999999').join(', ')},)`),
      'impossible',
    ],
    ['65 axes', header("'<f4'", `(${Array(65).fill('1').join(', ')},)`), 'impossible'],
    [
      'a doubled key',
      "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,)}",
      'cannot be read',
    ],
    ['an unknown key', "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}", 'cannot be read'],
    ['a missing key', "{'descr': '<f4', 'shape': (1,)}", 'cannot be read'],
    ['code', "{'descr': __import__('os'), 'fortran_order': False, 'shape': (1,)}", 'cannot be read'],
    ['no dictionary', 'hello', 'cannot be read'],
  ])('refuses %s', (_name, text, why) => {
    expect(() => readNpy(npy(text, new Uint8Array(8)), 'noise.npy')).toThrow(why)
  })

  it('refuses other files, cut files and files with more than one array', () => {
    const whole = writeNpy([2, 3], new Float32Array(6))
    expect(() => readNpy(Uint8Array.of(1, 2, 3))).toThrow('not a NumPy')
    expect(() => readNpy(whole.subarray(0, 40))).toThrow('claims a header of 118 bytes')
    expect(() => readNpy(whole.subarray(0, whole.length - 1))).toThrow('holds 23 bytes')
    expect(() => readNpy(Uint8Array.from([...whole, 0]))).toThrow('holds 25 bytes')
    expect(() => readNpy(npy(header("'<f4'", '(1,)'), new Uint8Array(4), 9))).toThrow('version 9')
  })

  it('answers a hostile header at once', () => {
    const began = performance.now()
    for (const filler of [' ', ',', '(', "'", '1,', '{']) {
      const text = `{'shape': (${filler.repeat(Math.floor(9_900 / filler.length))}}`
      expect(() => readNpy(npy(text))).toThrow()
    }
    expect(performance.now() - began).toBeLessThan(1000)
  })
})
