/**
 * Weights on the GPU. A matrix travels raw, in pieces, through one staging buffer, and a small kernel unpacks, turns
 * and pads it on the GPU: the host never holds more than a few pieces, whatever the model's size.
 */
import { AttuneError } from '../contract/errors.ts'
import type { WeightData } from '../graph/ops.ts'
import type { BufferRef } from '../kernels/lowering.ts'
import { elementCount, roundUp } from '../tensor/shape.ts'
import { decodeBfloat, decodeHalf } from '../tensor/dtype.ts'
import type { GpuDevice } from './device.ts'

/** Bytes of a piece. Two are alive at a time: one being read, one in the queue. */
const pieceBytes = 8 * 2 ** 20

export interface MatrixRequest {
  readonly ref: BufferRef
  readonly weights: readonly WeightData[]
}

export interface VectorRequest {
  readonly ref: BufferRef
  readonly parts: readonly { readonly weight: WeightData | null; readonly length: number }[]
}

/** Elements of a packed matrix: K rows and N columns, both rounded up to 4. */
export function packedMatrixShape(weights: readonly WeightData[]): {
  k: number
  n: number
  taps: number
  channels: number
} {
  const first = weights[0]?.shape ?? []
  const taps = elementCount(first.slice(2))
  const channels = first[1] ?? 0
  const n = weights.reduce((sum, weight) => sum + (weight.shape[0] ?? 0), 0)
  return { k: taps * roundUp(channels, 4), n: roundUp(n, 4), taps, channels }
}

export class WeightStore {
  readonly #gpu: GpuDevice
  readonly #buffers = new Map<string, { ref: BufferRef; buffer: GPUBuffer }>()
  readonly #pipelines = new Map<string, GPUComputePipeline>()
  readonly #matrices: MatrixRequest[] = []
  readonly #vectors: VectorRequest[] = []
  #bytes = 0

  constructor(gpu: GpuDevice) {
    this.#gpu = gpu
  }

  /** Bytes of all weights on the GPU. */
  get byteLength(): number {
    return this.#bytes
  }

  /** The packed matrix of `weights`; loaded at the next `load`. Equal requests share one buffer. */
  matrix(weights: readonly WeightData[]): BufferRef {
    const { k, n } = packedMatrixShape(weights)
    const byteLength = k * n * (this.#gpu.facts.matrixType === 'f16' ? 2 : 4)
    return this.#request(`matrix ${weights.map(identity).join(' ')}`, byteLength, ref =>
      this.#matrices.push({ ref, weights }),
    )
  }

  /** The joined vector of `parts` in f32. */
  vector(parts: VectorRequest['parts']): BufferRef {
    const length = parts.reduce((sum, part) => sum + part.length, 0)
    const key = `vector ${parts.map(part => (part.weight ? identity(part.weight) : `0*${part.length}`)).join(' ')}`
    return this.#request(key, roundUp(length, 4) * 4, ref => this.#vectors.push({ ref, parts }))
  }

  buffer(ref: BufferRef): GPUBuffer {
    const found = this.#buffers.get(ref.label)
    if (!found) throw new AttuneError('internal', `No weight buffer "${ref.label}"`)
    return found.buffer
  }

