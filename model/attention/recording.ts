/**
 * The attention recording: one .safetensors file from which every map, report and figure can be drawn again without
 * the model. The tensors are the sums of `CapturedAttention`; everything else is a JSON manifest in the metadata.
 *
 * Layout (version 1): metadata `attune.recording` = manifest, tensors `layer.<path>` [N, H·W, T] F32 and, where maps
 * per step were kept, `steps` [K, W, H, W'] F32 (K steps, W words, a grid of H rows and W' columns); where a spot was
 * watched, `spot` [H, W'] F32. Other metadata is kept and written back. The version rises only when an older reader would misunderstand.
 */
import { z } from 'zod'
import type { ByteSource } from '../contract/bytes.ts'
import { AttuneError } from '../contract/errors.ts'
import { readRange, readSafetensorsHeader, type SafetensorsEntry } from '../weights/safetensors.ts'
import { type TensorToWrite, writeSafetensors } from '../weights/write-safetensors.ts'
import type { CapturedAttention, CapturedLayer } from './captured.ts'
import type { SpotMap } from './spot.ts'
import { checkRecordingManifest, type RecordingManifest, type RunFacts } from './recording-manifest.ts'

/** The metadata key of the manifest. */
export const recordingKey = 'attune.recording'
export const recordingVersion = 1
/** Characters of the manifest that are read: recordings may come from strangers. */
export const manifestLengthLimit = 4 << 20
/** Bytes of one recording: all sums are held in memory. */
export const recordingByteLimit = 2 ** 31

/** Maps of some steps, smaller than the layers' sums: means over layers and heads of one evaluation. */
export interface StepMaps {
  readonly width: number
  readonly height: number
  /** Which evaluations, from 0; K of them, rising. */
  readonly steps: readonly number[]
  /** Indices into `CapturedAttention.words`, W of them. */
  readonly words: readonly number[]
  /** [K, W, height, width]: mean probabilities. */
  readonly data: Float32Array
}

export interface AttentionRecording {
  readonly captured: CapturedAttention
  readonly run: RunFacts
  /** What the heads were reduced to: with 'mean' every layer has one head that is the mean of its heads. */
  readonly heads: 'all' | 'mean'
  readonly perStep?: StepMaps
  readonly spot?: SpotMap
  /** Metadata of the file that this version does not know. */
  readonly otherMetadata: Readonly<Record<string, string>>
}

/** The mean over heads as one head: a recording 8 to 16 times smaller, with the same word maps. */
export function reduceHeads(captured: CapturedAttention): CapturedAttention {
  const layers = captured.layers.map((layer): CapturedLayer => {
    const size = layer.sums.length / layer.numHeads
    const totals = new Float64Array(size)
    for (let at = 0; at < layer.sums.length; at++)
      totals[at % size] = (totals[at % size] as number) + (layer.sums[at] as number)
    return { ...layer, numHeads: 1, sums: Float32Array.from(totals, total => total / layer.numHeads) }
  })
  return { ...captured, layers }
}

/** A recording of a run that has just ended. */
export function makeRecording(
  captured: CapturedAttention,
  run: RunFacts = {},
  options: { readonly heads?: 'all' | 'mean'; readonly perStep?: StepMaps; readonly spot?: SpotMap } = {},
): AttentionRecording {
  const heads = options.heads ?? 'all'
  return {
    captured: heads === 'mean' ? reduceHeads(captured) : captured,
    run,
    heads,
    ...(options.perStep ? { perStep: options.perStep } : {}),
    ...(options.spot ? { spot: options.spot } : {}),
    otherMetadata: {},
  }
}

/**
 * The bytes of a recording's file. Equal recordings give equal bytes. The host writes them whole or not at all.
 * @throws AttuneError `non-finite` or `bad-file` for a recording that could not be read back
 */
export function writeRecording(recording: AttentionRecording): Uint8Array<ArrayBuffer> {
  const { captured, perStep, spot } = recording
  const manifest: RecordingManifest = {
    ...recording.run,
    version: recordingVersion,
    prompt: captured.prompt,
    width: captured.width,
    height: captured.height,
    steps: captured.steps,
    half: captured.half,
    heads: recording.heads,
    tokens: captured.tokens.map(token => ({
      ...token,
      ...(token.span ? { span: [...token.span] } : {}),
    })) as RecordingManifest['tokens'],
    words: captured.words.map(word => ({
      ...word,
      span: [...word.span],
      columns: [...word.columns],
    })) as RecordingManifest['words'],
    layers: captured.layers.map(({ path, numHeads, height, width }) => ({ path, numHeads, height, width })),
    ...(perStep
      ? {
          perStep: {
            width: perStep.width,
            height: perStep.height,
            steps: [...perStep.steps],
            words: [...perStep.words],
          },
        }
      : {}),
    ...(spot
      ? { spot: { point: { ...spot.point }, rows: spot.rows, width: spot.width, height: spot.height } }
      : {}),
  }
  // What is refused on reading is refused here, while the run is still there.
  checkRecordingManifest(manifest, 'The recording')
  const tensors = new Map<string, TensorToWrite>()
  for (const layer of captured.layers) {
    const shape = [layer.numHeads, layer.height * layer.width, captured.tokens.length]
    if (shape.reduce((a, b) => a * b, 1) !== layer.sums.length) {
      throw new AttuneError(
        'internal',
        `${layer.path} has ${layer.sums.length} sums for [${shape.join(', ')}].`,
      )
    }
    checkNumbers(layer.sums, 'The recording', layer.path)
    tensors.set(`layer.${layer.path}`, { dtype: 'F32', shape, data: layer.sums })
  }
  if (perStep) {
    const shape = [perStep.steps.length, perStep.words.length, perStep.height, perStep.width]
    checkNumbers(perStep.data, 'The recording', 'steps')
    tensors.set('steps', { dtype: 'F32', shape, data: perStep.data })
  }
  if (spot) {
    checkNumbers(spot.data, 'The recording', 'spot')
    tensors.set('spot', { dtype: 'F32', shape: [spot.height, spot.width], data: spot.data })
  }
  return writeSafetensors(tensors, { ...recording.otherMetadata, [recordingKey]: canonicalJson(manifest) })
}

