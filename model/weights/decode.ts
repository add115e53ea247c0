/** Weights as 32-bit floats, whole or in pieces. */
import { AttuneError, invariant } from '../contract/errors.ts'
import { bytesPerElement, decodeBfloat, decodeHalf } from '../tensor/dtype.ts'
import { elementCount } from '../tensor/shape.ts'
import { readRange } from './safetensors.ts'
import type { WeightEntry } from './weight-reader.ts'

/** Elements decoded at a time by `readAsFloat32`: 1 Mi, so at most 2 MiB of half-precision bytes wait in memory. */
const pieceElements = 1 << 20

/**
 * Reads a whole tensor as f32.
 * @param into optional target of at least as many elements; saves an allocation.
 * @returns the elements in the file's order (a view of `into` where given).
 * @throws AttuneError `bad-file` when the file ends early; `bad-model` for an entry that was missing.
 */
export async function readAsFloat32(entry: WeightEntry, into?: Float32Array): Promise<Float32Array> {
  const count = elementCount(entry.shape)
  if (into && into.length < count) {
    throw new AttuneError(
      'internal',
      `${entry.path}: ${count} elements do not fit a target of ${into.length}.`,
    )
  }
  const target = into ? into.subarray(0, count) : new Float32Array(count)
  const scratch = scratchFor(entry, Math.min(count, pieceElements))
  for (let start = 0; start < count; start += pieceElements) {
    const piece = target.subarray(start, Math.min(start + pieceElements, count))
    await decodePiece(entry, start, piece, scratch)
  }
  return target
}

/** A run of decoded elements. */
export interface Float32Piece {
  /** Index of the first element in the tensor. */
  readonly start: number
  /** Valid only until the next piece is asked for: the memory is used again. */
  readonly values: Float32Array
}

/**
 * Reads a tensor as f32 in pieces of `chunkElements` (the last may be shorter), with a constant amount of memory
 * however large the tensor is.
 * @throws as `readAsFloat32`
 */
export async function* streamFloat32(
  entry: WeightEntry,
  chunkElements: number,
): AsyncGenerator<Float32Piece, void> {
  invariant(
    Number.isInteger(chunkElements) && chunkElements > 0,
    'streamFloat32: chunkElements must be at least 1',
  )
  const count = elementCount(entry.shape)
  const buffer = new Float32Array(Math.min(count, chunkElements))
  const scratch = scratchFor(entry, buffer.length)
  for (let start = 0; start < count; start += chunkElements) {
    const values = buffer.subarray(0, Math.min(chunkElements, count - start))
    await decodePiece(entry, start, values, scratch)
    yield { start, values }
  }
}

/** How many elements are NaN or infinite: a model with any of these can only draw black. */
export function countNonFinite(values: Float32Array): number {
  let count = 0
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) count++
  return count
}

/** 16-bit elements need a buffer of their own, which also gives them the alignment that the file need not have. */
function scratchFor(entry: WeightEntry, elements: number): Uint16Array {
  return new Uint16Array(entry.dtype === 'F32' ? 0 : elements)
}

async function decodePiece(
  entry: WeightEntry,
  start: number,
  target: Float32Array,
  scratch: Uint16Array,
): Promise<void> {
  if (entry.dtype === 'F32') {
    const bytes = new Uint8Array(target.buffer, target.byteOffset, target.byteLength)
    await readRange(entry.source, entry.byteOffset + start * bytesPerElement.f32, bytes.byteLength, bytes)
    return
  }
  const halves = scratch.subarray(0, target.length)
  const bytes = new Uint8Array(halves.buffer, halves.byteOffset, halves.byteLength)
  await readRange(entry.source, entry.byteOffset + start * bytesPerElement.f16, bytes.byteLength, bytes)
  if (entry.dtype === 'F16') decodeHalf(halves, target)
  else decodeBfloat(halves, target)
}
