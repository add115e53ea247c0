/** `attune maps open|inspect FILE`: exports of an attention recording, and what is in one, without the model. */
import { resolve } from 'node:path'
import { openFileSource } from '../../host/files.ts'
import { inspectPicture, readPicture } from '../../host/images.ts'
import { exportMaps } from '../../host/maps/export.ts'
import {
  parseColormap,
  parseFormats,
  parseHeads,
  parseList,
  parseMapRule,
  parseNormalisation,
  parseStepKind,
} from '../../host/maps/options.ts'
import { type AttentionRecording, readRecording } from '../../model/attention/recording.ts'
import { AttuneError } from '../../model/contract/errors.ts'
import { controlFacts } from './maps-facts.ts'
import { cancelled, type CommandIO, formatBytes, printableText, writeJson } from '../io.ts'

/** Values as commander leaves them. */
export interface MapsOpenOptions {
  readonly out: string
  readonly format: string
  readonly words?: string
  readonly layers?: string
  readonly heads?: string
  readonly colormap?: string
  readonly normalise?: string
  readonly rule?: string
  readonly steps?: string
  readonly image?: string
  readonly patches?: string
  readonly overwrite?: boolean
  readonly json?: boolean
}

/** Options are checked before the recording is opened, and that before anything is written. */
export async function openMaps(path: string, raw: MapsOpenOptions, io: CommandIO): Promise<void> {
  for (const [name, value] of Object.entries(raw)) {
    if (value === '')
      throw new AttuneError('bad-argument', `--${name} is empty.`, 'Give a value, or leave the option out.')
  }
  const options = {
    folder: resolve(io.cwd, raw.out),
    formats: parseFormats(raw.format, '--format'),
    ...(raw.words === undefined ? {} : { words: parseList(raw.words, '--words') }),
    ...(raw.layers === undefined ? {} : { layers: parseList(raw.layers, '--layers') }),
    ...(raw.heads === undefined ? {} : { heads: parseHeads(raw.heads) }),
    ...(raw.colormap === undefined ? {} : { colormap: parseColormap(raw.colormap) }),
    ...(raw.normalise === undefined ? {} : { normalise: parseNormalisation(raw.normalise) }),
    ...(raw.rule === undefined ? {} : { rule: parseMapRule(raw.rule, '--rule') }),
    ...(raw.steps === undefined ? {} : { steps: parseStepKind(raw.steps, '--steps') }),
    ...(raw.patches === undefined ? {} : { patches: parsePatches(raw.patches) }),
    ...(raw.overwrite ? { overwrite: true } : {}),
  }
  const picture = raw.image === undefined ? undefined : resolve(io.cwd, raw.image)
  const size = picture === undefined ? undefined : await inspectPicture(picture)
  const recording = await load(path, io)
  if (io.signal.aborted) throw cancelled()
  const image = picture && size ? await readPicture(picture, size.width, size.height) : undefined
  const { captured, run, perStep, spot, heads: recordedHeads, otherMetadata } = recording
  const { files, report } = await exportMaps(captured, {
    ...options,
    run,
    recordedHeads,
    otherMetadata,
    ...(perStep ? { perStep } : {}),
    ...(spot ? { spot } : {}),
    ...(image ? { image } : {}),
    signal: io.signal,
  })
  if (raw.json) writeJson(io, { type: 'maps', files, report })
  else io.stdout.write(`${printableText(`${files.length} files in ${options.folder}`)}\n`)
}

/** Says what a recording holds. */
export async function inspectMaps(path: string, json: boolean, io: CommandIO): Promise<void> {
  const recording = await load(path, io)
  const { captured, run, heads, perStep, spot, otherMetadata } = recording
  const layers = captured.layers.map(({ path: name, numHeads, width, height }) => ({
    path: name,
    numHeads,
    width,
    height,
  }))
  const words = captured.words.map(word => ({
    ...word,
    tokens: word.columns.map(column => captured.tokens[column]?.text ?? ''),
  }))
  if (json) {
    const { prompt, width, height, steps, half } = captured
    const kept = perStep
      ? {
          perStep: {
            width: perStep.width,
            height: perStep.height,
            steps: perStep.steps,
            words: perStep.words,
          },
        }
      : {}
    writeJson(io, {
      type: 'recording',
      ...run,
      prompt,
      width,
      height,
      steps,
      half,
      heads,
      words,
      layers,
      ...kept,
      ...(spot && { spot: { point: spot.point, width: spot.width, height: spot.height } }),
      otherMetadata: Object.keys(otherMetadata),
    })
    return
  }
  const say = (line: string) => io.stdout.write(`${printableText(line)}\n`)
  say(`"${captured.prompt}"`)
  say(
    `  picture: ${captured.width}x${captured.height}, ${captured.steps} steps, ${captured.half === 'cond' ? 'half with the prompt' : 'negative half'}`,
  )
  const facts = [
    run.model
      ? `model ${run.model.name}${run.model.sha256 ? ` (${run.model.sha256.slice(0, 12)}…)` : ''}`
      : '',
    run.sampler ? `sampler ${run.sampler}` : '',
    run.seed ? `seed ${run.seed}` : '',
    run.guidanceScale === undefined ? '' : `guidance ${run.guidanceScale}`,
  ].filter(Boolean)
  if (facts.length) say(`  ${facts.join(', ')}`)
  for (const line of controlFacts(run)) say(`  ${line}`)
  say(
    `  words: ${words.map(word => (word.tokens.length > 1 ? `${word.text} (${word.tokens.join('·')})` : word.text)).join(', ')}`,
  )
  say(`  layers (heads, width x height${heads === 'mean' ? '; heads are reduced to their mean' : ''}):`)
  for (const layer of layers) say(`    ${layer.path}: ${layer.numHeads}, ${layer.width}x${layer.height}`)
  if (perStep)
    say(
      `  maps of ${perStep.steps.length} steps and ${perStep.words.length} words, ${perStep.width}x${perStep.height}`,
    )
  if (spot) say(`  what the spot ${spot.point.x}, ${spot.point.y} looks at, ${spot.width}x${spot.height}`)
  const bytes = captured.layers.reduce(
    (sum, layer) => sum + layer.sums.byteLength,
    (perStep?.data.byteLength ?? 0) + (spot?.data.byteLength ?? 0),
  )
  say(`  ${formatBytes(bytes)} of maps`)
}

async function load(path: string, io: CommandIO): Promise<AttentionRecording> {
  const source = await openFileSource(resolve(io.cwd, path))
  try {
    return await readRecording(source)
  } finally {
    await source.close()
  }
}

function parsePatches(text: string): number {
  const value = /^\d{1,4}$/.test(text) ? Number(text) : 0
  if (value >= 1) return value
  throw new AttuneError(
    'bad-argument',
    `--patches must be a whole number from 1, but is "${text.slice(0, 40)}".`,
    'Write for example --patches 8.',
  )
}