  /** Reads and uploads everything that was requested since the last call. */
  async load(): Promise<void> {
    const matrices = this.#matrices.splice(0)
    const vectors = this.#vectors.splice(0)
    if (matrices.length + vectors.length === 0) return
    await this.#gpu.guarded('loading weights', async () => {
      for (const { ref, parts } of vectors) await this.#loadVector(ref, parts)
      const staging = new StagingRing(this.#gpu.device)
      try {
        for (const request of matrices) await this.#loadMatrix(request, staging)
        await staging.flush()
      } finally {
        staging.dispose()
      }
    })
  }

  dispose(): void {
    for (const { buffer } of this.#buffers.values()) buffer.destroy()
    this.#buffers.clear()
  }

  #request(key: string, byteLength: number, enqueue: (ref: BufferRef) => void): BufferRef {
    const known = this.#buffers.get(key)
    if (known) return known.ref
    const limit = this.#gpu.facts.maxStorageBufferBindingSize
    if (byteLength > limit) {
      throw new AttuneError(
        'out-of-memory',
        `The weight ${key} needs ${byteLength} bytes, and this GPU binds at most ${limit} at once.`,
        'Run with --precision f16, or on another backend (--backend wasm).',
      )
    }
    const ref: BufferRef = { label: key, kind: 'weight', byteLength }
    const buffer = this.#gpu.device.createBuffer({
      label: key.slice(0, 120),
      size: byteLength,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST,
    })
    this.#buffers.set(key, { ref, buffer })
    this.#bytes += byteLength
    enqueue(ref)
    return ref
  }

  async #loadVector(ref: BufferRef, parts: VectorRequest['parts']): Promise<void> {
    const values = new Float32Array(ref.byteLength / 4)
    let offset = 0
    for (const { weight, length } of parts) {
      if (weight) values.set(await readFloats(weight), offset)
      offset += length
    }
    this.#gpu.device.queue.writeBuffer(this.buffer(ref), 0, values)
  }

  async #loadMatrix({ ref, weights }: MatrixRequest, staging: StagingRing): Promise<void> {
    const { n, taps, channels } = packedMatrixShape(weights)
    let column = 0
    for (const weight of weights) {
      const rows = weight.shape[0] ?? 0
      const rowBytes = weight.byteLength / rows
      const step = Math.max(1, Math.floor(pieceBytes / rowBytes))
      // A piece starts on a whole u32, also where a row of halves is odd.
      const evenStep = weight.dtype === 'F32' || step === 1 ? step : step - (step % 2)
      for (let row = 0; row < rows; row += evenStep) {
        const count = Math.min(evenStep, rows - row)
        const bytes = await weight.source.read(weight.byteOffset + row * rowBytes, count * rowBytes)
        const slot = await staging.put(bytes)
        const total = count * taps * channels
        const params = new Uint32Array([
          total,
          count,
          channels,
          taps,
          column + row,
          n,
          roundUp(channels, 4),
          0,
        ])
        const pipeline = await this.#repack(weight.dtype)
        const uniform = this.#gpu.device.createBuffer({
          size: params.byteLength,
          usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
        })
        this.#gpu.device.queue.writeBuffer(uniform, 0, params)
        const group = this.#gpu.device.createBindGroup({
          layout: pipeline.getBindGroupLayout(0),
          entries: [
            { binding: 0, resource: { buffer: uniform } },
            { binding: 1, resource: slot },
            { binding: 2, resource: { buffer: this.buffer(ref) } },
          ],
        })
        // One invocation a destination word: a pair of k's for halves, one k for f32.
        const words = count * taps * (roundUp(channels, 4) / (this.#gpu.facts.matrixType === 'f16' ? 2 : 1))
        staging.run(pipeline, group, Math.ceil(words / 64), uniform)
      }
      column += rows
    }
  }

  /** The kernel that writes PyTorch's [N, C, taps] into packed [taps · C, N]. */
  async #repack(dtype: WeightData['dtype']): Promise<GPUComputePipeline> {
    const half = this.#gpu.facts.matrixType === 'f16'
    const key = `${dtype} ${half}`
    const known = this.#pipelines.get(key)
    if (known) return known
    const value =
      dtype === 'F32'
        ? 'return bitcast<f32>(source[index]);'
        : dtype === 'F16'
          ? 'let pair = unpack2x16float(source[index >> 1u]); return select(pair.x, pair.y, (index & 1u) == 1u);'
          : 'let word = source[index >> 1u]; return bitcast<f32>(select(word << 16u, word & 0xffff0000u, (index & 1u) == 1u));'
    const code = `
struct Params { total: u32, count: u32, channels: u32, taps: u32, column: u32, n: u32, padded: u32, unused: u32 }
@group(0) @binding(0) var<uniform> P: Params;
@group(0) @binding(1) var<storage, read> source: array<u32>;
@group(0) @binding(2) var<storage, read_write> packed: array<u32>;
fn value_at(index: u32) -> f32 { ${value} }
// PyTorch's element: output row, channel, tap; zero in the padding of the channels.
fn element(row: u32, tap: u32, channel: u32) -> f32 {
  if (channel >= P.channels) { return 0.0; }
  return value_at((row * P.channels + channel) * P.taps + tap);
}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) local: u32) {
  let word = (workgroup.x + workgroup.y * 32768u) * 64u + local;
  let row = word % P.count;
  let k = word / P.count;
  ${
    half
      ? `let pairs = P.padded / 2u;
  if (k >= P.taps * pairs) { return; }
  let tap = k / pairs; let channel = (k % pairs) * 2u;
  packed[k * P.n + P.column + row] = pack2x16float(vec2f(element(row, tap, channel), element(row, tap, channel + 1u)));`
      : `if (k >= P.taps * P.padded) { return; }
  packed[k * P.n + P.column + row] = bitcast<u32>(element(row, k / P.padded, k % P.padded));`
  }
}`
    const { device } = this.#gpu
    const pipeline = await device.createComputePipelineAsync({
      label: `repack ${key}`,
      layout: 'auto',
      compute: { module: device.createShaderModule({ label: `repack ${key}`, code }), entryPoint: 'main' },
    })
    this.#pipelines.set(key, pipeline)
    return pipeline
  }
}

