/** Writes safetensors files, for exports and tests. */
import { invariant } from '../contract/errors.ts'
import { elementCount, formatShape, type Shape } from '../tensor/shape.ts'
import { safetensorsBits, type SafetensorsDType } from './safetensors.ts'

export interface TensorToWrite {
  readonly dtype: SafetensorsDType
  readonly shape: Shape
  /** The elements as they lie in memory, little-endian. */
  readonly data: ArrayBufferView
}

/**
 * Serialises tensors. Like the reference's writer it puts wide dtypes first, then sorts by name, and pads the header
 * with spaces to a multiple of 8 bytes, so that every tensor is aligned to its element.
 * @throws AttuneError `internal` when data and shape disagree.
 */
export function writeSafetensors(
  tensors: ReadonlyMap<string, TensorToWrite> | Readonly<Record<string, TensorToWrite>>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array<ArrayBuffer> {
  const entries = tensors instanceof Map ? [...tensors] : Object.entries(tensors)
  const ordered = (entries as [string, TensorToWrite][]).toSorted(
    ([nameA, a], [nameB, b]) => safetensorsBits[b.dtype] - safetensorsBits[a.dtype] || compare(nameA, nameB),
  )
  const fields: string[] = []
  if (Object.keys(metadata).length > 0) fields.push(`"__metadata__":${JSON.stringify(metadata)}`)
  let end = 0
  for (const [name, { dtype, shape, data }] of ordered) {
    const bits = elementCount(shape) * safetensorsBits[dtype]
    invariant(
      bits === data.byteLength * 8,
      `writeSafetensors: ${name} is ${dtype} ${formatShape(shape)} but has ${data.byteLength} bytes`,
    )
    const begin = end
    end += data.byteLength
    const info = { dtype, shape, data_offsets: [begin, end] }
    fields.push(`${JSON.stringify(name)}:${JSON.stringify(info)}`)
  }
  const json = new TextEncoder().encode(`{${fields.join(',')}}`)
  const headerLength = Math.ceil(json.length / 8) * 8
  const file = new Uint8Array(8 + headerLength + end)
  new DataView(file.buffer).setBigUint64(0, BigInt(headerLength), true)
  file.fill(0x20, 8 + json.length, 8 + headerLength)
  file.set(json, 8)
  let position = 8 + headerLength
  for (const [, { data }] of ordered) {
    file.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), position)
    position += data.byteLength
  }
  return file
}

function compare(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
