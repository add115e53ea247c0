/** Time and GFLOPS of each kernel class in the embedded model's networks, and their share of the adapter's peak. */
import { openNodeAdapter } from '../../host/webgpu.ts'
import { openModelFolder } from '../../host/model-folder.ts'
import { WebGpuBackend } from '../../model/gpu/backend.ts'
import { fuse } from '../../model/graph/fusion.ts'
import { type Graph, multiplyAccumulates } from '../../model/graph/ops.ts'
import { DiffusionModel } from '../../model/pipeline/diffusion-model.ts'
import { chunkLength } from '../../model/text/chunks.ts'
import { elementCount } from '../../model/tensor/shape.ts'
import type { CommandIO } from '../io.ts'
import { embeddedModel } from '../local-engine.ts'
import { peakGigaflops } from './peak.ts'
import { printTable } from './table.ts'

export async function benchKernels(io: CommandIO, json: boolean): Promise<void> {
  const model = await DiffusionModel.open(await openModelFolder(embeddedModel))
  const backend = await WebGpuBackend.open(await openNodeAdapter(), { precision: 'f16' })
  try {
    const peak = await peakGigaflops(backend.gpu.device)
    const height = model.defaults.height / model.vae.sizeFactor
    const width = model.defaults.width / model.vae.sizeFactor
    const networks: [string, Graph][] = [
      ['UNet, batch 2', model.unet.recordDenoise({ batch: 2, height, width, textTokens: chunkLength })],
      ['VAE decoder', model.vae.recordDecode({ batch: 1, height, width })],
    ]
    for (const [name, graph] of networks) {
      const program = await backend.compile(graph)
      const inputs: Record<string, Float32Array> = {}
      for (const [input, { shape }] of graph.inputs) {
        inputs[input] = Float32Array.from({ length: elementCount(shape) }, (_, i) => Math.sin(i))
      }
      await program.run(inputs)
      const costs = await program.profile(10, () => performance.now())
      const work = workByKernel(graph)
      const total = costs.reduce((sum, { milliseconds }) => sum + milliseconds, 0)
      printTable(
        io,
        json,
        `kernels: ${name} on ${backend.description} (peak ${peak.toFixed(0)} GFLOPS of f32 multiply-adds in registers)`,
        costs.map(({ kernel, dispatches, milliseconds }) => {
          const gigaflop = work.get(kernel) ?? 0
          const speed = gigaflop / (milliseconds / 1000)
          return {
            kernel,
            dispatches,
            ms: milliseconds,
            'share %': (100 * milliseconds) / total,
            GFLOPS: gigaflop ? speed : '-',
            'of peak %': gigaflop ? (100 * speed) / peak : '-',
          }
        }),
      )
      program.dispose()
    }
  } finally {
    await backend.dispose()
    await model.close()
  }
}

/** GFLOP of each kernel class in one run of a graph. */
function workByKernel(graph: Graph): Map<string, number> {
  const work = new Map<string, number>()
  const add = (kernel: string, gigaflop: number): void => {
    work.set(kernel, (work.get(kernel) ?? 0) + gigaflop)
  }
  for (const op of fuse(graph).ops) {
    const gigaflop = (2 * multiplyAccumulates(op)) / 1e9
    if (op.kind === 'linear' || op.kind === 'conv2d') add(op.kind, gigaflop)
    if (op.kind === 'attention') {
      add('attention_flash', gigaflop)
      add('attention_logits', gigaflop / 2)
      add('attention_values', gigaflop / 2)
    }
  }
  return work
}
