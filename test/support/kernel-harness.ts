/**
 * Runs a single lowering on the WebGPU device of this machine, without the memory planner and the program.
 *
 * Every tensor lies in a buffer that is larger than needed, at an offset, with rows further apart than their columns
 * (unless a test places it otherwise), and everything that is not an input is filled with NaN. After the run every
 * byte outside the outputs must be untouched and every output's padding zero. So each test also proves that a kernel
 * neither reads what nobody wrote nor writes what is not its own.
 */
import { create, globals } from 'webgpu'
import { memorySource } from '../../model/contract/bytes.ts'
import type { Tensor, WeightData } from '../../model/graph/ops.ts'
import type {
  BufferRef,
  DeviceFacts,
  Dispatch,
  Lowering,
  LoweringContext,
  TensorView,
} from '../../model/kernels/lowering.ts'
import { floatToHalf, halfToFloat } from '../../model/tensor/dtype.ts'
import { elementCount, lastAxis, roundUp, type Shape } from '../../model/tensor/shape.ts'

/** Where a test puts a tensor. */
export interface Place {
  /** Tensors with the same name share a buffer. */
  readonly buffer?: string
  readonly offset?: number
  readonly rowStride?: number
  readonly type?: 'f32' | 'f16'
}

export interface KernelRun {
  readonly facts?: Partial<DeviceFacts>
  readonly inputs: ReadonlyMap<Tensor, Float32Array>
  readonly place?: ReadonlyMap<Tensor, Place>
  /** Also time this many repetitions. */
  readonly repeat?: number
  /** Time this dispatch alone. */
  readonly timed?: number
}

export interface KernelTime {
  readonly milliseconds: number
  /** Processor time of all threads: what a software adapter costs, whatever else the machine does. */
  readonly processorMilliseconds: number
}

export interface KernelResult {
  readonly dispatches: readonly Dispatch[]
  /** Of one run on the device, first-use compilation excluded; zeros unless asked for. */
  readonly time: KernelTime
  output(tensor: Tensor): Float32Array
}

/** Of a software adapter; the subgroup size is the real adapter's, 0 where it is not fixed and small. */
const softwareFacts: DeviceFacts = {
  subgroupSize: 0,
  activationType: 'f32',
  matrixType: 'f32',
  software: true,
  maxComputeWorkgroupsPerDimension: 65535,
  maxStorageBufferBindingSize: 128 << 20,
  maxStorageBuffersPerShaderStage: 8,
}

/** A NaN whose bits are easy to recognise, in both storage types. */
const garbage = { f32: 0x7fc0beef, f16: 0x7ead }

let nextId = 0

export function tensor(shape: Shape, label = `t${nextId}`): Tensor {
  return { id: nextId++, shape, label }
}

const weightValues = new WeakMap<WeightData, Float32Array>()

export function weightOf(path: string, values: Float32Array): WeightData {
  const weight: WeightData = {
    path,
    dtype: 'F32',
    shape: [values.length],
    source: memorySource(path, new Uint8Array(values.buffer, values.byteOffset, values.byteLength)),
    byteOffset: 0,
    byteLength: values.byteLength,
  }
  weightValues.set(weight, values)
  return weight
}

/** Reproducible numbers, normal by the sum of uniforms (Irwin-Hall), scaled and shifted. */
export function noise(count: number, seed: number, deviation = 1, mean = 0): Float32Array {
  let state = (seed * 2654435761) >>> 0
  const uniform = (): number => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    state >>>= 0
    return state / 4294967296
  }
  state ||= 1
  return Float32Array.from({ length: count }, () => {
    let sum = -6
    for (let i = 0; i < 12; i++) sum += uniform()
    return sum * deviation + mean
  })
}

/** What remains of values that are stored as halves. */
export function throughHalf(values: Float32Array): Float32Array {
  return values.map(value => halfToFloat(floatToHalf(value)))
}

