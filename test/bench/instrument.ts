/**
 * Does the instrument tell the truth, and do its controls do what they say? Three measurements with the embedded model:
 *
 *   npx tsx test/bench/instrument.ts pointing --scenes FILE   the peak of a word's map lies on what the word names
 *   npx tsx test/bench/instrument.ts sweep [--prompts N] [--laws a,b] [--save FOLDER]   more weight, more of the word
 *   npx tsx test/bench/instrument.ts edit [--pairs N]         an edit keeps the background
 *
 * FOLDER receives the pictures of the sweep, for `python -m storybook.evaluate.sweep FOLDER` in training/.
 * FILE: `python -m storybook.export_held_out` in training/ (scenes that were never trained on, with the place of every
 * word). Everything is seeded; --backend wasm (default), webgpu or cpu. Printed as Markdown, for docs/instrument.md.
 */
import { readFileSync } from 'node:fs'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import sharp from 'sharp'
import { openBackend } from '../../host/seat/backend.ts'
import { embeddedModel } from '../../cli/local-engine.ts'
import { openModelFolder } from '../../host/model-folder.ts'
import type { CapturedAttention } from '../../model/attention/captured.ts'
import { finestGrid, wordMaps } from '../../model/attention/maps.ts'
import type { Controls } from '../../model/contract/controls.ts'
import { controlsSchema } from '../../model/contract/controls.ts'
import { weightLaws } from '../../model/contract/prompt.ts'
import type { ResolvedRequest } from '../../model/contract/request.ts'
import type { Backend } from '../../model/graph/program.ts'
import { resizeHeat } from '../../model/image/heat.ts'
import { Conditioning } from '../../model/pipeline/conditioning.ts'
import { DiffusionModel } from '../../model/pipeline/diffusion-model.ts'
import { type GeneratedPicture, type GenerateInputs, generate } from '../../model/pipeline/generate.ts'
import { gaussianSource } from '../../model/random/source.ts'
import { correctedForStableDiffusion, createScheduler } from '../../model/schedulers/index.ts'
import { toChannelsLast } from '../../model/tensor/layout.ts'
import { timestepSinusoid } from '../../model/unet/timestep.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    scenes: { type: 'string' },
    prompts: { type: 'string', default: '50' },
    pairs: { type: 'string', default: '30' },
    laws: { type: 'string', default: 'logit-bias,comfy,a1111' },
    save: { type: 'string' },
    self: { type: 'string', default: '0.4' },
    cross: { type: 'string', default: '0.8' },
    backend: { type: 'string', default: 'wasm' },
    model: { type: 'string', default: embeddedModel },
  },
})

const model = await DiffusionModel.open(await openModelFolder(values.model))
const backend: Backend = await openBackend(
  { backend: values.backend as 'wasm', precision: 'f32', gigaflop: 1, parameters: 1 },
  text => console.error(text),
)

const base: Omit<ResolvedRequest, 'prompt' | 'seed'> = {
  negativePrompt: '',
  width: model.defaults.width,
  height: model.defaults.height,
  steps: model.defaults.steps,
  guidanceScale: model.defaults.guidanceScale,
  guidanceRescale: 0,
  rng: 'cpu',
  sampler: 'ddim',
  precision: 'f32',
  clipSkip: 1,
  dialect: 'a1111',
}

async function draw(
  words: Partial<ResolvedRequest> & Pick<ResolvedRequest, 'prompt' | 'seed'>,
  inputs: GenerateInputs = {},
): Promise<GeneratedPicture> {
  const run = generate(model, backend, { ...base, ...words }, inputs)
  for (;;) {
    const next = await run.next()
    if (next.done) return next.value
  }
}

const share = (part: number, whole: number): string => `${((100 * part) / whole).toFixed(1)} %`

// ------------------------------------------------------------------------------------------------------- pointing

/** [word, row of the scene's regions or −1] */
type Caption = readonly (readonly [string, number])[]

