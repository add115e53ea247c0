/**
 * NumPy's .npy files, versions 1 to 3: how latents and noise go in and out. Reads little-endian floats in C order
 * (f2, f4, f8), writes f4. The file may come from anywhere, so its header is checked as data: the one Python
 * literal that NumPy writes is recognised, nothing is evaluated.
 *
 * Format: numpy/lib/format.py ("NPY format").
 */
import { AttuneError } from '../contract/errors.ts'
import { decodeHalf } from './dtype.ts'
import { elementCount, formatShape, type Shape } from './shape.ts'

export interface NpyArray {
  readonly shape: number[]
  /** Row-major values. Doubles are rounded to singles. */
  readonly data: Float32Array
  /** The format in the file. */
  readonly dtype: NpyDType
}

export type NpyDType = 'f2' | 'f4' | 'f8'

const magic = Uint8Array.of(0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59)
const itemSize: Readonly<Record<NpyDType, number>> = { f2: 2, f4: 4, f8: 8 }
/** NumPy's own header is under 200 bytes, its reader's cap is 10,000. */
const headerLimit = 10_000
/** NumPy's own cap on dimensions. */
const dimensionLimit = 64

/**
 * @param name the file's name, for messages
 * @throws AttuneError `bad-file` when it is damaged or of a kind that is not read
 */
export function readNpy(bytes: Uint8Array, name = 'The array'): NpyArray {
  const header = readHeader(bytes, name)
  const expected = elementCount(header.shape) * itemSize[header.dtype]
  const actual = bytes.byteLength - header.dataOffset
  if (actual !== expected) {
    throw refuse(
      name,
      `holds ${actual} bytes of numbers, but its shape ${formatShape(header.shape)} of ${header.dtype} takes ${expected}`,
      actual < expected ? 'Get a whole copy of the file.' : 'Save one array a file with numpy.save.',
    )
  }
  // A copy: the numbers need not be aligned in the file, and must not keep the file's bytes alive. Not by `slice`,
  // which for Node's Buffer is a view.
  const body = new Uint8Array(bytes.subarray(header.dataOffset))
  const count = elementCount(header.shape)
  let data: Float32Array
  if (header.dtype === 'f4') data = new Float32Array(body.buffer, 0, count)
  else if (header.dtype === 'f8') data = Float32Array.from(new Float64Array(body.buffer, 0, count))
  else {
    data = new Float32Array(count)
    decodeHalf(new Uint16Array(body.buffer, 0, count), data)
  }
  return { shape: header.shape, data, dtype: header.dtype }
}

/** Writes version 1.0, `<f4`, C order, as numpy.save would. */
export function writeNpy(shape: Shape, data: Float32Array): Uint8Array {
  if (elementCount(shape) !== data.length) {
    throw new AttuneError('internal', `${data.length} numbers cannot be saved as ${formatShape(shape)}.`)
  }
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`
  const text = `{'descr': '<f4', 'fortran_order': False, 'shape': ${tuple}, }`
  // The whole header is padded with spaces to a multiple of 64 and ends with a newline.
  const length = Math.ceil((10 + text.length + 1) / 64) * 64
  const file = new Uint8Array(length + data.byteLength)
  file.set(magic)
  file.set([1, 0, (length - 10) & 255, (length - 10) >> 8], 6)
  file.set(new TextEncoder().encode(text.padEnd(length - 11) + '\n'), 10)
  file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), length)
  return file
}

function readHeader(
  bytes: Uint8Array,
  name: string,
): { shape: number[]; dtype: NpyDType; dataOffset: number } {
  if (bytes.length < 10 || !magic.every((byte, i) => bytes[i] === byte)) {
    throw refuse(name, 'is not a NumPy .npy file', 'Save the array with numpy.save.')
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const version = view.getUint8(6)
  if (version < 1 || version > 3) throw refuse(name, `has the unknown .npy version ${version}`, resave)
  const start = version === 1 ? 10 : 12
  if (bytes.length < start) throw refuse(name, 'ends inside its header', 'Get a whole copy of the file.')
  const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true)
  if (length > headerLimit || start + length > bytes.length) {
    throw refuse(name, `claims a header of ${length} bytes`, 'Get a whole copy of the file.')
  }
  const text = String.fromCharCode(...bytes.subarray(start, start + length))
  const fields = parseHeader(text)
  if (!fields) throw refuse(name, 'has a header that cannot be read', resave)
  if (fields.fortran) {
    throw refuse(name, 'is in Fortran order', 'Save numpy.ascontiguousarray(array) instead.')
  }
  const dtype = ({ '<f2': 'f2', '<f4': 'f4', '<f8': 'f8' } as const)[fields.descr]
  if (!dtype) {
    throw refuse(name, `holds "${fields.descr}" values`, 'Save it as float32: array.astype("<f4").')
  }
  const { shape } = fields
  if (shape.length > dimensionLimit || !Number.isSafeInteger(elementCount(shape) * itemSize[dtype])) {
    throw refuse(name, `claims the impossible shape ${formatShape(shape.slice(0, 8))}`, resave)
  }
  return { shape, dtype, dataOffset: start + length }
}

const resave = 'Save the array again with numpy.save.'

/** Reads `{'descr': '<f4', 'fortran_order': False, 'shape': (1, 4), }` with the keys in any order, once each. */
function parseHeader(text: string): { descr: string; fortran: boolean; shape: number[] } | undefined {
  const literal = text.trim()
  if (!literal.startsWith('{') || !literal.endsWith('}')) return undefined
  const dictionary = literal.slice(1, -1).trimEnd()
  const field =
    /\s*'(descr|fortran_order|shape)'\s*:\s*('[^']*'|True|False|\([\dL,\s]*\)|\[[^\]]*\])\s*(?:,|$)/gy
  const values = new Map<string, string>()
  let end = 0
  for (const match of dictionary.matchAll(field)) {
    if (match.index !== end) return undefined
    end = match.index + match[0].length
    const [, key = '', value = ''] = match
    if (values.has(key)) return undefined
    values.set(key, value)
  }
  if (end !== dictionary.length || values.size !== 3) return undefined
  const descr = values.get('descr') ?? ''
  const order = values.get('fortran_order')
  const shape = (values.get('shape') ?? '').match(/^\(\s*((?:\d{1,16}L?\s*,\s*)*(?:\d{1,16}L?)?)\s*\)$/)?.[1]
  if (shape === undefined || (order !== 'True' && order !== 'False')) return undefined
  const sizes = shape.split(',').filter(size => size.trim() !== '')
  return {
    descr: descr.startsWith("'") ? descr.slice(1, -1) : descr,
    fortran: order === 'True',
    shape: sizes.map(size => Number.parseInt(size, 10)),
  }
}

function refuse(name: string, why: string, remedy: string): AttuneError {
  return new AttuneError('bad-file', `${name} ${why}.`, remedy)
}