let opened: Promise<GPUDevice> | undefined

/** The device of this test process; opened once, kept for the process's life. */
export function openDevice(): Promise<GPUDevice> {
  opened ??= open()
  return opened
}

/** Whether this machine's adapter can store halves; SwiftShader cannot. */
export async function supportsHalf(): Promise<boolean> {
  return (await openDevice()).features.has('shader-f16')
}

async function open(): Promise<GPUDevice> {
  process.env.XDG_RUNTIME_DIR ??= '/tmp'
  Object.assign(globalThis, globals)
  const gpu = create([])
  // Dawn aborts the process when this object is collected.
  Object.assign(globalThis, { keptGpu: gpu })
  const adapter = await gpu.requestAdapter()
  if (!adapter) throw new Error('No WebGPU adapter: the gpu tests need one')
  const { limits } = adapter
  return adapter.requestDevice({
    requiredFeatures: (['subgroups', 'shader-f16'] as const).filter(feature => adapter.features.has(feature)),
    requiredLimits: {
      maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
      maxBufferSize: limits.maxBufferSize,
      maxStorageBuffersPerShaderStage: limits.maxStorageBuffersPerShaderStage,
    },
  })
}

/** Host image of a buffer. */
class Memory {
  readonly ref: BufferRef
  readonly type: 'f32' | 'f16'
  length = 0
  /** Elements that an output owns. */
  readonly owned = new Set<number>()
  before: Uint32Array | Uint16Array = new Uint32Array(0)
  after: Uint32Array | Uint16Array = new Uint32Array(0)
  gpu: GPUBuffer | undefined

  constructor(label: string, kind: BufferRef['kind'], type: 'f32' | 'f16') {
    this.ref = { label, kind, byteLength: 0 }
    this.type = type
  }

  allocate(): void {
    const length = roundUp(this.length, 8) + 8
    this.before = (this.type === 'f32' ? new Uint32Array(length) : new Uint16Array(length)).fill(
      garbage[this.type],
    )
  }

  set(index: number, value: number): void {
    scratch[0] = value
    this.before[index] = this.type === 'f32' ? (scratchBits[0] as number) : floatToHalf(value)
  }

  get(index: number): number {
    const bits = this.after[index] as number
    if (this.type === 'f16') return halfToFloat(bits)
    scratchBits[0] = bits
    return scratch[0] as number
  }
}

const scratch = new Float32Array(1)
const scratchBits = new Uint32Array(scratch.buffer)

/** Visits a view's elements with their number in the dense tensor, -1 for padding, and their place in the buffer. */
function eachElement({ view }: { view: TensorView }, visit: (element: number, index: number) => void): void {
  const padded = roundUp(view.columns, 4)
  for (let row = 0; row < view.rows; row++) {
    for (let column = 0; column < padded; column++) {
      visit(
        column < view.columns ? row * view.columns + column : -1,
        view.offset + row * view.rowStride + column,
      )
    }
  }
}