function readScenes(file: string): {
  captions: Caption[]
  latents: Float32Array
  regions: Float32Array
  shape: number[]
} {
  const bytes = readFileSync(file)
  const length = Number(bytes.readBigUInt64LE(0))
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as Record<
    string,
    { shape: number[]; data_offsets: [number, number] }
  >
  const { captions } = (header['__metadata__'] ?? {}) as unknown as { captions?: string }
  const take = (name: string): Float32Array => {
    const [start, end] = header[name]?.data_offsets ?? [0, 0]
    return new Float32Array(new Uint8Array(bytes.subarray(8 + length + start, 8 + length + end)).buffer)
  }
  return {
    captions: JSON.parse(captions ?? '[]') as Caption[],
    latents: take('latents'),
    regions: take('regions'),
    shape: header['regions']?.shape ?? [],
  }
}

async function pointing(file: string): Promise<void> {
  const { captions, latents, regions, shape } = readScenes(file)
  const [, rows = 0, height = 0, width = 0] = shape
  const positions = height * width
  const size = latents.length / captions.length
  const channels = size / positions
  const scheduler = createScheduler(
    'ddim',
    correctedForStableDiffusion(model.schedulerConfig, 'ddim'),
    base.steps,
    {},
  )
  const noise = gaussianSource('cpu', 1n)
  const unet = await backend.compile(
    model.unet.recordDenoise({ batch: 1, height, width, textTokens: 77, capture: () => true }),
  )
  const time = await backend.compile(model.unet.recordTimeProjections(base.steps))
  const { levels, flipSinToCos, freqShift } = model.unet.config
  const { timeProjections } = await time.run({
    timeSinusoid: timestepSinusoid(scheduler.timesteps, levels[0]?.channels ?? 0, flipSinToCos, freqShift),
  })
  const timeWidth = model.unet.timeProjectionWidth
  const keyValues = await backend.compile(model.unet.recordTextKeyValues(1, 77))
  const tokens = Array.from({ length: 77 }, (_, index) => index)
  const steps = [2, 5, 8]
  const found = steps.map(() => ({ hits: 0, words: 0, inside: 0, chance: 0 }))
  for (const [scene, caption] of captions.entries()) {
    const prompt = caption.map(([word]) => word).join(' ')
    // One text, plain: a caption has no syntax.
    const words = new Conditioning(
      model,
      { ...base, dialect: 'plain', prompt, seed: '0', guidanceScale: 1 },
      1,
    )
    await words.encode()
    words.useProgram(keyValues)
    const text = words.textOf('cond', 'Maps need')
    const given = await words.changesAt(0)
    // The words of the caption, by the characters that they begin at.
    const starts: number[] = []
    let start = 0
    for (const [word] of caption) {
      starts.push(start)
      start += word.length + 1
    }
    for (const [s, step] of steps.entries()) {
      const clean = latents.subarray(scene * size, (scene + 1) * size)
      const sample = scheduler.scaleModelInput(scheduler.addNoise(clean, noise.randn(size), step), step)
      const outputs = await unet.run({
        sample: toChannelsLast(sample, channels, positions),
        timeProjections: (timeProjections as Float32Array).slice(step * timeWidth, (step + 1) * timeWidth),
        ...(given && { textKeyValues: given.textKeyValues }),
      })
      const captured: CapturedAttention = {
        prompt,
        width,
        height,
        steps: 1,
        half: 'cond',
        tokens: tokens.map(index => ({ index, chunk: 0, position: index, id: 0, text: '' })),
        words: caption.map(([word], i) => ({
          text: word,
          span: [starts[i] as number, (starts[i] as number) + word.length],
          columns: text.places
            .filter(
              ({ token }) =>
                token.start >= (starts[i] as number) && token.end <= (starts[i] as number) + word.length,
            )
            .map(({ row }) => row),
        })),
        layers: model.unet.crossAttentionLayers.map(({ path, numHeads, downsampleFactor }) => ({
          path,
          numHeads,
          height: Math.ceil(height / downsampleFactor),
          width: Math.ceil(width / downsampleFactor),
          sums: outputs[`${path}.probabilities`] as Float32Array,
        })),
      }
      const tally = found[s] as (typeof found)[number]
      const placed = caption.flatMap(([, region], i) =>
        region >= 0 && captured.words[i]?.columns.length ? [i] : [],
      )
      for (const map of wordMaps(captured, { width, height, words: placed })) {
        const region = caption[map.index]?.[1] ?? 0
        const mask = regions.subarray(
          (scene * rows + region) * positions,
          (scene * rows + region + 1) * positions,
        )
        // A cell counts as the object's when it is its for a tenth: small things never fill a cell.
        const inside = (at: number): boolean => (mask[at] as number) > 0.1
        const area = mask.reduce((sum, _, at) => sum + (inside(at) ? 1 : 0), 0)
        if (area === 0) continue
        const peak = map.data.indexOf(Math.max(...map.data))
        const total = map.data.reduce((sum, value) => sum + value, 0)
        tally.words++
        if (inside(peak)) tally.hits++
        tally.inside += map.data.reduce((sum, value, at) => sum + (inside(at) ? value : 0), 0) / total
        tally.chance += area / positions
      }
    }
    if (scene % 32 === 31) console.error(`${scene + 1} scenes`)
  }
  console.log(`Pointing game, ${captions.length} held-out scenes, one evaluation each:\n`)
  console.log(
    '| noise | words with a place | peak inside | mass inside | area (chance) |\n|---|---|---|---|---|',
  )
  for (const [s, step] of steps.entries()) {
    const { hits, words, inside, chance } = found[s] as (typeof found)[number]
    console.log(
      `| step ${step + 1} of ${base.steps} (sigma ${(scheduler.sigmas[step] ?? 0).toFixed(2)}) | ${words} | ${share(hits, words)} | ${share(inside, words)} | ${share(chance, words)} |`,
    )
  }
}

