/**
 * Draws the prompts of training/prompts with our own engine, for the evaluator to read:
 *
 *   npm run evaluate:storybook -- [--count N] [--set single] [--steps 12] [--backend wasm] [--model FOLDER] [--maps] [--diverse N]
 *
 * Pictures go to .attune/evaluate/NNNN.png; what is there already is not drawn again. --count takes that many prompts
 * at random (the same ones each time), spread over the sets. --maps also writes the maps of the words of each thing
 * (NNNN.npy, [words, height, width] at latent size). --diverse N draws N prompts of one object with five seeds more.
 * With ATTUNE_PYTHON (training/requirements.txt installed there) the scores are printed at the end; what needs real
 * scenes wants ATTUNE_TRAINING_DIR, the work folder of the training, as well.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { openBackend } from '../host/seat/backend.ts'
import { embeddedModel } from '../cli/local-engine.ts'
import { encodePng } from '../host/images.ts'
import { openModelFolder } from '../host/model-folder.ts'
import type { CapturedAttention } from '../model/attention/captured.ts'
import { wordMaps } from '../model/attention/maps.ts'
import type { ResolvedRequest } from '../model/contract/request.ts'
import { DiffusionModel } from '../model/pipeline/diffusion-model.ts'
import { type GeneratedPicture, generate } from '../model/pipeline/generate.ts'
import { writeNpy } from '../model/tensor/npy.ts'

interface Prompt {
  readonly id: number
  readonly prompt: string
  readonly seed: string
  readonly things: readonly { readonly spans: readonly (readonly [number, number])[] }[]
}

interface Picture {
  readonly file: string
  readonly prompt: Prompt
  readonly seed: string
  readonly maps: boolean
}

const sets = ['single', 'pair', 'relations', 'full', 'typed'] as const
const training = fileURLToPath(new URL('../training', import.meta.url))
const { values } = parseArgs({
  options: {
    count: { type: 'string' },
    set: { type: 'string', multiple: true },
    steps: { type: 'string' },
    guidance: { type: 'string' },
    backend: { type: 'string', default: 'wasm' },
    model: { type: 'string', default: embeddedModel },
    out: { type: 'string', default: '.attune/evaluate' },
    maps: { type: 'boolean', default: false },
    diverse: { type: 'string', default: '0' },
  },
})

/** Spreads over the sets: the n-th prompt of each before the next of any; shuffled within a set, always alike. */
function choose(count: number | undefined): Prompt[] {
  const lists = sets
    .filter(name => !values.set || values.set.includes(name))
    .map(name => {
      const prompts = JSON.parse(readFileSync(join(training, 'prompts', `${name}.json`), 'utf8')) as Prompt[]
      return prompts.toSorted((a, b) => scattered(a.id) - scattered(b.id))
    })
  const longest = Math.max(0, ...lists.map(list => list.length))
  const all = Array.from({ length: longest }, (_, i) => lists.flatMap(list => list[i] ?? [])).flat()
  return all.slice(0, count)
}

/** A number's place in a fixed shuffle: a multiplicative hash. */
const scattered = (id: number): number => Math.imul(id + 1, 0x9e3779b1) >>> 0

const numberOf = (prompt: Prompt): string => String(prompt.id).padStart(4, '0')

function pictures(): Picture[] {
  const chosen = choose(values.count === undefined ? undefined : Number(values.count))
  const first = chosen.map(prompt => ({
    file: `${numberOf(prompt)}.png`,
    prompt,
    seed: prompt.seed,
    maps: values.maps,
  }))
  const several = chosen.filter(({ id }) => id < 250).slice(0, Number(values.diverse))
  const more = several.flatMap(prompt =>
    Array.from({ length: 5 }, (_, i) => ({
      file: `${numberOf(prompt)}-${i + 1}.png`,
      prompt,
      seed: String(10_000 * (i + 1) + prompt.id),
      maps: false,
    })),
  )
  return [...first, ...more]
}