/** Keys in one order, so that what was read and written again has the same bytes. */
function canonicalJson(value: object): string {
  return JSON.stringify(value, (_, part: unknown) =>
    part !== null && typeof part === 'object' && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  )
}

const versionSchema = z.looseObject({ version: z.int().min(1) })

/**
 * Reads a recording and checks all of it: container, manifest, every shape against the manifest, every number.
 * @throws AttuneError `bad-file`; `unsupported` when a newer Attune wrote it; `non-finite` for NaN and infinities
 */
export async function readRecording(source: ByteSource): Promise<AttentionRecording> {
  const { name } = source
  if (source.byteLength > recordingByteLimit) {
    throw damaged(
      name,
      `it has ${source.byteLength} bytes, more than the ${recordingByteLimit} that are read`,
    )
  }
  const header = await readSafetensorsHeader(source)
  const text = header.metadata.get(recordingKey)
  if (text === undefined) {
    throw new AttuneError(
      'bad-file',
      `${name} is a safetensors file, but no attention recording: the metadata "${recordingKey}" is missing.`,
      'Choose a file that attune generate --maps-format recording wrote.',
    )
  }
  const manifest = parseManifest(text, name)
  const expected = new Map<string, number[]>()
  for (const layer of manifest.layers) {
    expected.set(`layer.${layer.path}`, [layer.numHeads, layer.height * layer.width, manifest.tokens.length])
  }
  const { perStep, spot } = manifest
  if (perStep)
    expected.set('steps', [perStep.steps.length, perStep.words.length, perStep.height, perStep.width])
  if (spot) expected.set('spot', [spot.height, spot.width])
  // All headers before any data: a file that cannot be used is refused before it is read.
  for (const [key, shape] of expected) checkEntry(name, key, shape, header.tensors.get(key))
  for (const key of header.tensors.keys()) {
    if (!expected.has(key)) throw damaged(name, `its manifest does not know the tensor "${key}"`)
  }
  const numbers = async (key: string): Promise<Float32Array> => {
    const entry = header.tensors.get(key) as SafetensorsEntry
    const data = new Float32Array(entry.byteLength / 4)
    await readRange(source, entry.byteOffset, entry.byteLength, new Uint8Array(data.buffer))
    checkNumbers(data, name, key)
    return data
  }
  const layers: CapturedLayer[] = []
  for (const { path, numHeads, height, width } of manifest.layers) {
    layers.push({ path, numHeads, height, width, sums: await numbers(`layer.${path}`) })
  }
  const {
    version: _version,
    prompt,
    width,
    height,
    steps,
    half,
    heads,
    tokens,
    words,
    layers: _layers,
    perStep: _,
    spot: __,
    ...run
  } = manifest
  const otherMetadata = Object.fromEntries([...header.metadata].filter(([key]) => key !== recordingKey))
  return {
    captured: { prompt, width, height, steps, half, tokens, words, layers } as CapturedAttention,
    run: run as RunFacts,
    heads,
    ...(perStep ? { perStep: { ...perStep, data: await numbers('steps') } } : {}),
    ...(spot ? { spot: { ...spot, data: await numbers('spot') } } : {}),
    otherMetadata,
  }
}

function parseManifest(text: string, name: string): RecordingManifest {
  if (text.length > manifestLengthLimit) {
    throw damaged(
      name,
      `its manifest has ${text.length} characters, more than the ${manifestLengthLimit} that are read`,
    )
  }
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    throw damaged(name, 'its manifest is not JSON', cause)
  }
  const version = versionSchema.safeParse(json)
  if (!version.success) throw damaged(name, 'its manifest names no version')
  if (version.data.version > recordingVersion) {
    throw new AttuneError(
      'unsupported',
      `${name} was written by a newer Attune (recording version ${version.data.version}; this one reads up to ${recordingVersion}).`,
      'Update Attune to open it.',
    )
  }
  return checkRecordingManifest(json, name)
}

function checkEntry(
  name: string,
  key: string,
  shape: readonly number[],
  entry: SafetensorsEntry | undefined,
): void {
  if (!entry) throw damaged(name, `the tensor "${key}" is missing`)
  if (entry.dtype !== 'F32') throw damaged(name, `"${key}" is ${entry.dtype}, not F32`)
  if (entry.shape.length !== shape.length || entry.shape.some((size, axis) => size !== shape[axis])) {
    throw damaged(
      name,
      `"${key}" is [${entry.shape.join(', ')}], but its manifest says [${shape.join(', ')}]`,
    )
  }
}

/** Sums and means of probabilities are finite and not negative. */
function checkNumbers(data: Float32Array, name: string, key: string): void {
  for (let at = 0; at < data.length; at++) {
    const value = data[at] as number
    if (value >= 0 && value < Infinity) continue
    throw new AttuneError(
      'non-finite',
      `${name}: "${key}" holds ${value} at ${at}, which no sum of probabilities is.`,
      'Record the picture again; if it happens again, try --precision f32.',
    )
  }
}

function damaged(name: string, why: string, cause?: unknown): AttuneError {
  return new AttuneError(
    'bad-file',
    `${name} is not an attention recording that can be read: ${why}.`,
    'Get a whole copy of the file, or record the picture again.',
    { cause },
  )
}