// ---------------------------------------------------------------------------------------------------------- sweep

const things = ['car', 'house', 'tree', 'boat', 'flower', 'cat', 'rabbit', 'balloon', 'castle', 'apple']
const colours = ['red', 'blue', 'yellow', 'green', 'pink']
const grounds = ['on the grass', 'on the beach', 'in the snow', 'in the desert', 'on the road']

function prompts(count: number): { prompt: string; word: string }[] {
  return Array.from({ length: count }, (_, i) => {
    const word = things[i % things.length] as string
    const colour = colours[Math.floor(i / 2) % colours.length] as string
    const ground = grounds[Math.floor(i / 10) % grounds.length] as string
    return { prompt: `a ${colour} ${word} ${ground} under a blue sky`, word }
  })
}

/** The mean of a word's map: how much of the picture's attention it has. */
function massOf(captured: CapturedAttention | undefined, word: string): number {
  if (!captured) return NaN
  const [map] = wordMaps(captured, { ...finestGrid(captured), words: [word] })
  return (map?.data.reduce((sum, value) => sum + value, 0) ?? NaN) / (map?.data.length ?? 1)
}

async function sweep(count: number): Promise<void> {
  const weights = [0, 0.5, 1, 1.5, 2]
  const laws = weightLaws.filter(law => values.laws.split(',').includes(law))
  const saved: { file: string; law: string; word: string; prompt: string; weight: number }[] = []
  if (values.save) await mkdir(values.save, { recursive: true })
  console.log(`Weight sweep of one word, ${count} prompts, seed 1:\n`)
  console.log(
    `| law | rises at every step | Spearman's rho, mean | mean presence at weight ${weights.join(' / ')} |\n|---|---|---|---|`,
  )
  for (const emphasis of laws) {
    let rising = 0
    let rho = 0
    const mean = weights.map(() => 0)
    for (const [number, { prompt, word }] of prompts(count).entries()) {
      const presence: number[] = []
      for (const weight of weights) {
        const weighted = prompt.replace(word, `(${word}:${weight})`)
        const drawn = await draw({ prompt: weighted, seed: '1', emphasis }, { capture: { words: [word] } })
        presence.push(massOf(drawn.attention, word))
        if (!values.save) continue
        const file = `${number}-${emphasis}-${weight}.png`
        const { width, height, channels, data } = drawn.picture
        await sharp(data, { raw: { width, height, channels } }).toFile(join(values.save, file))
        saved.push({ file, law: emphasis, word, prompt, weight })
      }
      if (presence.every((value, i) => i === 0 || value > (presence[i - 1] as number))) rising++
      rho += spearman(presence)
      for (const [i, value] of presence.entries()) mean[i] = (mean[i] as number) + value / count
    }
    console.log(
      `| ${emphasis} | ${share(rising, count)} | ${(rho / count).toFixed(3)} | ${mean.map(value => value.toFixed(4)).join(' / ')} |`,
    )
  }
  if (values.save) await writeFile(join(values.save, 'sweep.json'), JSON.stringify(saved))
}

