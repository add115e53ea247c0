/**
 * The manifest of an attention recording: its schema, and the promises between its parts that a schema cannot say
 * (columns that exist, spans inside the prompt, one weight per token).
 */
import { z } from 'zod'
import { AttuneError } from '../contract/errors.ts'

const count = z.int().min(0)
const side = z.int().min(1).max(65_536)
const finite = z.number()
const span = z.tuple([count, count])
const share = finite.min(0).max(1)
/** Of a run. */
const part = z.looseObject({ start: share, end: share })

/** What made the picture; all of it optional, since a capture may come from anywhere. Unknown fields are kept. */
const runShape = {
  app: z.looseObject({ name: z.string(), version: z.string() }).optional(),
  /** Never a path of a machine. */
  model: z.looseObject({ name: z.string(), sha256: z.string().optional() }).optional(),
  sampler: z.string().optional(),
  /** Decimal: seeds have 64 bits. */
  seed: z.string().optional(),
  guidanceScale: finite.optional(),
  dialect: z.string().optional(),
  weightLaw: z.string().optional(),
  /** One per evaluation that was summed. */
  sigmas: z.array(finite).optional(),
  timesteps: z.array(finite).optional(),
  /** The weight of each captured token as the prompt asked for it; one per token. */
  tokenWeights: z.array(finite).optional(),
  /** Weights that moved over the steps, on top of `tokenWeights`. */
  weightCurves: z
    .array(
      z.looseObject({
        phrase: z.string(),
        keys: z.array(
          z.looseObject({ step: finite.optional(), fraction: finite.optional(), weight: finite }),
        ),
        shape: z.string().optional(),
      }),
    )
    .optional(),
  /** Of an edit: the prompt of the picture that it begins with. */
  sourcePrompt: z
    .string()
    .max(1 << 20)
    .optional(),
  /** What acted beside the prompt, without the pixels of masks. */
  controls: z
    .looseObject({
      paint: z.array(z.looseObject({ phrase: z.string(), strength: finite })).optional(),
      regions: z
        .looseObject({
          law: z.string().optional(),
          baseWeight: finite.optional(),
          regions: z.array(z.looseObject({ prompt: z.string(), weight: finite.optional() })),
        })
        .optional(),
      hidePadding: z.boolean().optional(),
      edit: z
        .looseObject({
          cross: part.optional(),
          self: part.optional(),
          reweight: z.array(z.looseObject({ phrase: z.string(), factor: finite.optional() })).optional(),
        })
        .optional(),
    })
    .optional(),
}

export const runFactsSchema = z.looseObject(runShape)
export type RunFacts = z.output<typeof runFactsSchema>

const manifestSchema = z.looseObject({
  ...runShape,
  version: z.int().min(1),
  prompt: z.string().max(1 << 20),
  width: side,
  height: side,
  steps: z.int().min(1),
  half: z.enum(['cond', 'uncond']),
  heads: z.enum(['all', 'mean']),
  tokens: z
    .array(
      z.object({
        index: count,
        chunk: count,
        position: count,
        id: count,
        text: z.string(),
        span: span.optional(),
        word: count.optional(),
      }),
    )
    .min(1),
  words: z.array(z.object({ text: z.string(), span, columns: z.array(count).min(1) })),
  layers: z
    .array(
      z.object({
        path: z.string().min(1).max(1024),
        numHeads: z.int().min(1).max(1024),
        height: side,
        width: side,
      }),
    )
    .min(1),
  perStep: z
    .object({ width: side, height: side, steps: z.array(count).min(1), words: z.array(count).min(1) })
    .optional(),
  /** What a point of the picture looks at: the tensor `spot` [height, width]. */
  spot: z
    .object({ point: z.object({ x: share, y: share }), rows: z.int().min(1), width: side, height: side })
    .optional(),
})

export type RecordingManifest = z.output<typeof manifestSchema>

/**
 * Checks a manifest.
 * @param name the file's name, for messages
 * @throws AttuneError `bad-file` naming the first field that is wrong
 */
export function checkRecordingManifest(json: unknown, name: string): RecordingManifest {
  const parsed = manifestSchema.safeParse(json)
  const refuse = (why: string) =>
    new AttuneError(
      'bad-file',
      `${name} is not an attention recording that can be read: in its manifest, ${why}.`,
      'Get a whole copy of the file, or record the picture again.',
    )
  if (!parsed.success) {
    const [first] = parsed.error.issues
    throw refuse(first ? `${first.path.join('.') || 'the whole'}: ${first.message}` : 'something is wrong')
  }
  const manifest = parsed.data
  const { tokens, words, prompt, perStep } = manifest
  const checkSpan = ([start, end]: readonly [number, number], what: string) => {
    if (start > end || end > prompt.length)
      throw refuse(`${what} spans ${start} to ${end} of a prompt of ${prompt.length}`)
  }
  words.forEach((word, at) => {
    checkSpan(word.span, `words.${at}`)
    const lost = word.columns.find(column => column >= tokens.length)
    if (lost !== undefined) throw refuse(`words.${at} has the column ${lost}, and there are ${tokens.length}`)
  })
  tokens.forEach((token, at) => {
    if (token.span) checkSpan(token.span, `tokens.${at}`)
    if (token.word !== undefined && token.word >= words.length)
      throw refuse(`tokens.${at} belongs to word ${token.word} of ${words.length}`)
  })
  const paths = new Set(manifest.layers.map(layer => layer.path))
  if (paths.size !== manifest.layers.length) throw refuse('two layers have the same path')
  if (manifest.heads === 'mean' && manifest.layers.some(layer => layer.numHeads !== 1)) {
    throw refuse('heads are said to be reduced, but a layer has several')
  }
  for (const key of ['sigmas', 'timesteps'] as const) {
    const list = manifest[key]
    if (list && list.length !== manifest.steps)
      throw refuse(`${key} has ${list.length} entries for ${manifest.steps} steps`)
  }
  if (manifest.tokenWeights && manifest.tokenWeights.length !== tokens.length) {
    throw refuse(`tokenWeights has ${manifest.tokenWeights.length} entries for ${tokens.length} tokens`)
  }
  if (perStep) {
    if (perStep.words.some(word => word >= words.length))
      throw refuse('perStep names a word that is not there')
    if (
      perStep.steps.some(
        (step, at) => step >= manifest.steps || (at > 0 && step <= (perStep.steps[at - 1] as number)),
      )
    ) {
      throw refuse('perStep.steps do not rise within the run')
    }
  }
  return manifest
}
