/** The process that `compile.ts` starts: compiles the embedded model's networks once and prints the times as JSON. */
import { openModelFolder } from '../../host/model-folder.ts'
import { openNodeAdapter } from '../../host/webgpu.ts'
import { WebGpuBackend } from '../../model/gpu/backend.ts'
import { DiffusionModel } from '../../model/pipeline/diffusion-model.ts'
import { chunkLength } from '../../model/text/chunks.ts'
import { elementCount } from '../../model/tensor/shape.ts'
import { embeddedModel } from '../local-engine.ts'

export interface CompileFigures {
  readonly network: string
  readonly dispatches: number
  /** Milliseconds: weights to the adapter, pipelines. */
  readonly compile: number
  readonly firstRun: number
}

const model = await DiffusionModel.open(await openModelFolder(embeddedModel))
const height = model.defaults.height / model.vae.sizeFactor
const width = model.defaults.width / model.vae.sizeFactor
const backend = await WebGpuBackend.open(await openNodeAdapter(), { precision: 'f16' })
const graphs = {
  'text keys and values': model.unet.recordTextKeyValues(2, chunkLength),
  'UNet, batch 2': model.unet.recordDenoise({ batch: 2, height, width, textTokens: chunkLength }),
  'VAE decoder': model.vae.recordDecode({ batch: 1, height, width }),
}
const figures: CompileFigures[] = []
for (const [network, graph] of Object.entries(graphs)) {
  const began = performance.now()
  const program = await backend.compile(graph)
  const compiled = performance.now()
  const inputs = Object.fromEntries(
    [...graph.inputs].map(([name, { shape }]) => [name, new Float32Array(elementCount(shape)).fill(0.5)]),
  )
  await program.run(inputs)
  figures.push({
    network,
    dispatches: program.stats.dispatches,
    compile: compiled - began,
    firstRun: performance.now() - compiled,
  })
}
process.stdout.write(JSON.stringify(figures))
await backend.dispose()
await model.close()