/** [words, height, width]: the map of each span of each thing; not a number where the text has no such word. */
function mapsOf(
  captured: CapturedAttention,
  prompt: Prompt,
  height: number,
  width: number,
): { shape: number[]; data: Float32Array } {
  const spans = prompt.things.flatMap(thing => thing.spans)
  const data = new Float32Array(spans.length * height * width).fill(NaN)
  for (const [row, [start, end]] of spans.entries()) {
    // "t-rex" is three words to the tokenizer: their maps are added, as those of a word's tokens are.
    const indices = captured.words.flatMap(({ span, columns }, i) =>
      span[0] < end && span[1] > start && columns.length > 0 ? [i] : [],
    )
    if (indices.length === 0) continue
    const sum = data.subarray(row * height * width, (row + 1) * height * width).fill(0)
    for (const map of wordMaps(captured, { height, width, words: indices })) {
      for (const [at, value] of map.data.entries()) sum[at] = (sum[at] as number) + value
    }
  }
  return { shape: [spans.length, height, width], data }
}

/** Half a file would count as drawn. */
function put(path: string, bytes: Uint8Array | string): void {
  writeFileSync(`${path}.part`, bytes)
  renameSync(`${path}.part`, path)
}

/** @throws when the folder holds pictures of another model or other settings */
function claim(folder: string, settings: Record<string, unknown>): void {
  mkdirSync(folder, { recursive: true })
  const path = join(folder, 'run.json')
  const text = `${JSON.stringify(settings, undefined, 1)}\n`
  if (existsSync(path) && readFileSync(path, 'utf8') !== text) {
    throw new Error(
      `${folder} holds pictures drawn otherwise (see run.json). Remove it, or name another: --out`,
    )
  }
  put(path, text)
}

async function drawAll(folder: string): Promise<void> {
  const opened = await openModelFolder(values.model)
  const sums = await opened.text('SHA256SUMS')
  const model = await DiffusionModel.open(opened)
  const { defaults } = model
  const base: Omit<ResolvedRequest, 'prompt' | 'seed'> = {
    negativePrompt: '',
    width: defaults.width,
    height: defaults.height,
    steps: values.steps === undefined ? defaults.steps : Number(values.steps),
    guidanceScale: values.guidance === undefined ? defaults.guidanceScale : Number(values.guidance),
    guidanceRescale: 0,
    rng: 'cpu',
    sampler: 'ddim',
    precision: 'f32',
    clipSkip: 1,
    dialect: 'plain',
  }
  claim(folder, { ...base, backend: values.backend, weights: sums?.slice(0, 4096) ?? values.model })
  const asked = pictures()
  const left = asked.filter(
    ({ file, maps }) =>
      !existsSync(join(folder, file)) || (maps && !existsSync(join(folder, file.replace('.png', '.npy')))),
  )
  console.error(`${asked.length} pictures, ${asked.length - left.length} are there`)
  if (left.length === 0) return model.close()
  const backend = await openBackend(
    { backend: values.backend as 'wasm', precision: 'f32', gigaflop: 1, parameters: 1 },
    text => console.error(text),
  )
  const began = performance.now()
  for (const [n, { file, prompt, seed, maps }] of left.entries()) {
    const run = generate(
      model,
      backend,
      { ...base, prompt: prompt.prompt, seed },
      maps ? { capture: {} } : {},
    )
    let next = await run.next()
    while (!next.done) next = await run.next()
    const { picture, attention }: GeneratedPicture = next.value
    if (maps && attention) {
      const factor = model.vae.sizeFactor
      const { shape, data } = mapsOf(attention, prompt, base.height / factor, base.width / factor)
      put(join(folder, file.replace('.png', '.npy')), writeNpy(shape, data))
    }
    put(join(folder, file), await encodePng(picture))
    const seconds = (performance.now() - began) / 1000 / (n + 1)
    if (n % 10 === 9 || n + 1 === left.length) {
      console.error(
        `${n + 1} of ${left.length}, ${seconds.toFixed(1)} s a picture, ${Math.round(((left.length - n - 1) * seconds) / 60)} min left`,
      )
    }
  }
  await backend.dispose()
  await model.close()
}

const folder = resolve(values.out)
await drawAll(folder)
const python = process.env['ATTUNE_PYTHON']
if (python === undefined) {
  console.error(
    `Drawn. To score: ATTUNE_PYTHON, or in training/: python -m storybook.evaluate --pictures ${folder}`,
  )
} else {
  const { status } = spawnSync(python, ['-m', 'storybook.evaluate', '--pictures', folder], {
    cwd: training,
    stdio: 'inherit',
  })
  process.exitCode = status ?? 1
}
