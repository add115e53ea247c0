/** The page of `unet-page.ts`: one evaluation of a model's UNet on our kernels and on onnxruntime, interleaved. */
import { OnnxBackend } from '../../model/backend/onnx-backend.ts'
import { emitOnnx, inputName, outputName } from '../../model/backend/onnx-emitter.ts'
import { WebGpuBackend } from '../../model/gpu/backend.ts'
import { fuse } from '../../model/graph/fusion.ts'
import { multiplyAccumulates } from '../../model/graph/ops.ts'
import { type HostTensor, type OnnxRuntime, OnnxSession } from '../../model/onnx/session.ts'
import { DiffusionModel } from '../../model/pipeline/diffusion-model.ts'
import { elementCount } from '../../model/tensor/shape.ts'
import { chunkLength } from '../../model/text/chunks.ts'
import { openHttpFolder } from '../../model/worker/http-folder.ts'

export interface UNetPageFigures {
  readonly adapter: string
  readonly gigaflop: number
  readonly rows: readonly {
    readonly name: string
    readonly compile: number
    readonly times: readonly number[]
  }[]
  /** Largest difference of the answers to ours, against the largest of ours. */
  readonly distance: Readonly<Record<string, number>>
}

interface Runner {
  readonly name: string
  readonly compile: number
  readonly run: () => Promise<Float32Array>
  readonly times: number[]
}

/** A runtime of its own from the served files: the bundle must not choose which. */
async function loadRuntime(file: string): Promise<OnnxRuntime> {
  const address = new URL(`/ort/${file}`, location.href).href
  const ort = (await import(/* @vite-ignore */ address)) as unknown as OnnxRuntime
  ;(ort.env.wasm as { wasmPaths?: string }).wasmPaths = new URL('/ort/', location.href).href
  return ort
}

async function benchUNet(modelAddress: string, rounds: number): Promise<UNetPageFigures> {
  const model = await DiffusionModel.open(openHttpFolder(modelAddress))
  const height = model.defaults.height / model.vae.sizeFactor
  const width = model.defaults.width / model.vae.sizeFactor
  const graph = model.unet.recordDenoise({ batch: 2, height, width, textTokens: chunkLength })
  const inputs: Record<string, Float32Array> = {}
  for (const [name, { shape }] of graph.inputs) {
    inputs[name] = Float32Array.from({ length: elementCount(shape) }, (_, i) => Math.sin(i))
  }
  const runners: Runner[] = []
  const add = async (name: string, open: () => Promise<() => Promise<Float32Array>>): Promise<void> => {
    const started = performance.now()
    const run = await open()
    await run()
    runners.push({ name, compile: performance.now() - started, run, times: [] })
  }
  const adapter = await navigator.gpu.requestAdapter()
  if (!adapter) throw new Error('no adapter')
  for (const precision of ['f16', 'f32'] as const) {
    await add(`Attune WebGPU, ${precision}`, async () => {
      const own = await navigator.gpu.requestAdapter()
      if (!own) throw new Error('no adapter')
      const program = await (await WebGpuBackend.open(own, { precision })).compile(graph)
      return async () => (await program.run(inputs))['modelOutput'] as Float32Array
    })
  }
  await add('onnxruntime-web WebGPU', async () => {
    const ort = await loadRuntime('ort.webgpu.min.mjs')
    const { model: bytes, weights } = emitOnnx(fuse(graph))
    const session = await OnnxSession.create({
      name: 'peer',
      model: bytes,
      externalData: [{ location: weights.location, data: await weights.read() }],
      ort,
      numThreads: 1,
      executionProviders: ['webgpu'],
    })
    const feeds: Record<string, HostTensor> = {}
    for (const [name, data] of Object.entries(inputs)) {
      feeds[inputName(name)] = { data, shape: graph.inputs.get(name)?.shape ?? [] }
    }
    return async () => {
      const results = await session.run(feeds, [outputName('modelOutput')])
      return results[outputName('modelOutput')]?.data as Float32Array
    }
  })
  await add('Attune on wasm', async () => {
    const ort = await loadRuntime('ort.wasm.min.mjs')
    const program = await OnnxBackend.open({ kind: 'wasm', ort, threads: 1 }).compile(graph)
    return async () => (await program.run(inputs))['modelOutput'] as Float32Array
  })
  const answers = new Map<string, Float32Array>()
  for (let round = 0; round < rounds; round++) {
    for (const { name, run, times } of runners) {
      const began = performance.now()
      answers.set(name, await run())
      times.push(performance.now() - began)
    }
  }
  const exact = answers.get('Attune WebGPU, f32') ?? new Float32Array()
  const largest = exact.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  const distance = Object.fromEntries(
    [...answers].map(([name, values]) => [
      name,
      values.reduce((most, value, i) => Math.max(most, Math.abs(value - (exact[i] as number))), 0) / largest,
    ]),
  )
  const { info } = adapter
  return {
    adapter: [info.vendor, info.architecture, info.description].filter(Boolean).join(' '),
    gigaflop: graph.ops.reduce((sum, op) => sum + 2 * multiplyAccumulates(op), 0) / 1e9,
    rows: runners.map(({ name, compile, times }) => ({ name, compile, times })),
    distance,
  }
}

Object.assign(globalThis, { benchUNet })
