/**
 * Record once, replay (D2): a graph is fused, laid out, lowered to dispatches, given memory, pipelines and bind groups
 * once. A run uploads the inputs that changed, re-encodes the list and reads the outputs; it allocates nothing on the
 * GPU and makes no bind group.
 */
import { AttuneError, invariant } from '../contract/errors.ts'
import type { Graph, Tensor } from '../graph/ops.ts'
import { checkState, type Program, type ProgramStats } from '../graph/program.ts'
import type { BufferRef, TensorView } from '../kernels/lowering.ts'
import { halfToFloat } from '../tensor/dtype.ts'
import { elementCount, lastAxis, rowCount } from '../tensor/shape.ts'
import type { GpuDevice } from './device.ts'
import type { PipelineCache } from './pipeline-cache.ts'
import { type CompileOptions, roundDown, schedule, viewOf } from './schedule.ts'
import type { WeightStore } from './weight-store.ts'

interface Step {
  readonly label: string
  readonly kernel: string
  readonly pipeline: GPUComputePipeline
  readonly group: GPUBindGroup
  readonly workgroups: readonly [number, number, number]
}

/** Time of one run spent in one class of kernels. */
export interface KernelCost {
  readonly kernel: string
  readonly dispatches: number
  readonly milliseconds: number
}

interface Readback {
  readonly name: string
  readonly tensor: Tensor
  readonly view: TensorView
  readonly staging: GPUBuffer
}

interface Input {
  readonly tensor: Tensor
  readonly buffer: GPUBuffer
  readonly rowStride: number
  given: boolean
}

interface State {
  readonly buffer: GPUBuffer
  readonly tensor: Tensor
  readonly view: TensorView
}

type Resolve = (ref: BufferRef) => { buffer: GPUBuffer; offset: number; size: number }

/** Bytes between two dispatches' parameters: WebGPU's default minUniformBufferOffsetAlignment. */
const uniformStride = 256

export class GpuProgram implements Program {
  readonly graph: Graph
  readonly stats: ProgramStats
  readonly #gpu: GpuDevice
  readonly #steps: readonly Step[]
  readonly #inputs: ReadonlyMap<string, Input>
  readonly #readbacks: readonly Readback[]
  readonly #states: ReadonlyMap<string, State>
  readonly #buffers: readonly GPUBuffer[]
  readonly #resolve: Resolve

  private constructor(parts: {
    graph: Graph
    stats: ProgramStats
    gpu: GpuDevice
    steps: readonly Step[]
    inputs: ReadonlyMap<string, Input>
    readbacks: readonly Readback[]
    states: ReadonlyMap<string, State>
    buffers: readonly GPUBuffer[]
    resolve: Resolve
  }) {
    this.graph = parts.graph
    this.stats = parts.stats
    this.#gpu = parts.gpu
    this.#steps = parts.steps
    this.#inputs = parts.inputs
    this.#readbacks = parts.readbacks
    this.#states = parts.states
    this.#buffers = parts.buffers
    this.#resolve = parts.resolve
  }

