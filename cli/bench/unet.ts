/**
 * One evaluation of the embedded model's UNet (batch 2) on each backend and on onnxruntime's WebGPU provider, interleaved
 * round by round in one process, as ratios to ours: machines drift, ratios of one run do not.
 */
import { hasNativeOnnxRuntime, openNodeOnnxRuntime } from '../../host/onnxruntime.ts'
import { openModelFolder } from '../../host/model-folder.ts'
import { openNodeAdapter } from '../../host/webgpu.ts'
import { OnnxBackend } from '../../model/backend/onnx-backend.ts'
import { WebGpuBackend } from '../../model/gpu/backend.ts'
import { multiplyAccumulates } from '../../model/graph/ops.ts'
import type { Backend } from '../../model/graph/program.ts'
import { DiffusionModel } from '../../model/pipeline/diffusion-model.ts'
import { chunkLength } from '../../model/text/chunks.ts'
import { elementCount } from '../../model/tensor/shape.ts'
import type { CommandIO } from '../io.ts'
import { embeddedModel } from '../local-engine.ts'
import { openOrtWebGpu } from './ort-webgpu.ts'
import { median, printTable } from './table.ts'

const rounds = 7

interface Runner {
  readonly name: string
  readonly compile: number
  readonly run: (inputs: Record<string, Float32Array>) => Promise<unknown>
  readonly times: number[]
}

export async function benchUNet(io: CommandIO, json: boolean): Promise<void> {
  const model = await DiffusionModel.open(await openModelFolder(embeddedModel))
  const height = model.defaults.height / model.vae.sizeFactor
  const width = model.defaults.width / model.vae.sizeFactor
  const graph = model.unet.recordDenoise({ batch: 2, height, width, textTokens: chunkLength })
  const gigaflop = graph.ops.reduce((sum, op) => sum + 2 * multiplyAccumulates(op), 0) / 1e9
  const inputs: Record<string, Float32Array> = {}
  for (const [input, { shape }] of graph.inputs) {
    inputs[input] = Float32Array.from({ length: elementCount(shape) }, (_, i) => Math.sin(i))
  }
  const runners: Runner[] = []
  const closers: (() => Promise<void>)[] = []
  const add = async (name: string, open: () => Promise<Backend>): Promise<void> => {
    const backend = await open()
    closers.push(() => backend.dispose())
    const started = performance.now()
    const program = await backend.compile(graph)
    await program.run(inputs)
    runners.push({ name, compile: performance.now() - started, run: given => program.run(given), times: [] })
  }
  try {
    await add('Attune WebGPU, f16 weights', async () =>
      WebGpuBackend.open(await openNodeAdapter(), { precision: 'f16' }),
    )
    await add('Attune WebGPU, f32', async () =>
      WebGpuBackend.open(await openNodeAdapter(), { precision: 'f32' }),
    )
    await add('Attune on wasm', async () => OnnxBackend.open(await openNodeOnnxRuntime('wasm')))
    if (hasNativeOnnxRuntime())
      await add('Attune on cpu', async () => OnnxBackend.open(await openNodeOnnxRuntime('cpu')))
    const started = performance.now()
    const peer = await openOrtWebGpu(graph)
    closers.push(() => peer.release())
    await peer.run(inputs)
    runners.push({
      name: peer.name,
      compile: performance.now() - started,
      run: given => peer.run(given),
      times: [],
    })

    for (let round = 0; round < rounds; round++) {
      for (const { run, times } of runners) {
        const began = performance.now()
        await run(inputs)
        times.push(performance.now() - began)
      }
    }
    const ours = median(runners[0]?.times ?? [])
    printTable(
      io,
      json,
      `unet: one evaluation, ${gigaflop.toFixed(2)} GFLOP, ${rounds} interleaved rounds, inputs and outputs included`,
      runners.map(({ name, compile, times }) => ({
        executor: name,
        'median ms': median(times),
        'best ms': Math.min(...times),
        GFLOPS: gigaflop / (median(times) / 1000),
        'time / ours': median(times) / ours,
        'compile and first run ms': compile,
      })),
      2,
    )
  } finally {
    for (const close of closers.toReversed()) await close()
    await model.close()
  }
}
