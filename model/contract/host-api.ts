/**
 * What a window asks of the host (gallery, models, settings, jobs, files): one contract for three transports, IPC in
 * Electron, HTTP over loopback, and calls in one process. Small JSON only, checked on arrival on both sides; bytes
 * (pictures, thumbnails, weights by range, recordings) go over the addresses of `hostPaths`.
 */
import { z } from 'zod'
import { errorCodes } from './errors.ts'
import { drawInputsSchema, inputKeySchema } from './inputs.ts'
import { promptTemplateSchema } from './prompt.ts'
import { generateRequestSchema } from './request.ts'
import { settingsPatchSchema, settingsSchema } from './settings.ts'
import { stylesPatchSchema, stylesSchema } from './styles.ts'

const text = z.string().max(4096)
const longText = z.string().max(200_000)
const count = z.int().min(0)
const id = z.string().min(1).max(200)
const pictureId = z.int().min(1)
const finite = z.number().refine(Number.isFinite, 'must be a finite number')

export const errorRecordSchema = z.object({
  code: z.enum(errorCodes),
  message: z.string(),
  remedy: z.string().optional(),
})

/** How a picture was made, in our words, whichever program made it. */
export const recipeSchema = z.object({
  /** The program's name as people know it. */
  toolName: z.string(),
  tool: z.string(),
  prompt: z.string(),
  negativePrompt: z.string(),
  width: count.optional(),
  height: count.optional(),
  steps: count.optional(),
  guidanceScale: z.number().optional(),
  seed: z.string().optional(),
  sampler: z.string().optional(),
  samplerName: z.string().optional(),
  model: z.object({ name: z.string().optional(), hash: z.string().optional() }).optional(),
  clipSkip: count.optional(),
  strength: z.number().optional(),
  dialect: z.string().optional(),
  unknown: z.record(z.string(), z.unknown()),
  notes: z.array(z.string()),
})
export type HostRecipe = z.output<typeof recipeSchema>

export const pictureSchema = z.object({
  id: pictureId,
  name: z.string(),
  folder: z.string(),
  bytes: count,
  /** Milliseconds since 1970. */
  created: z.number(),
  changed: z.number(),
  /** Of its content: part of the thumbnail's address. */
  key: z.string(),
  width: count,
  height: count,
  tool: z.string().optional(),
  prompt: z.string(),
  negativePrompt: z.string(),
  problem: z.string().optional(),
  favourite: z.boolean(),
  missing: z.boolean(),
})
export type HostPicture = z.output<typeof pictureSchema>

export const galleryQuerySchema = z.strictObject({
  text: z.string().max(2000).optional(),
  settings: z
    .array(
      z.strictObject({
        key: z.string().min(1).max(200),
        is: z.array(z.string().max(1000)).max(100).optional(),
        atLeast: finite.optional(),
        atMost: finite.optional(),
      }),
    )
    .max(32)
    .optional(),
  tools: z.array(z.string().max(100)).max(50).optional(),
  favourite: z.boolean().optional(),
  folder: text.optional(),
  from: finite.optional(),
  to: finite.optional(),
  missing: z.boolean().optional(),
  sort: z.enum(['newest', 'oldest', 'name', 'largest']).default('newest'),
  offset: z.int().min(0).max(10_000_000).default(0),
  limit: z.int().min(1).max(1000).default(200),
})
export type HostGalleryQuery = z.input<typeof galleryQuerySchema>

export const modelSchema = z.object({
  /** What `model` of the settings and of jobs holds; `storybook` is the embedded one. */
  id: text,
  name: z.string(),
  /** `Stable Diffusion 1.x` … as it is shown. */
  family: z.string(),
  /** Where it lies, for people; absent for the embedded one. */
  path: z.string().optional(),
  bytes: count,
  /** It can be drawn with. */
  usable: z.boolean(),
  /** What is missing or cannot be used, in sentences. */
  problems: z.array(z.string()),
  licence: z.string().optional(),
  embedded: z.boolean(),
  /** Bytes of weights in memory while drawing, roughly. */
  memory: count.optional(),
})
export type HostModel = z.output<typeof modelSchema>

/** A network that guides a model (ControlNet), in the library. */
export const netSchema = z.object({
  id: text,
  name: z.string(),
  /** As of models: a network guides models of its own family only. */
  family: z.string(),
  path: z.string(),
  /** Of one that is a single .safetensors file: its name below `hostPaths.model`. */
  file: z.string().optional(),
  bytes: count,
})
export type HostNet = z.output<typeof netSchema>

