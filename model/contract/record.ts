/**
 * The durable record of a picture: JSON inside its PNG that holds everything that made it. The gallery's index can
 * be thrown away and rebuilt from these. Unknown fields, at any level, are kept as they are: a picture that a newer
 * Attune wrote and an older one re-saves loses nothing.
 */
import { z } from 'zod'
import { AttuneError } from './errors.ts'
import { promptDialects, weightCurvesSchema, weightLaws } from './prompt.ts'
import { noiseGenerators, precisions, type ResolvedRequest, samplers, seedSchema } from './request.ts'

/** The PNG text keyword of the record, and the value of its `format` field. */
export const recordKeyword = 'attune'
/** Raised only when an older reader would misunderstand the record; new optional fields do not raise it. */
export const recordVersion = 1
/** Longest record that is read: pictures come from strangers. */
export const recordLengthLimit = 1 << 20

const recordedRequestSchema = z.looseObject({
  prompt: z.string(),
  negativePrompt: z.string(),
  width: z.int(),
  height: z.int(),
  steps: z.int(),
  guidanceScale: z.number(),
  guidanceRescale: z.number(),
  seed: seedSchema,
  rng: z.enum(noiseGenerators),
  sampler: z.enum(samplers),
  precision: z.enum(precisions),
  clipSkip: z.int(),
  /** Absent before there were dialects: plain text. */
  dialect: z.enum(promptDialects).optional(),
  emphasis: z.enum(weightLaws).optional(),
  oldTimeline: z.boolean().optional(),
  weightCurves: weightCurvesSchema.readonly().optional(),
  /** As of `Controls`, looked at when they are used: a newer version's controls do not make a record unreadable. */
  controls: z.record(z.string(), z.unknown()).optional(),
  /** As of `ControlGuide`, likewise. */
  guides: z.array(z.record(z.string(), z.unknown())).readonly().optional(),
  /** As of `ImagePrompt`, likewise. */
  imagePrompts: z.array(z.record(z.string(), z.unknown())).readonly().optional(),
  strength: z.number().optional(),
  vaeTile: z.int().optional(),
})

export const recordSchema = z.looseObject({
  format: z.literal('attune'),
  version: z.int().min(1),
  /** The program that wrote the record, e.g. { name: 'Attune', version: '0.1.0' }. */
  app: z.looseObject({ name: z.string(), version: z.string() }),
  /** When the picture was finished, ISO 8601 in UTC. */
  created: z.string(),
  request: recordedRequestSchema,
  /** The model by name and, where it was computed, the SHA-256 of its main weights. Never a path of a machine. */
  model: z.looseObject({ name: z.string(), sha256: z.string().optional(), family: z.string().optional() }),
  /** Files that took part, by name and SHA-256. */
  inputs: z
    .array(z.looseObject({ role: z.string(), name: z.string(), sha256: z.string().optional() }))
    .optional(),
  /** Where it ran: needed to explain why two pictures of one seed differ in their last bits. */
  machine: z.looseObject({ backend: z.string(), adapter: z.string() }).optional(),
})

export type PictureRecord = z.output<typeof recordSchema>

export interface RecordParts {
  readonly appVersion: string
  readonly created: Date
  readonly request: ResolvedRequest
  readonly model: { readonly name: string; readonly sha256?: string; readonly family?: string }
  readonly inputs?: readonly { readonly role: string; readonly name: string; readonly sha256?: string }[]
  readonly machine?: { readonly backend: string; readonly adapter: string }
}

export function makeRecord(parts: RecordParts): PictureRecord {
  return {
    format: 'attune',
    version: recordVersion,
    app: { name: 'Attune', version: parts.appVersion },
    created: parts.created.toISOString(),
    request: { ...parts.request },
    model: { ...parts.model },
    ...(parts.inputs?.length ? { inputs: parts.inputs.map(input => ({ ...input })) } : {}),
    ...(parts.machine ? { machine: { ...parts.machine } } : {}),
  }
}

export function writeRecord(record: PictureRecord): string {
  return JSON.stringify(record)
}

/**
 * Reads a record from a picture's text.
 * @throws AttuneError `bad-file` when it is not a record that this version understands; the caller keeps the text
 */
export function readRecord(text: string): PictureRecord {
  if (text.length > recordLengthLimit) {
    throw new AttuneError(
      'bad-file',
      `The picture's Attune record has ${text.length} characters, more than the ${recordLengthLimit} that are read.`,
      'The picture itself is unharmed; its settings have to be entered by hand.',
    )
  }
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    throw damaged('it is not JSON', cause)
  }
  const version = (json as { version?: unknown } | null)?.version
  if (typeof version === 'number' && version > recordVersion) {
    throw new AttuneError(
      'unsupported',
      `The picture was made by a newer Attune (record version ${version}; this one reads up to ${recordVersion}).`,
      'Update Attune to restore its settings.',
    )
  }
  const parsed = recordSchema.safeParse(json)
  if (parsed.success) return parsed.data
  const first = parsed.error.issues[0]
  throw damaged(
    first ? `${first.path.join('.') || 'record'}: ${first.message}` : 'unknown shape',
    parsed.error,
  )
}

function damaged(why: string, cause: unknown): AttuneError {
  return new AttuneError(
    'bad-file',
    `The picture's Attune record cannot be read (${why}).`,
    'Use the A1111 text of the same picture, or enter the settings by hand.',
    { cause },
  )
}
