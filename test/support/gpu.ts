/** WebGPU for tests: one backend a precision, opened once a process; and random tensors and weights from a seed. */
import { openNodeAdapter } from '../../host/webgpu.ts'
import type { WeightData } from '../../model/graph/ops.ts'
import { memorySource } from '../../model/contract/bytes.ts'
import { WebGpuBackend } from '../../model/gpu/backend.ts'
import type { DeviceFacts } from '../../model/kernels/lowering.ts'
import { floatToHalf } from '../../model/tensor/dtype.ts'
import { elementCount, type Shape } from '../../model/tensor/shape.ts'

const backends = new Map<string, Promise<WebGpuBackend>>()

/** A backend on the default adapter. `facts` force the variant of another kind of adapter. */
export function testBackend(
  precision: 'f32' | 'f16' = 'f32',
  facts: Partial<DeviceFacts> = {},
): Promise<WebGpuBackend> {
  const key = JSON.stringify([precision, facts])
  let backend = backends.get(key)
  if (!backend) {
    backend = openNodeAdapter().then(adapter => WebGpuBackend.open(adapter, { precision, facts }))
    backends.set(key, backend)
  }
  return backend
}

/** Uniform numbers in -1..1 from a seed (mulberry32): the same on every machine. */
export function randomArray(length: number, seed: number): Float32Array {
  let state = seed >>> 0
  return Float32Array.from({ length }, () => {
    state = (state + 0x6d2b79f5) >>> 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return (((t ^ (t >>> 14)) >>> 0) / 2 ** 32) * 2 - 1
  })
}

/** A weight in memory, in the given format; values are `scale` times uniform in -1..1, plus `shift`. */
export function randomWeight(
  path: string,
  shape: Shape,
  seed: number,
  options: { dtype?: 'F32' | 'F16' | 'BF16'; scale?: number; shift?: number } = {},
): WeightData {
  const { dtype = 'F32', scale = 1, shift = 0 } = options
  const values = randomArray(elementCount(shape), seed).map(value => value * scale + shift)
  const bytes =
    dtype === 'F32'
      ? new Uint8Array(values.buffer)
      : new Uint8Array(
          Uint16Array.from(values, value => (dtype === 'F16' ? floatToHalf(value) : bfloat(value))).buffer,
        )
  const source = memorySource(`${path}#${seed}${dtype}`, bytes)
  return { path, dtype, shape, source, byteOffset: 0, byteLength: bytes.byteLength }
}

function bfloat(value: number): number {
  const bits = new Uint32Array(new Float32Array([value]).buffer)[0] as number
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16
}

/** The largest |a - b|, with its index; NaN counts as infinite. */
export function largestDifference(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
): { value: number; index: number } {
  let value = actual.length === expected.length ? 0 : Infinity
  let index = -1
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs((actual[i] as number) - (expected[i] as number))
    if (!(difference <= value)) {
      value = Number.isNaN(difference) ? Infinity : difference
      index = i
    }
  }
  return { value, index }
}