/** Runs `lower(op)` on the device and checks the bounds of everything it wrote. */
export async function runKernel<Operation extends { readonly inputs: object; readonly outputs: object }>(
  lower: Lowering<Operation>,
  op: Operation,
  run: KernelRun,
): Promise<KernelResult> {
  const device = await openDevice()
  const { subgroupMinSize: least, subgroupMaxSize: most } = device.adapterInfo
  const subgroups = device.features.has('subgroups') && least === most && most <= 16
  const facts = { ...softwareFacts, subgroupSize: subgroups ? most : 0, ...run.facts }
  const memories = new Map<string, Memory>()
  const views = new Map<Tensor, { view: TensorView; memory: Memory }>()
  const memoryFor = (name: string, kind: BufferRef['kind'], type: 'f32' | 'f16'): Memory => {
    const known = memories.get(name)
    if (known) return known
    const memory = new Memory(name, kind, type)
    memories.set(name, memory)
    return memory
  }
  const lay = (
    memory: Memory,
    offset: number,
    rowStride: number,
    rows: number,
    columns: number,
  ): TensorView => {
    memory.length = Math.max(memory.length, offset + (rows - 1) * rowStride + roundUp(columns, 4))
    return { buffer: memory.ref, offset, rowStride, rows, columns, type: memory.type }
  }
  const viewOf = (value: Tensor): { view: TensorView; memory: Memory } => {
    const known = views.get(value)
    if (known) return known
    const place = run.place?.get(value) ?? {}
    const columns = lastAxis(value.shape)
    const memory = memoryFor(place.buffer ?? `own ${value.id}`, 'arena', place.type ?? facts.activationType)
    const rowStride = place.rowStride ?? roundUp(columns, 4) + 8
    const view = lay(memory, place.offset ?? 12, rowStride, elementCount(value.shape) / columns, columns)
    const entry = { view, memory }
    views.set(value, entry)
    return entry
  }
  for (const value of [...Object.values(op.inputs), ...Object.values(op.outputs)] as Tensor[]) viewOf(value)

  const vectors: { memory: Memory; values: Float32Array }[] = []
  const context: LoweringContext = {
    facts,
    view: value => viewOf(value).view,
    scratch(label, rows, columns) {
      const memory = memoryFor(`scratch ${label} ${memories.size}`, 'arena', 'f32')
      for (let i = 0; i < rows * roundUp(columns, 4); i++) memory.owned.add(4 + i)
      return lay(memory, 4, roundUp(columns, 4), rows, columns)
    },
    matrix() {
      throw new Error('The kernel harness packs no matrices')
    },
    vector(parts) {
      const length = parts.reduce((sum, part) => sum + part.length, 0)
      const values = new Float32Array(roundUp(length, 4))
      let start = 0
      for (const part of parts) {
        if (part.weight) values.set(weightValues.get(part.weight) ?? [], start)
        start += part.length
      }
      const memory = memoryFor(`vector ${memories.size}`, 'weight', 'f32')
      memory.length = values.length
      vectors.push({ memory, values })
      return memory.ref
    },
  }
  const dispatches = lower(op, context)

  for (const memory of memories.values()) memory.allocate()
  for (const { memory, values } of vectors) values.forEach((value, index) => memory.set(index, value))
  for (const [value, data] of run.inputs) {
    const entry = viewOf(value)
    eachElement(entry, (element, index) => entry.memory.set(index, element < 0 ? 0 : (data[element] ?? NaN)))
  }
  for (const value of Object.values(op.outputs) as Tensor[]) {
    const entry = viewOf(value)
    eachElement(entry, (_, index) => entry.memory.owned.add(index))
  }

  const time = await execute(device, dispatches, memories, run)

  for (const memory of memories.values()) {
    for (const [index, bits] of memory.after.entries()) {
      if (bits !== memory.before[index] && !memory.owned.has(index)) {
        throw new Error(`${memory.ref.label}: element ${index} was overwritten (now ${memory.get(index)})`)
      }
    }
  }
  return {
    dispatches,
    time,
    output(value) {
      const entry = viewOf(value)
      const result = new Float32Array(elementCount(value.shape))
      eachElement(entry, (element, index) => {
        const found = entry.memory.get(index)
        if (element >= 0) result[element] = found
        else if (found !== 0) throw new Error(`${value.label}: padding at ${index} is ${found}, not 0`)
      })
      return result
    },
  }
}

const pipelines = new Map<string, GPUComputePipeline>()

