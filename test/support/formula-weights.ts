/**
 * Weights by formula: the TypeScript twin of `test/fixtures/make/formula_weights.py`, bit for bit. The description
 * of the formula is there.
 */
import { floatToHalf } from '../../model/tensor/dtype.ts'
import { elementCount, type Shape } from '../../model/tensor/shape.ts'

const queryKeyGain = 1.25
const branchGain = 0.5
const crossOutputGain = 0.4
const norm = /(^|[./])(norm\d?|group_norm|conv_norm_out|layer_norm\d|final_layer_norm)\.(weight|bias)$/
const queryKey = /\.(to_q|to_k|q_proj|k_proj)\.weight$/
const crossOutput = /\.attn2\.to_out\.0\.weight$/
const branch = /\.(conv2|attn1\.to_out\.0|ff\.net\.2|proj_out)\.weight$/

export function fnv1a32(text: string): number {
  let hash = 0x811c9dc5
  for (const byte of new TextEncoder().encode(text)) hash = Math.imul(hash ^ byte, 0x01000193)
  return hash >>> 0
}

/** Offset and amplitude of the uniform numbers in the tensor at `path` ("unet/conv_in.weight"). */
export function tensorLaw(path: string, shape: Shape): { offset: number; amplitude: number } {
  if (norm.test(path)) {
    return path.endsWith('.weight') ? { offset: 1, amplitude: 0.1 } : { offset: 0, amplitude: 0.05 }
  }
  if (path.endsWith('.bias')) return { offset: 0, amplitude: 0.05 }
  if (path.endsWith('_embedding.weight')) return { offset: 0, amplitude: 0.5 }
  const fanIn = elementCount(shape.slice(1))
  let gain = 1
  if (queryKey.test(path)) gain = queryKeyGain
  else if (crossOutput.test(path)) gain = crossOutputGain
  else if (branch.test(path)) gain = branchGain
  return { offset: 0, amplitude: gain * Math.sqrt(3 / fanIn) }
}

/** The tensor at `path` in f32. */
export function formulaTensor(path: string, shape: Shape, seed: number): Float32Array<ArrayBuffer> {
  const { offset, amplitude } = tensorLaw(path, shape)
  return fill(path, elementCount(shape), seed, offset, amplitude)
}

/** The same tensor rounded to f16, as bit patterns. */
export function formulaTensorHalf(path: string, shape: Shape, seed: number): Uint16Array<ArrayBuffer> {
  const values = formulaTensor(path, shape, seed)
  const halves = new Uint16Array(values.length)
  for (let i = 0; i < values.length; i++) halves[i] = floatToHalf(values[i] as number)
  return halves
}

/** Uniform numbers of unit variance, such as the samples of the single forwards; for tests of one's own as well. */
export function formulaInput(path: string, shape: Shape, seed = 0): Float32Array<ArrayBuffer> {
  return fill(path, elementCount(shape), seed, 0, Math.sqrt(3))
}

function fill(path: string, count: number, seed: number, offset: number, amplitude: number) {
  const start = (fnv1a32(path) + seed) | 0
  const values = new Float32Array(count)
  for (let i = 0; i < count; i++) {
    let hash = (Math.imul(i, 0x9e3779b1) + start) | 0
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b)
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35)
    hash ^= hash >>> 16
    values[i] = offset + (2 * ((hash >>> 8) * 2 ** -24) - 1) * amplitude
  }
  return values
}
