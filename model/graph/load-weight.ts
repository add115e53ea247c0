/** One weight as 32-bit floats, for those who execute a graph on the processor. */
import { AttuneError } from '../contract/errors.ts'
import { bytesPerElement, decodeBfloat, decodeHalf, type DType } from '../tensor/dtype.ts'
import { elementCount, formatShape } from '../tensor/shape.ts'
import type { WeightData } from './ops.ts'

const formats: Readonly<Record<WeightData['dtype'], DType>> = { F32: 'f32', F16: 'f16', BF16: 'bf16' }

/**
 * Reads and decodes a weight whole.
 * @returns its elements in PyTorch's order (row-major over `weight.shape`); the array belongs to the caller.
 * @throws AttuneError `bad-file` when the file ends early, `bad-model` when bytes and shape disagree.
 */
export async function loadWeight(weight: WeightData): Promise<Float32Array> {
  const count = elementCount(weight.shape)
  const format = formats[weight.dtype]
  if (weight.byteLength !== count * bytesPerElement[format]) {
    throw new AttuneError(
      'bad-model',
      `${weight.path} has ${weight.byteLength} bytes, but ${formatShape(weight.shape)} of ${weight.dtype} takes ${count * bytesPerElement[format]}`,
      'The weights file is damaged: get a whole copy of it.',
    )
  }
  // Read into memory of our own: the bytes need not be aligned in the source.
  const bytes = new Uint8Array(Math.max(weight.byteLength, 4))
  await weight.source.read(weight.byteOffset, weight.byteLength, bytes)
  if (format === 'f32') return new Float32Array(bytes.buffer, 0, count)
  const values = new Float32Array(count)
  const halves = new Uint16Array(bytes.buffer, 0, count)
  if (format === 'f16') decodeHalf(halves, values)
  else decodeBfloat(halves, values)
  return values
}