  static async compile(
    recorded: Graph,
    gpu: GpuDevice,
    pipelines: PipelineCache,
    weights: WeightStore,
    options: CompileOptions = {},
  ): Promise<GpuProgram> {
    const started = performance.now()
    const { graph, layout, dispatches, refOf, plan } = schedule(recorded, gpu.facts, weights, options)
    const limit = gpu.facts.maxStorageBufferBindingSize
    const { device } = gpu
    const buffers: GPUBuffer[] = []
    const createBuffer = (descriptor: GPUBufferDescriptor): GPUBuffer => {
      const buffer = device.createBuffer(descriptor)
      buffers.push(buffer)
      return buffer
    }
    const compiling = gpu.guarded(`compiling ${graph.name}`, async () => {
      const chunkBytes = roundDown(limit, 256)
      const chunks: GPUBuffer[] = []
      for (let start = 0; start < plan.byteLength; start += chunkBytes) {
        chunks.push(
          createBuffer({
            label: `${graph.name} arena ${chunks.length}`,
            size: Math.min(chunkBytes, plan.byteLength - start),
            usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC,
          }),
        )
      }
      const inputBuffers = new Map<BufferRef, GPUBuffer>()
      const inputs = new Map<string, Input>()
      for (const [name, tensor] of graph.inputs) {
        const place = layout.placements.get(tensor.id)
        invariant(place, `input ${name} has no place`)
        const ref = refOf(place.root)
        const buffer = createBuffer({
          label: `${graph.name} input ${name}`,
          size: ref.byteLength,
          usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC,
        })
        inputBuffers.set(ref, buffer)
        inputs.set(name, { tensor, buffer, rowStride: place.root.rowStride, given: false })
      }
      const states = new Map<string, State>()
      for (const [name, { after }] of graph.states ?? []) {
        const view = viewOf(after, layout, refOf, gpu.facts)
        const buffer = createBuffer({
          label: `${graph.name} state ${name}`,
          size: view.buffer.byteLength,
          usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST,
        })
        inputBuffers.set(view.buffer, buffer)
        states.set(name, { buffer, tensor: after, view })
      }
      const resolve: Resolve = ref => {
        if (ref.kind === 'weight') return { buffer: weights.buffer(ref), offset: 0, size: ref.byteLength }
        const input = inputBuffers.get(ref)
        if (input) return { buffer: input, offset: 0, size: ref.byteLength }
        const offset = plan.offsets.get(ref)
        invariant(offset !== undefined, `buffer ${ref.label} was not planned`)
        const chunk = chunks[Math.floor(offset / chunkBytes)]
        invariant(chunk, `buffer ${ref.label} is outside the arena`)
        return { buffer: chunk, offset: offset % chunkBytes, size: ref.byteLength }
      }
      const uniform = createBuffer({
        label: `${graph.name} parameters`,
        size: Math.max(uniformStride, dispatches.length * uniformStride),
        usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
      })
      const params = new Uint8Array(uniform.size)
      for (const [index, dispatch] of dispatches.entries()) {
        invariant(dispatch.params.byteLength <= uniformStride, `${dispatch.label}: too many parameters`)
        params.set(new Uint8Array(dispatch.params), index * uniformStride)
      }
      device.queue.writeBuffer(uniform, 0, params)
      const [compiled] = await Promise.all([
        Promise.all(dispatches.map(dispatch => pipelines.get(dispatch))),
        weights.load(),
      ])
      const steps = dispatches.map((dispatch, index): Step => {
        const pipeline = compiled[index]
        invariant(pipeline, 'a pipeline for each dispatch')
        const group = device.createBindGroup({
          label: dispatch.label,
          layout: pipeline.getBindGroupLayout(0),
          entries: [
            {
              binding: 0,
              resource: { buffer: uniform, offset: index * uniformStride, size: dispatch.params.byteLength },
            },
            ...dispatch.bindings.map(({ buffer }, slot) => ({
              binding: slot + 1,
              resource: resolve(buffer),
            })),
          ],
        })
        return {
          label: dispatch.label,
          kernel: dispatch.kernel,
          pipeline,
          group,
          workgroups: dispatch.workgroups,
        }
      })
      const readbacks = [...graph.outputs].map(([name, tensor]): Readback => {
        const view = viewOf(tensor, layout, refOf, gpu.facts)
        const staging = createBuffer({
          label: `${graph.name} output ${name}`,
          size: view.buffer.byteLength,
          usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
        })
        return { name, tensor, view, staging }
      })
      const stats: ProgramStats = {
        dispatches: dispatches.length,
        activationBytes: plan.byteLength,
        weightBytes: weights.byteLength,
        compileMilliseconds: performance.now() - started,
      }
      return new GpuProgram({
        graph: recorded,
        stats,
        gpu,
        steps,
        inputs,
        readbacks,
        states,
        buffers,
        resolve,
      })
    })
    try {
      return await compiling
    } catch (error) {
      // A program that did not come to be keeps no memory: a smaller one may follow.
      for (const buffer of buffers) buffer.destroy()
      throw error
    }
  }

  /** Names of the kernels in execution order, for tests of fusion and for the profiler. */
  get kernels(): readonly { readonly kernel: string; readonly label: string }[] {
    return this.#steps
  }

