/**
 * What a page and the engine's Worker say to each other. The other seat of the engine (a worker of the host) speaks the
 * same. Every message is plain, structured-cloneable data, and both sides check what arrives against the schemas here.
 */
import { z } from 'zod'
import { controlsSchema } from '../contract/controls.ts'
import { AttuneError, errorCodes, type ErrorRecord } from '../contract/errors.ts'
import { guideLimits, guidesSchema } from '../contract/guides.ts'
import { inputFits, maskSettingsSchema, preprocessorSchema } from '../contract/inputs.ts'
import { promptDialects, weightCurvesSchema, weightLaws } from '../contract/prompt.ts'
import { type GenerateRequestInput, precisions, requestLimits, samplers } from '../contract/request.ts'
import type { Pixels } from '../image/resample.ts'
import type { PromptExplanation } from '../text/explain.ts'

const id = z.int().min(0)
const count = z.int().min(0)
const address = z.string().refine(text => URL.canParse(text), 'must be an absolute address')
// Not z.instanceof, which would promise that the memory is not shared.
const floats = z.custom<Float32Array>(value => value instanceof Float32Array, 'must be a Float32Array')
const bytes = z.custom<Uint8Array>(value => value instanceof Uint8Array, 'must be a Uint8Array')

const pixelsSchema = z
  .object({
    width: z.int().min(1),
    height: z.int().min(1),
    channels: z.union([z.literal(1), z.literal(3), z.literal(4)]),
    data: bytes,
  })
  .refine(
    ({ width, height, channels, data }) => data.length === width * height * channels,
    'a picture of another size than its bytes',
  )

/** Where a model lies: below an address, or as files that the person chose (a folder dropped on the page). */
const locationSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('url'),
    /** The folder's address; files are asked for below it. */
    url: address,
    /** For messages; the address when absent. */
    name: z.string().exactOptional(),
    /** Of a network that is one .safetensors file: its name below the address. */
    file: z.string().min(1).max(255).exactOptional(),
  }),
  z.object({
    kind: z.literal('files'),
    name: z.string(),
    /** Paths relative to the model's folder, with forward slashes. */
    files: z.array(z.object({ path: z.string(), content: z.instanceof(Blob) })),
  }),
])

/** onnxruntime's own files in a page. Only the first `open` of a Worker can set them. */
const runtimeSchema = z.object({
  /** Address of the folder with its .mjs and .wasm, or of each; beside the script when absent. */
  wasmPaths: z
    .union([address, z.object({ mjs: address.exactOptional(), wasm: address.exactOptional() })])
    .exactOptional(),
  /** More than one needs a cross-origin isolated page and `wasmPaths` as a folder. */
  threads: z.int().min(1).max(64).exactOptional(),
})

/** What the request's guides name. */
const guideInputsSchema = z.object({
  nets: z
    .array(z.object({ name: z.string().max(guideLimits.name), location: locationSchema }))
    .max(guideLimits.guides),
  /** Of any size; finished hints, unless a preprocessor is to make them. */
  pictures: z
    .array(
      z.object({
        name: z.string().max(guideLimits.name),
        pixels: pixelsSchema,
        preprocessor: preprocessorSchema.exactOptional(),
      }),
    )
    .max(guideLimits.guides),
})

const inputsSchema = z.object({
  /** Unit noise [C, h, w] in place of the seed's first draw. */
  initialNoise: floats.exactOptional(),
  /** The draws of samplers that add noise. */
  stepNoise: z.array(floats).exactOptional(),
  posteriorNoise: z.array(floats).exactOptional(),
  /** RGB of any size; resized to the request's. */
  init: pixelsSchema.exactOptional(),
  /** How it is resized; without keeping the aspect when absent. */
  fit: z.enum(inputFits).exactOptional(),
  /** Any size; white is drawn anew. */
  mask: pixelsSchema.exactOptional(),
  /** With a mask: what it covers is drawn whole, and what it does not cover keeps every pixel of `init`. */
  inpaint: maskSettingsSchema.exactOptional(),
  guides: guideInputsSchema.exactOptional(),
})

const share = z.number().min(0).max(1)
const pointSchema = z.object({ x: share, y: share })