/** A request for the queue. Its template goes into the picture's record, so that it can be taken up as it was written. */
export const queuedRequestSchema = generateRequestSchema.extend({
  template: promptTemplateSchema.optional(),
  /** Pictures and networks beside it; kept with the job. */
  inputs: drawInputsSchema.optional(),
})
export type QueuedRequest = z.input<typeof queuedRequestSchema>

export const jobSchema = z.object({
  id,
  request: generateRequestSchema,
  template: promptTemplateSchema.optional(),
  inputs: drawInputsSchema.optional(),
  model: text.optional(),
  state: z.enum(['queued', 'running', 'paused', 'done', 'failed', 'cancelled']),
  added: z.string(),
  progress: z.object({ step: count, steps: count }).optional(),
  /** Of a job that is done: its picture in the gallery. */
  picture: pictureId.optional(),
  problem: errorRecordSchema.optional(),
  /** Estimated. */
  secondsLeft: z.number().optional(),
})
export type HostJob = z.output<typeof jobSchema>

export const downloadSchema = z.object({
  id,
  url: z.string(),
  name: z.string(),
  state: z.enum(['queued', 'running', 'paused', 'done', 'failed', 'cancelled']),
  received: count,
  total: count.optional(),
  bytesPerSecond: z.number().optional(),
  problem: errorRecordSchema.optional(),
})
export type HostDownload = z.output<typeof downloadSchema>

const ids = z.array(pictureId).min(1).max(10_000)
const nothing = z.object({})

/** Every question: what it takes and what it gives. */
export const hostMethods = {
  'app.info': {
    params: nothing,
    result: z.object({
      version: z.string(),
      /** `electron`: a window of the desktop shell; `browser`: a page of the loopback server. */
      shell: z.enum(['electron', 'browser']),
      platform: z.string(),
      /** The adapter of the host's own seat, where it has one. */
      hostSeat: z.object({ name: z.string(), backend: z.string() }).optional(),
      outputFolder: z.string(),
      /** Bytes of memory of this machine. */
      memory: count,
      /** Things of the start that the person should see. */
      notices: z.array(z.string()),
    }),
  },
  'settings.get': { params: nothing, result: settingsSchema },
  'settings.set': {
    params: z.strictObject({ patch: settingsPatchSchema }),
    result: settingsSchema,
  },
  'gallery.query': {
    params: galleryQuerySchema,
    result: z.object({ pictures: z.array(pictureSchema), total: count, indexing: z.boolean() }),
  },
  'gallery.facet': {
    params: z.strictObject({ key: z.string().min(1).max(200), query: galleryQuerySchema.optional() }),
    result: z.array(z.object({ value: z.string(), count })),
  },
  'gallery.get': {
    params: z.strictObject({ id: pictureId }),
    result: z.object({
      picture: pictureSchema,
      recipe: recipeSchema.optional(),
      /** Our own record, whole, where the picture has one: its `request` can be drawn again. */
      record: z.record(z.string(), z.unknown()).optional(),
      /** A1111's text, for the clipboard. */
      infotext: z.string().optional(),
    }),
  },
  'gallery.favourite': { params: z.strictObject({ id: pictureId, on: z.boolean() }), result: nothing },
  'gallery.remove': { params: z.strictObject({ ids }), result: nothing },
  'gallery.undoRemove': { params: nothing, result: z.object({ restored: count }) },
  'gallery.reveal': { params: z.strictObject({ id: pictureId }), result: nothing },
  'gallery.rescan': { params: nothing, result: nothing },
  'models.list': {
    params: nothing,
    result: z.object({ models: z.array(modelSchema), nets: z.array(netSchema).default([]) }),
  },
  /** Without a path the shell asks with its dialog. */
  'models.addFolder': {
    params: z.strictObject({ path: text.optional() }),
    result: z.object({ models: z.array(modelSchema), cancelled: z.boolean() }),
  },
  'models.removeFolder': { params: z.strictObject({ path: text }), result: nothing },
  'jobs.list': { params: nothing, result: z.object({ jobs: z.array(jobSchema), paused: z.boolean() }) },
  'jobs.add': {
    params: z.strictObject({
      requests: z.array(queuedRequestSchema).min(1).max(1000),
      model: text.optional(),
      /** They were being drawn by a window that ended: they wait, paused, until somebody lets them go on. */
      interrupted: z.boolean().optional(),
    }),
    result: z.object({ jobs: z.array(jobSchema) }),
  },
  'jobs.reorder': { params: z.strictObject({ id, before: id.optional() }), result: nothing },
  'jobs.cancel': { params: z.strictObject({ id }), result: nothing },
  'jobs.pause': { params: z.strictObject({ id: id.optional() }), result: nothing },
  'jobs.resume': { params: z.strictObject({ id: id.optional() }), result: nothing },
  'jobs.remove': { params: z.strictObject({ id: id.optional() }), result: nothing },
  'downloads.list': { params: nothing, result: z.object({ downloads: z.array(downloadSchema) }) },
  'downloads.start': {
    params: z.strictObject({
      url: z.url().max(4096),
      sha256: z
        .string()
        .regex(/^[0-9a-f]{64}$/)
        .optional(),
    }),
    result: downloadSchema,
  },
  /** Holds it; `downloads.retry` goes on with it. */
  'downloads.pause': { params: z.strictObject({ id }), result: nothing },
  'downloads.cancel': { params: z.strictObject({ id }), result: nothing },
  'downloads.retry': { params: z.strictObject({ id }), result: nothing },
  /** Opens a folder in the system's file manager; `pictures`, `logs`, `models`. */
  'shell.openFolder': {
    params: z.strictObject({ which: z.enum(['pictures', 'logs', 'models']) }),
    result: nothing,
  },
  /** Asks with the shell's dialog; a shell without one refuses with `unsupported`. */
  'shell.chooseFolder': {
    params: z.strictObject({ title: z.string().max(200) }),
    /** Absent when the person chose none. */
    result: z.object({ path: z.string().optional() }),
  },
  /** Folders whose path begins with what is typed so far, for completion where there is no dialog. */
  'shell.completeFolder': {
    params: z.strictObject({ path: text }),
    result: z.object({ folders: z.array(z.string()) }),
  },
  'styles.get': { params: nothing, result: stylesSchema },
  /** Replaces what is given. @throws `bad-file` when it cannot be kept */
  'styles.set': { params: z.strictObject({ patch: stylesPatchSchema }), result: stylesSchema },
  'log.write': {
    params: z.strictObject({ level: z.enum(['info', 'warn', 'error']), message: longText }),
    result: nothing,
  },
} as const