/** A weight is the same data when it comes from the same bytes of the same source. */
function identity(weight: WeightData): string {
  return `${weight.path}@${weight.source.name}:${weight.byteOffset}+${weight.byteLength}`
}

async function readFloats(weight: WeightData): Promise<Float32Array> {
  const bytes = await weight.source.read(weight.byteOffset, weight.byteLength)
  // Not `slice`: Node's Buffer has one that copies nothing.
  const copy = new Uint8Array(bytes)
  if (weight.dtype === 'F32') return new Float32Array(copy.buffer, 0, copy.byteLength / 4)
  const halves = new Uint16Array(copy.buffer, 0, copy.byteLength / 2)
  const values = new Float32Array(halves.length)
  if (weight.dtype === 'F16') decodeHalf(halves, values)
  else decodeBfloat(halves, values)
  return values
}

/** One staging buffer, filled by pieces and drained by a submit when it is full. */
class StagingRing {
  static readonly size = 2 * pieceBytes
  readonly #device: GPUDevice
  #buffer: GPUBuffer
  #cursor = 0
  #pending: { pipeline: GPUComputePipeline; group: GPUBindGroup; workgroups: number }[] = []
  #uniforms: GPUBuffer[] = []

  constructor(device: GPUDevice) {
    this.#device = device
    this.#buffer = this.#create(StagingRing.size)
  }

  async put(bytes: Uint8Array): Promise<GPUBufferBinding> {
    const size = roundUp(bytes.byteLength, 4)
    if (this.#cursor + size > this.#buffer.size) await this.flush()
    if (size > this.#buffer.size) {
      this.#buffer.destroy()
      this.#buffer = this.#create(size)
    }
    // writeBuffer takes whole words, and plain (not shared) memory.
    const whole = bytes.byteLength === size && bytes.buffer instanceof ArrayBuffer
    const data = whole ? bytes : new Uint8Array(size)
    if (!whole) data.set(bytes)
    this.#device.queue.writeBuffer(this.#buffer, this.#cursor, data as Uint8Array<ArrayBuffer>)
    const binding = { buffer: this.#buffer, offset: this.#cursor, size }
    this.#cursor = roundUp(this.#cursor + size, 256)
    return binding
  }

  run(pipeline: GPUComputePipeline, group: GPUBindGroup, workgroups: number, uniform: GPUBuffer): void {
    this.#pending.push({ pipeline, group, workgroups })
    this.#uniforms.push(uniform)
  }

  async flush(): Promise<void> {
    if (this.#pending.length > 0) {
      const encoder = this.#device.createCommandEncoder()
      const pass = encoder.beginComputePass()
      for (const { pipeline, group, workgroups } of this.#pending) {
        pass.setPipeline(pipeline)
        pass.setBindGroup(0, group)
        pass.dispatchWorkgroups(Math.min(workgroups, 32768), Math.ceil(workgroups / 32768))
      }
      pass.end()
      this.#device.queue.submit([encoder.finish()])
      await this.#device.queue.onSubmittedWorkDone()
    }
    for (const uniform of this.#uniforms) uniform.destroy()
    this.#pending = []
    this.#uniforms = []
    this.#cursor = 0
  }

  dispose(): void {
    this.#buffer.destroy()
  }

  #create(size: number): GPUBuffer {
    return this.#device.createBuffer({
      label: 'weight staging',
      size,
      usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST,
    })
  }
}