  async run(values: Readonly<Record<string, Float32Array>>): Promise<Record<string, Float32Array>> {
    const gpu = this.#gpu
    for (const [name, data] of Object.entries(values)) this.#upload(name, data)
    for (const [name, input] of this.#inputs) {
      if (!input.given)
        throw new AttuneError('internal', `${this.graph.name}: input "${name}" was never given`)
    }
    return gpu.guarded(`running ${this.graph.name}`, async () => {
      const encoder = gpu.device.createCommandEncoder({ label: this.graph.name })
      const pass = encoder.beginComputePass()
      for (const { pipeline, group, workgroups } of this.#steps) {
        pass.setPipeline(pipeline)
        pass.setBindGroup(0, group)
        pass.dispatchWorkgroups(workgroups[0], workgroups[1], workgroups[2])
      }
      pass.end()
      for (const { view, staging } of this.#readbacks) {
        const { buffer, offset, size } = this.#resolve(view.buffer)
        encoder.copyBufferToBuffer(buffer, offset, staging, 0, size)
      }
      gpu.device.queue.submit([encoder.finish()])
      const result: Record<string, Float32Array> = {}
      for (const readback of this.#readbacks) result[readback.name] = await this.#read(readback)
      gpu.check()
      return result
    })
  }

  async readStates(): Promise<Record<string, Float32Array>> {
    const { device } = this.#gpu
    return this.#gpu.guarded(`reading ${this.graph.name}`, async () => {
      const encoder = device.createCommandEncoder({ label: `${this.graph.name} states` })
      const readbacks = [...this.#states].map(([name, { buffer, tensor, view }]): Readback => {
        const staging = device.createBuffer({
          label: `${this.graph.name} state ${name} to read`,
          size: buffer.size,
          usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
        })
        encoder.copyBufferToBuffer(buffer, 0, staging, 0, buffer.size)
        return { name, tensor, view, staging }
      })
      device.queue.submit([encoder.finish()])
      try {
        const result: Record<string, Float32Array> = {}
        for (const readback of readbacks) result[readback.name] = await this.#read(readback)
        this.#gpu.check()
        return result
      } finally {
        for (const { staging } of readbacks) staging.destroy()
      }
    })
  }

  writeStates(states: Readonly<Record<string, Float32Array>>): void {
    for (const [name, values] of Object.entries(states)) {
      checkState(this.graph, name, values)
      const state = this.#states.get(name)
      invariant(state, `${this.graph.name}: the state ${name}`)
      const { rows, columns, rowStride, type } = state.view
      invariant(type === 'f32', `${this.graph.name}: the state ${name} is ${type}`)
      const padded = new Float32Array(state.buffer.size / Float32Array.BYTES_PER_ELEMENT)
      for (let row = 0; row < rows; row++) {
        padded.set(values.subarray(row * columns, (row + 1) * columns), state.view.offset + row * rowStride)
      }
      this.#gpu.device.queue.writeBuffer(state.buffer, 0, padded)
    }
  }

  clearStates(): void {
    const encoder = this.#gpu.device.createCommandEncoder({ label: `${this.graph.name} clear states` })
    for (const { buffer } of this.#states.values()) encoder.clearBuffer(buffer)
    this.#gpu.device.queue.submit([encoder.finish()])
  }

  /** Waits for a copy in a staging buffer. After a device loss most promises resolve; only mapAsync tells the truth. */
  async #read(readback: Readback): Promise<Float32Array> {
    try {
      await readback.staging.mapAsync(GPUMapMode.READ)
    } catch (error) {
      this.#gpu.check()
      throw new AttuneError(
        'device-lost',
        `The GPU gave no result for ${this.graph.name} (${String(error)}).`,
        'Run again; if it happens again, choose a smaller picture or update the graphics driver.',
      )
    }
    const values = unpack(readback)
    readback.staging.unmap()
    return values
  }

  /**
   * Cost by kernel: the steps of each class alone, `repeats` times in one submit. For benchmarks; outputs are garbage.
   * @param clock milliseconds: wall time, or processor time where the adapter is the processor and the machine busy.
   */
  async profile(repeats: number, clock: () => number): Promise<KernelCost[]> {
    const classes = new Map<string, Step[]>()
    for (const step of this.#steps) classes.set(step.kernel, [...(classes.get(step.kernel) ?? []), step])
    const costs: KernelCost[] = []
    for (const [kernel, steps] of classes) {
      let started = 0
      // The first round warms caches and compiles what was not yet compiled.
      for (const rounds of [1, repeats]) {
        started = clock()
        const encoder = this.#gpu.device.createCommandEncoder()
        const pass = encoder.beginComputePass()
        for (let round = 0; round < rounds; round++) {
          for (const { pipeline, group, workgroups } of steps) {
            pass.setPipeline(pipeline)
            pass.setBindGroup(0, group)
            pass.dispatchWorkgroups(workgroups[0], workgroups[1], workgroups[2])
          }
        }
        pass.end()
        this.#gpu.device.queue.submit([encoder.finish()])
        await this.#gpu.device.queue.onSubmittedWorkDone()
      }
      costs.push({ kernel, dispatches: steps.length, milliseconds: (clock() - started) / repeats })
    }
    return costs.toSorted((a, b) => b.milliseconds - a.milliseconds)
  }

  dispose(): void {
    for (const buffer of this.#buffers) buffer.destroy()
  }

  #upload(name: string, data: Float32Array): void {
    const input = this.#inputs.get(name)
    if (!input) throw new AttuneError('internal', `${this.graph.name} has no input "${name}"`)
    const { tensor, buffer, rowStride } = input
    invariant(
      data.length === elementCount(tensor.shape),
      `${this.graph.name}: input "${name}" has ${data.length} elements instead of ${tensor.shape.join('x')}`,
    )
    input.given = true
    const columns = lastAxis(tensor.shape)
    if (columns === rowStride && data.buffer instanceof ArrayBuffer) {
      this.#gpu.device.queue.writeBuffer(buffer, 0, data as Float32Array<ArrayBuffer>)
      return
    }
    const rows = rowCount(tensor.shape)
    const padded = new Float32Array(rows * rowStride)
    for (let row = 0; row < rows; row++) {
      padded.set(data.subarray(row * columns, (row + 1) * columns), row * rowStride)
    }
    this.#gpu.device.queue.writeBuffer(buffer, 0, padded)
  }
}

/** Copies a view out of its mapped buffer: dense rows in f32. */
function unpack({ tensor, view, staging }: Readback): Float32Array {
  const { rows, columns, rowStride, offset, type } = view
  const mapped = staging.getMappedRange()
  const result = new Float32Array(elementCount(tensor.shape))
  const source = type === 'f16' ? new Uint16Array(mapped) : new Float32Array(mapped)
  for (let row = 0; row < rows; row++) {
    const start = offset + row * rowStride
    if (source instanceof Float32Array) {
      result.set(source.subarray(start, start + columns), row * columns)
    } else {
      for (let c = 0; c < columns; c++) result[row * columns + c] = halfToFloat(source[start + c] as number)
    }
  }
  return result
}