export type HostMethod = keyof typeof hostMethods
export type HostParams<M extends HostMethod> = z.input<(typeof hostMethods)[M]['params']>
export type HostResult<M extends HostMethod> = z.output<(typeof hostMethods)[M]['result']>

/** What the host tells by itself. */
export const hostEventSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('gallery'),
    indexing: z.boolean(),
    found: count.optional(),
    total: count.optional(),
  }),
  z.object({ type: z.literal('settings'), settings: settingsSchema }),
  z.object({ type: z.literal('styles'), styles: stylesSchema }),
  z.object({ type: z.literal('models') }),
  z.object({ type: z.literal('jobs') }),
  z.object({ type: z.literal('job'), id, progress: z.object({ step: count, steps: count }) }),
  z.object({ type: z.literal('download'), download: downloadSchema }),
  z.object({ type: z.literal('notice'), text: z.string() }),
  /** From the shell: a file was opened with the application or dropped onto its icon; a menu command. */
  z.object({ type: z.literal('openPicture'), id: pictureId }),
  z.object({ type: z.literal('command'), command: z.string().max(100) }),
])
export type HostEvent = z.output<typeof hostEventSchema>

/** A window's view of the host, whatever lies between. */
export interface HostApi {
  /** @throws AttuneError */
  call<M extends HostMethod>(method: M, params: HostParams<M>): Promise<HostResult<M>>
  /** @returns ends the subscription */
  subscribe(listener: (event: HostEvent) => void): () => void
}