/** What is watched and kept of a run. */
const watchSchema = z.object({
  /** Word maps: of these words, or of all. */
  capture: z
    .object({
      words: z.array(z.string()).exactOptional(),
      half: z.enum(['cond', 'uncond']).exactOptional(),
      /** Maps with every step. */
      live: z.boolean().exactOptional(),
    })
    .exactOptional(),
  /** Calls of the network, from 0, before which the run can be taken up again while the model stays open. */
  keep: z.union([z.literal('all'), z.array(count)]).exactOptional(),
  /** Go on from a call that the last run kept. */
  resume: count.exactOptional(),
  /** Tell how much each control does. */
  measureEffects: z.boolean().exactOptional(),
  /** Of an edit: decode the picture that it began with as well. */
  sourcePicture: z.boolean().exactOptional(),
  /** What this point of the picture looks at, in shares of its sides. */
  spot: pointSchema.exactOptional(),
  /** The call of the network, from 0, at which it is measured what each source brings. */
  meterAt: z.union([z.literal('middle'), count]).exactOptional(),
})

export const backendChoices = ['auto', 'webgpu', 'wasm'] as const
export type BackendChoice = (typeof backendChoices)[number]

/** From the page to the Worker. Each answer carries the id of its question; ids are the page's own. */
export const engineRequestSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('hello'), id }),
  z.object({
    type: z.literal('open'),
    id,
    model: locationSchema,
    /** Where vocab.json and merges.txt lie when the model brings none. */
    tokenizer: locationSchema.exactOptional(),
    runtime: runtimeSchema.exactOptional(),
  }),
  z.object({
    type: z.literal('generate'),
    id,
    /** Checked by `parseRequest`, whose messages name the fields. */
    request: z.custom<GenerateRequestInput>(value => typeof value === 'object' && value !== null),
    inputs: inputsSchema,
    watch: watchSchema.exactOptional(),
    /** `auto`, the default: the GPU; without one, what draws soonest on the processor. */
    backend: z.enum(backendChoices).exactOptional(),
  }),
  /** What becomes of a prompt, by the open model's tokenizer. Answered while a run goes on, too. */
  z.object({
    type: z.literal('explain'),
    id,
    text: z.string().max(requestLimits.promptLength),
    dialect: z.enum(promptDialects),
    law: z.enum(weightLaws).exactOptional(),
    steps: z.int().min(1).max(requestLimits.steps).exactOptional(),
    isNegative: z.boolean().exactOptional(),
  }),
  /** `id` is that of the run to stop; nothing happens when it has ended. */
  z.object({ type: z.literal('cancel'), id }),
  z.object({ type: z.literal('close'), id }),
])

const adapterSchema = z.object({
  /** Vendor, architecture and name as far as the browser tells. */
  name: z.string(),
  /** Runs on the processor. */
  software: z.boolean(),
  shaderF16: z.boolean(),
  maxBufferBytes: count,
})

const modelSchema = z.object({
  name: z.string(),
  task: z.enum(['text-to-image', 'inpaint']),
  /** Pixels that width and height must be multiples of. */
  sizeFactor: z.int().min(1),
  latentChannels: z.int().min(1),
  hasPreview: z.boolean(),
  /** What a small model was taught, by kind: for suggestions. */
  vocabulary: z.record(z.string(), z.array(z.string())).exactOptional(),
  defaults: z.object({
    width: count,
    height: count,
    steps: count,
    guidanceScale: z.number(),
    sampler: z.enum(samplers),
    precision: z.enum(precisions),
    clipSkip: count,
  }),
})

const span = z.tuple([count, count]).readonly()
const wordSchema = z.object({ text: z.string(), span, columns: z.array(count).readonly() })

const attentionSchema = z.object({
  prompt: z.string(),
  width: count,
  height: count,
  steps: count,
  half: z.enum(['cond', 'uncond']),
  tokens: z
    .array(
      z.object({
        index: count,
        chunk: count,
        position: count,
        id: count,
        text: z.string(),
        span: span.exactOptional(),
        word: count.exactOptional(),
      }),
    )
    .readonly(),
  words: z.array(wordSchema).readonly(),
  layers: z
    .array(z.object({ path: z.string(), numHeads: count, height: count, width: count, sums: floats }))
    .readonly(),
})

