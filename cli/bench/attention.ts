/**
 * Cross-attention with each control against the plain form, interleaved round by round in one process, as ratios. The
 * layer is Stable Diffusion 1.5's at 32x32 positions: both halves of guidance, 8 heads of 80, 77 tokens. Eight such
 * layers stand in one graph, so that the cost of a submit and of reading a result back does not hide them.
 */
import { openModelFolder } from '../../host/model-folder.ts'
import { openNodeAdapter } from '../../host/webgpu.ts'
import { CapturePlan } from '../../model/attention/capture.ts'
import { WebGpuBackend } from '../../model/gpu/backend.ts'
import type { Program } from '../../model/graph/program.ts'
import { DiffusionModel } from '../../model/pipeline/diffusion-model.ts'
import { elementCount } from '../../model/tensor/shape.ts'
import { chunkLength, packChunks, tokenPlaces } from '../../model/text/chunks.ts'
import type { CommandIO } from '../io.ts'
import { embeddedModel } from '../local-engine.ts'
import { anyInputs, graphOf, layers, layerShape, paired, variants } from './attention-forms.ts'
import { median, printTable } from './table.ts'

const rounds = 18
/** Of a cheap evaluation whose cost is to be told to a percent. */
const unetRounds = 40

export async function benchAttention(io: CommandIO, json: boolean): Promise<void> {
  const backend = await WebGpuBackend.open(await openNodeAdapter(), { precision: 'f16' })
  try {
    const runs: { name: string; program: Program; times: number[]; processor: number[] }[] = []
    for (const variant of variants) {
      const graph = graphOf(variant)
      const program = await backend.compile(graph)
      await program.run(anyInputs(graph))
      runs.push({ name: variant.name, program, times: [], processor: [] })
    }
    for (let round = 0; round < rounds; round++) await measureInTurn(runs, round)
    const [plain] = runs
    printTable(
      io,
      json,
      `attention: ${layers} layers of ${layerShape.batch}x${layerShape.length} positions, ${layerShape.heads} heads of ${layerShape.headDim}, ${layerShape.tokens} tokens; ${backend.description}`,
      runs.map(({ name, times, processor }) => ({
        form: name,
        'ms a layer': median(times) / layers,
        'of plain': paired(times, plain?.times ?? []),
        'processor time of plain': paired(processor, plain?.processor ?? []),
      })),
      2,
    )
    for (const { program } of runs) program.dispose()
    await benchCapture(backend, io, json)
  } finally {
    await backend.dispose()
  }
}

/** A whole evaluation of the embedded model's UNet with words being watched, against one without. */
async function benchCapture(backend: WebGpuBackend, io: CommandIO, json: boolean): Promise<void> {
  const model = await DiffusionModel.open(await openModelFolder(embeddedModel))
  const size = {
    batch: layerShape.batch,
    height: model.defaults.height / model.vae.sizeFactor,
    width: model.defaults.width / model.vae.sizeFactor,
    textTokens: chunkLength,
  }
  const prompt = 'a red car and a blue house on the green grass under a cloudy sky'
  const places = tokenPlaces(packChunks(model.tokenizer.encodeText(prompt), model.tokenizer))
  const open = async (name: string, plan?: CapturePlan) => {
    const graph = model.unet.recordDenoise({ ...size, ...(plan && { attentionControls: plan.controls(1) }) })
    const program = await backend.compile(graph)
    const inputs: Record<string, Float32Array> = {}
    for (const [input, { shape }] of graph.inputs) {
      inputs[input] = Float32Array.from({ length: elementCount(shape) }, (_, i) => Math.sin(i))
    }
    await program.run({ ...inputs, ...plan?.inputs })
    return { name, program, times: [] as number[], processor: [] as number[] }
  }
  const text = { prompt, places }
  const runs = [
    await open('no capture'),
    await open('capture of 2 words', new CapturePlan(text, { words: ['car', 'house'] })),
    await open('capture of all words', new CapturePlan(text)),
    await open('all words, live maps', new CapturePlan(text, { live: true })),
  ]
  for (let round = 0; round < unetRounds; round++) await measureInTurn(runs, round)
  const [plain] = runs
  printTable(
    io,
    json,
    `capture: one evaluation of the embedded model's UNet, ${size.width}x${size.height} latents, both halves`,
    runs.map(({ name, program, times, processor }) => ({
      form: name,
      dispatches: program.stats.dispatches,
      'ms an evaluation': median(times),
      'of none': paired(times, plain?.times ?? []),
      'processor time of none': paired(processor, plain?.processor ?? []),
    })),
    3,
  )
  for (const { program } of runs) program.dispose()
}

/** One measurement of each. The first of a round finds other caches than the last: everybody is first in turn. */
async function measureInTurn(runs: readonly Parameters<typeof measure>[0][], round: number): Promise<void> {
  const turn = round % runs.length
  for (const run of [...runs.slice(turn), ...runs.slice(0, turn)]) await measure(run)
}

async function measure(run: { program: Program; times: number[]; processor: number[] }): Promise<void> {
  const [started, before] = [performance.now(), process.cpuUsage()]
  await run.program.run({})
  const used = process.cpuUsage(before)
  run.times.push(performance.now() - started)
  run.processor.push((used.user + used.system) / 1000)
}