async function pipelineFor(device: GPUDevice, dispatch: Dispatch): Promise<GPUComputePipeline> {
  const known = pipelines.get(dispatch.code)
  if (known) return known
  device.pushErrorScope('validation')
  const module = device.createShaderModule({ code: dispatch.code })
  const { messages } = await module.getCompilationInfo()
  const pipeline = device.createComputePipeline({ layout: 'auto', compute: { module } })
  const error = await device.popErrorScope()
  if (error || messages.length > 0) {
    const text = messages
      .map(({ lineNum, linePos, message }) => `${lineNum}:${linePos} ${message}`)
      .join('\n')
    throw new Error(`${dispatch.label}: ${text}\n${error?.message ?? ''}\n${dispatch.code}`)
  }
  pipelines.set(dispatch.code, pipeline)
  return pipeline
}

async function execute(
  device: GPUDevice,
  dispatches: readonly Dispatch[],
  memories: ReadonlyMap<string, Memory>,
  { repeat = 0, timed }: KernelRun,
): Promise<KernelTime> {
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC
  const byRef = new Map<BufferRef, Memory>()
  const trash: GPUBuffer[] = []
  const steps: {
    pipeline: GPUComputePipeline
    group: GPUBindGroup
    workgroups: readonly [number, number, number]
  }[] = []
  device.pushErrorScope('validation')
  for (const memory of memories.values()) {
    memory.gpu = device.createBuffer({ size: memory.before.byteLength, usage })
    device.queue.writeBuffer(memory.gpu, 0, memory.before)
    byRef.set(memory.ref, memory)
    trash.push(memory.gpu)
  }
  for (const dispatch of dispatches) {
    const pipeline = await pipelineFor(device, dispatch)
    const params = device.createBuffer({
      size: dispatch.params.byteLength,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    })
    trash.push(params)
    device.queue.writeBuffer(params, 0, dispatch.params)
    const group = device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [params, ...dispatch.bindings.map(({ buffer }) => byRef.get(buffer)?.gpu as GPUBuffer)].map(
        (buffer, binding) => ({ binding, resource: { buffer } }),
      ),
    })
    steps.push({ pipeline, group, workgroups: dispatch.workgroups })
  }
  const submit = (chosen: typeof steps, times: number): void => {
    const encoder = device.createCommandEncoder()
    const pass = encoder.beginComputePass()
    for (let time = 0; time < times; time++) {
      for (const { pipeline, group, workgroups } of chosen) {
        pass.setPipeline(pipeline)
        pass.setBindGroup(0, group)
        pass.dispatchWorkgroups(...workgroups)
      }
    }
    pass.end()
    device.queue.submit([encoder.finish()])
  }
  submit(steps, 1)
  const time = { milliseconds: 0, processorMilliseconds: 0 }
  if (repeat > 0) {
    await device.queue.onSubmittedWorkDone()
    time.milliseconds = time.processorMilliseconds = Infinity
    const chosen = timed === undefined ? steps : steps.slice(timed, timed + 1)
    for (let round = 0; round < 4; round++) {
      const start = performance.now()
      const before = process.cpuUsage()
      submit(chosen, repeat)
      await device.queue.onSubmittedWorkDone()
      const used = process.cpuUsage(before)
      time.milliseconds = Math.min(time.milliseconds, (performance.now() - start) / repeat)
      const processor = (used.user + used.system) / 1000 / repeat
      time.processorMilliseconds = Math.min(time.processorMilliseconds, processor)
    }
  }
  for (const memory of memories.values()) {
    const { byteLength } = memory.before
    const mapped = device.createBuffer({
      size: byteLength,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    })
    trash.push(mapped)
    const encoder = device.createCommandEncoder()
    encoder.copyBufferToBuffer(memory.gpu as GPUBuffer, 0, mapped, 0, byteLength)
    device.queue.submit([encoder.finish()])
    await mapped.mapAsync(GPUMapMode.READ)
    const bytes = mapped.getMappedRange().slice(0)
    memory.after = memory.type === 'f32' ? new Uint32Array(bytes) : new Uint16Array(bytes)
  }
  for (const buffer of trash) buffer.destroy()
  const error = await device.popErrorScope()
  if (error) throw new Error(`${dispatches[0]?.label}: ${error.message}`)
  return time
}