const spotSchema = z.object({
  point: pointSchema,
  rows: count,
  width: count,
  height: count,
  data: floats,
})

const meterSchema = z.object({
  sources: z
    .array(
      z.object({
        kind: z.enum(['own', 'region', 'borrowed', 'image']),
        region: count.exactOptional(),
        image: count.exactOptional(),
      }),
    )
    .readonly(),
  step: count,
  layers: z
    .array(
      z.object({
        path: z.string(),
        height: count,
        width: count,
        sizes: z.array(floats).readonly(),
        shares: z.array(z.number()).readonly(),
      }),
    )
    .readonly(),
  shares: z.array(z.number()).readonly(),
})

const progressSchema = z.object({
  step: count,
  steps: count,
  sigma: z.number(),
  milliseconds: z.number(),
  preview: pixelsSchema.exactOptional(),
  /** With `capture.live`: the maps so far, in probabilities, [W, height, width]. */
  maps: z.object({ words: z.array(wordSchema), width: count, height: count, data: floats }).exactOptional(),
  /** Between two steps: a tile of a picture that is decoded or encoded in tiles. */
  tile: z
    .object({
      stage: z.enum(['decode', 'encode']),
      pass: count,
      tile: count,
      tiles: count,
      milliseconds: z.number(),
      notice: z.string().exactOptional(),
    })
    .exactOptional(),
})

const resultSchema = z.object({
  picture: pixelsSchema,
  latents: z.object({ shape: z.array(count), data: floats }),
  /** Of an edit, with `watch.sourcePicture`: what it began with. */
  source: pixelsSchema.exactOptional(),
  attention: attentionSchema.exactOptional(),
  /** With `watch.capture`: what the prompt multiplies each captured token with. */
  tokenWeights: z.array(z.number()).readonly().exactOptional(),
  /** One entry for each call of the network. */
  schedule: z
    .object({ timesteps: z.array(z.number()).readonly(), sigmas: z.array(z.number()).readonly() })
    .exactOptional(),
  spot: spotSchema.exactOptional(),
  meter: meterSchema.exactOptional(),
  effects: z
    .array(z.object({ control: z.string(), change: z.number(), step: count.exactOptional() }))
    .exactOptional(),
  /** Calls from which this run can be taken up again. */
  kept: z.array(count).exactOptional(),
  /** The request with the model's choices filled in: what the PNG records. */
  used: z.object({
    prompt: z.string(),
    negativePrompt: z.string(),
    width: count,
    height: count,
    steps: count,
    guidanceScale: z.number(),
    guidanceRescale: z.number(),
    seed: z.string(),
    rng: z.enum(['cpu', 'philox']),
    sampler: z.enum(samplers),
    precision: z.enum(precisions),
    clipSkip: count,
    strength: z.number().exactOptional(),
    vaeTile: count.exactOptional(),
    dialect: z.enum(promptDialects).exactOptional(),
    emphasis: z.enum(weightLaws).exactOptional(),
    oldTimeline: z.boolean().exactOptional(),
    weightCurves: weightCurvesSchema.readonly().exactOptional(),
    controls: controlsSchema.exactOptional(),
    guides: guidesSchema.readonly().exactOptional(),
  }),
  adapter: z.object({ backend: z.enum(['webgpu', 'wasm', 'cpu', 'interpreter']), name: z.string() }),
  /** Milliseconds by stage: device, text, compile, denoise, decode, total; and the median step. */
  timings: z.record(z.string(), z.number()),
  activationBytes: count,
})

const errorSchema = z.object({
  code: z.enum(errorCodes),
  message: z.string(),
  remedy: z.string().exactOptional(),
})