/** Rank correlation with the order 0, 1, 2 … */
function spearman(values: readonly number[]): number {
  const ranks = values.map(value => values.filter(other => other < value).length)
  const n = values.length
  const d2 = ranks.reduce((sum, rank, i) => sum + (rank - i) ** 2, 0)
  return 1 - (6 * d2) / (n * (n * n - 1))
}

// ----------------------------------------------------------------------------------------------------------- edit

async function edit(count: number): Promise<void> {
  const pairs = Array.from({ length: count }, (_, i) => ({
    from: ['cat', 'car', 'tree', 'house', 'rabbit'][i % 5] as string,
    to: ['dog', 'truck', 'mushroom', 'castle', 'bear'][i % 5] as string,
    ground: grounds[Math.floor(i / 5) % grounds.length] as string,
    seed: String(100 + i),
  }))
  const kinds = ['edit', 'edit with a mask', 'new prompt, same seed'] as const
  const sums = kinds.map(() => 0)
  const within = kinds.map(() => 0)
  for (const { from, to, ground, seed } of pairs) {
    const sourcePrompt = `a ${from} ${ground} under a blue sky`
    const prompt = `a ${to} ${ground} under a blue sky`
    const controls = (blend: boolean): Controls =>
      controlsSchema.parse({
        edit: {
          sourcePrompt,
          cross: { start: 0, end: Number(values.cross) },
          self: { start: 0, end: Number(values.self) },
          ...(blend && { blend: { source: [from], target: [to] } }),
        },
      })
    const before = await draw({ prompt: sourcePrompt, seed }, { capture: { words: [from] } })
    // The object: where the map of its word is, or of the word that stands in for it.
    const results = [
      await draw({ prompt, seed, controls: controls(false) }, { capture: { words: [to] } }),
      await draw({ prompt, seed, controls: controls(true) }, { capture: { words: [to] } }),
      await draw({ prompt, seed }, { capture: { words: [to] } }),
    ]
    const fresh = await draw({ prompt, seed: String(Number(seed) + 5000) })
    const object = union(objectOf(before.attention, from), objectOf(results[0]?.attention, to))
    const reference = outside(before, fresh, object)
    for (const [i, result] of results.entries()) {
      const ratio = outside(before, result, object) / reference
      sums[i] = (sums[i] as number) + ratio
      if (ratio <= 0.25) within[i] = (within[i] as number) + 1
    }
  }
  console.log(
    `Edits of one word, ${count} pairs. Mean absolute difference outside of the object, against a fresh picture:\n`,
  )
  console.log('| | ratio, mean | pairs at most 25 % |\n|---|---|---|')
  for (const [i, kind] of kinds.entries()) {
    console.log(
      `| ${kind} | ${((sums[i] as number) / count).toFixed(3)} | ${share(within[i] as number, count)} |`,
    )
  }
}

/** A position is the object's where its word's map is above this share of the peak: half would leave out its edges. */
const objectShare = 0.25

/** [H·W] of the picture: 1 where the object is. */
function objectOf(captured: CapturedAttention | undefined, word: string): Uint8Array {
  if (!captured) return new Uint8Array(base.width * base.height)
  const [map] = wordMaps(captured, { ...finestGrid(captured), words: [word] })
  if (!map) return new Uint8Array(base.width * base.height)
  const heat = resizeHeat(map, base.width, base.height)
  const peak = Math.max(...map.data)
  return Uint8Array.from(heat.data, value => (value > objectShare * peak ? 1 : 0))
}

const union = (a: Uint8Array, b: Uint8Array): Uint8Array => a.map((value, i) => value | (b[i] as number))

function outside(a: GeneratedPicture, b: GeneratedPicture, object: Uint8Array): number {
  let [sum, count] = [0, 0]
  for (let i = 0; i < object.length; i++) {
    if (object[i]) continue
    for (let c = 0; c < 3; c++)
      sum += Math.abs((a.picture.data[3 * i + c] as number) - (b.picture.data[3 * i + c] as number))
    count += 3
  }
  return sum / count
}

const [what] = positionals
if (what === 'pointing' && values.scenes !== undefined) await pointing(values.scenes)
else if (what === 'sweep') await sweep(Number(values.prompts))
else if (what === 'edit') await edit(Number(values.pairs))
else console.error('Name one: pointing --scenes FILE, sweep, edit')
await backend.dispose()
await model.close()