/**
 * Addresses of bytes, relative to the page's own: fetched in every shell.
 *
 * - GET  picture, thumbnail: the file
 * - POST savePicture: raw pixels (see `savePictureHeader`) → JSON `savedPictureSchema`: encoded, recorded, in the gallery
 * - POST readRecipe: any image file's bytes → JSON `readRecipeSchema`
 * - POST exportMaps: an attention recording (.safetensors) → a zip of the chosen files; JSON `exportedMapsSchema` where
 *   they go into a folder, JSON `mapsPreviewSchema` where only a preview is asked for
 * - GET  model: a file of a model's folder or of a ControlNet, Range allowed
 * - POST inputs: any picture file's bytes → JSON `keptInputSchema`; GET input: it as a PNG
 * - POST call: JSON { method, params } → JSON { result } or { error }; GET events: `HostEvent`s as server-sent events;
 *   POST session: JSON { token } of the address' fragment → a cookie. The three are of the loopback server only.
 * - POST engine: the host's own seat of the engine, as a stream of frames (`frames.ts`, `renderer/engine/host-port.ts`)
 *
 * Every POST carries the header `hostHeader`: what stands beside the bytes, as percent-encoded JSON, or `1`. Its type is
 * `application/json` or `application/octet-stream`. Headers are short (32 KiB in all) and painted masks are not: with
 * the type `frameType` the body is one frame { header, data } instead, and the header may stay `1`.
 *
 * Whatever fails answers with JSON { error: an error record } and a status of 400 or more.
 */
export const hostHeader = 'x-attune'
export const frameType = 'application/x-attune-frame'

export const hostPaths = {
  session: 'session',
  call: 'host/call',
  events: 'host/events',
  engine: 'host/engine',
  picture: (id: number): string => `host/pictures/${id}`,
  thumbnail: (id: number, key: string): string => `host/thumbnails/${id}?key=${encodeURIComponent(key)}`,
  savePicture: 'host/pictures',
  readRecipe: 'host/recipe',
  exportMaps: 'host/maps',
  inputs: 'host/inputs',
  input: (key: string): string => `host/inputs/${key}`,
  /** The folder in which `model/worker` finds a model; ends in a slash. */
  model: (id: string): string => `host/models/${encodeURIComponent(id)}/`,
} as const

/** Of POST savePicture and exportMaps, as JSON in the header `x-attune`, percent-encoded. */
export const savePictureHeader = z.strictObject({
  width: z.int().min(1).max(16_384),
  height: z.int().min(1).max(16_384),
  channels: z.union([z.literal(3), z.literal(4)]),
  /** A `ResolvedRequest`, as the engine answered it. */
  request: z.record(z.string(), z.unknown()),
  model: z.object({ name: text, sha256: z.string().max(64).optional() }),
  /** What took part beside the request. */
  inputs: drawInputsSchema.optional(),
  machine: z.object({ backend: text, adapter: text }).optional(),
})
export type SavePictureHeader = z.input<typeof savePictureHeader>

/** A picture that a drawing may take in. */
export const keptInputSchema = z.object({ key: inputKeySchema, width: count, height: count })
export type HostInput = z.output<typeof keptInputSchema>

export const savedPictureSchema = z.object({ id: pictureId, name: z.string() })

export const readRecipeSchema = z.object({
  recipe: recipeSchema.optional(),
  /** Our own record, whole. */
  record: z.record(z.string(), z.unknown()).optional(),
  /** Why there is no recipe, or what of it could not be read. */
  messages: z.array(z.string()),
})

export const exportMapsHeader = z.strictObject({
  formats: z.array(z.string().max(40)).min(1).max(20),
  words: z.array(text).max(1000).optional(),
  colormap: z.string().max(40).optional(),
  normalise: z.string().max(40).optional(),
  layers: z.array(text).max(1000).optional(),
  /** `mean`, or `daam` for comparison with its figures. */
  rule: z.string().max(40).optional(),
  /** What animations show: `running` or `each`. */
  steps: z.string().max(40).optional(),
  /** The picture that overlays lie on. */
  picture: pictureId.optional(),
  /** Write the files here instead of answering with a zip. */
  folder: text.optional(),
  /** Replace files of the same names in the folder. */
  overwrite: z.boolean().optional(),
  /** Only tell which files these would be, and show one of them. */
  preview: z.boolean().optional(),
})
export type ExportMapsHeader = z.input<typeof exportMapsHeader>

/** The answer to `folder`. */
export const exportedMapsSchema = z.object({ folder: z.string(), files: z.array(z.string()) })

/** The answer to `preview`. */
export const mapsPreviewSchema = z.object({
  /** Names in the order in which they are written. */
  files: z.array(z.string()),
  /** One of them, where the formats have pictures. */
  picture: z.object({ name: z.string(), type: z.string(), base64: z.string() }).optional(),
})
export type MapsPreview = z.output<typeof mapsPreviewSchema>