/** From the Worker to the page. */
export const engineMessageSchema = z.discriminatedUnion('type', [
  /** The answer to hello; `error` says why this seat has no WebGPU. */
  z.object({
    type: z.literal('ready'),
    id,
    adapter: adapterSchema.exactOptional(),
    error: errorSchema.exactOptional(),
  }),
  z.object({ type: z.literal('opened'), id, model: modelSchema, milliseconds: z.number() }),
  z.object({ type: z.literal('progress'), id, progress: progressSchema }),
  /** One line that the person should know: why the run takes a processor, and how long that may be. */
  z.object({ type: z.literal('notice'), id, text: z.string() }),
  z.object({ type: z.literal('done'), id, result: resultSchema }),
  /** A `PromptExplanation`: plain data, made by code of the same version. */
  z.object({
    type: z.literal('explained'),
    id,
    explanation: z.custom<PromptExplanation>(value => typeof value === 'object' && value !== null),
  }),
  z.object({ type: z.literal('closed'), id }),
  /** Without an id: a question that could not be read, or a fault outside any run. */
  z.object({ type: z.literal('error'), id: id.exactOptional(), error: errorSchema }),
])

export type EngineRequest = z.output<typeof engineRequestSchema>
export type EngineMessage = z.output<typeof engineMessageSchema>
export type ModelLocation = z.output<typeof locationSchema>
export type RuntimeOptions = z.output<typeof runtimeSchema>
export type EngineWatch = z.output<typeof watchSchema>
export type EngineInputs = z.output<typeof inputsSchema>
export type EngineGuideInputs = z.output<typeof guideInputsSchema>
export type AdapterFacts = z.output<typeof adapterSchema>
export type OpenedModel = z.output<typeof modelSchema>
export type EngineProgress = z.output<typeof progressSchema>
export type EngineResult = z.output<typeof resultSchema>

/** @throws AttuneError `internal` for what is not a request: a page of another version, or somebody else's message. */
export function parseEngineRequest(data: unknown): EngineRequest {
  return parse(engineRequestSchema, data, 'The engine was sent a message that it does not understand')
}

/** @throws AttuneError `internal` */
export function parseEngineMessage(data: unknown): EngineMessage {
  return parse(engineMessageSchema, data, 'The engine sent a message that this window does not understand')
}

function parse<T>(schema: z.ZodType<T>, data: unknown, what: string): T {
  const parsed = schema.safeParse(data)
  if (parsed.success) return parsed.data
  const issue = parsed.error.issues[0]
  const why = issue ? `${issue.path.join('.') || 'message'}: ${issue.message}` : 'unknown shape'
  throw new AttuneError(
    'internal',
    `${what} (${why}).`,
    'Reload the window; if it happens again, report it.',
    {
      cause: parsed.error,
    },
  )
}

/** The id of a message that could not be read, where it has one. */
export function idOf(data: unknown): number | undefined {
  const found = id.safeParse((data as { id?: unknown } | null | undefined)?.id)
  return found.success ? found.data : undefined
}

/**
 * The buffers that a message may give away: those of a picture, a preview and latents, which its sender does not keep.
 * Each once, and only where the array is the whole of its buffer.
 */
export function transferList(message: EngineMessage): ArrayBuffer[] {
  const arrays: (Uint8Array | Float32Array)[] = []
  const add = (pixels: Pixels | undefined) => pixels && arrays.push(pixels.data)
  if (message.type === 'progress') {
    add(message.progress.preview)
    if (message.progress.maps) arrays.push(message.progress.maps.data)
  }
  if (message.type === 'done') {
    add(message.result.picture)
    add(message.result.source)
    arrays.push(...(message.result.attention?.layers ?? []).map(({ sums }) => sums))
    arrays.push(message.result.latents.data)
  }
  const buffers = new Set<ArrayBuffer>()
  for (const { buffer, byteLength } of arrays) {
    if (buffer instanceof ArrayBuffer && buffer.byteLength === byteLength) buffers.add(buffer)
  }
  return [...buffers]
}

/** Any thrown value as a record. */
export function toErrorRecord(error: unknown): ErrorRecord {
  if (error instanceof AttuneError) return error.toRecord()
  return {
    code: 'internal',
    message: `The engine failed: ${error instanceof Error ? error.message : String(error)}`,
    remedy: 'This is a fault in Attune: please report it with the message.',
  }
}

export function fromErrorRecord({ code, message, remedy }: ErrorRecord): AttuneError {
  return new AttuneError(code, message, remedy)
}
