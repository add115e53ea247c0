/**
 * What a drawing takes in beside its request: pictures that the host keeps under the SHA-256 of their content, and
 * networks of its library. Names and numbers only, so that a queued job carries it through a crash; the bytes lie at
 * `hostPaths.input`.
 */
import { z } from 'zod'
import { guideLimits, guideResizes } from './guides.ts'

/** SHA-256 of a kept picture, in lower case. */
export const inputKeySchema = z.string().regex(/^[0-9a-f]{64}$/, 'must be the SHA-256 of a kept picture')

/** How a picture of another aspect comes to the size that is drawn: the same ways for sources and for guides. */
export const inputFits = guideResizes
export type InputFit = (typeof inputFits)[number]

/** What an inpainting begins with inside its mask: the picture as it is, or colours of its surroundings. */
export const maskContents = ['original', 'fill'] as const
export type MaskContent = (typeof maskContents)[number]

/** Of a kept picture's longer side; larger ones are made smaller when they come in. */
export const inputSide = 4096

const name = z.string().min(1).max(200)

export const preprocessorSchema = z.strictObject({
  name: z.string().min(1).max(60),
  options: z.record(z.string().max(60), z.union([z.number(), z.boolean()])).default({}),
})
export type InputPreprocessor = z.output<typeof preprocessorSchema>

export const maskSettingsSchema = z.strictObject({
  /** Over how much of the shorter side the new part passes into the kept one. */
  feather: z.number().min(0).max(0.25).default(0.02),
  content: z.enum(maskContents).default('original'),
})
export type MaskSettings = z.output<typeof maskSettingsSchema>

export const drawInputsSchema = z
  .strictObject({
    /** The picture to begin from. */
    init: z.strictObject({ key: inputKeySchema, name, fit: z.enum(inputFits).default('stretch') }).optional(),
    /** White is drawn anew; lies over the picture as it is drawn. */
    mask: maskSettingsSchema.extend({ key: inputKeySchema }).optional(),
    /** By the names that the request's guides have for them: networks of the library … */
    nets: z.record(z.string().max(guideLimits.name), z.string().max(4096)).optional(),
    /** … and pictures, of which a preprocessor may make the hint first. */
    images: z
      .record(
        z.string().max(guideLimits.name),
        z.strictObject({ key: inputKeySchema, name, preprocessor: preprocessorSchema.optional() }),
      )
      .optional(),
  })
  .refine(({ init, mask }) => mask === undefined || init !== undefined, 'a mask needs a picture')
export type DrawInputs = z.output<typeof drawInputsSchema>
export type DrawInputsInput = z.input<typeof drawInputsSchema>

/** True where nothing is taken in. */
export function hasNoInputs(inputs: DrawInputs | undefined): boolean {
  const { init, mask, nets = {}, images = {} } = inputs ?? {}
  return !init && !mask && Object.keys(nets).length === 0 && Object.keys(images).length === 0
}

/** Keys of all pictures, each once. */
export function inputKeys({ init, mask, images = {} }: DrawInputs): string[] {
  const all = [init?.key, mask?.key, ...Object.values(images).map(({ key }) => key)]
  return [...new Set(all.filter(key => key !== undefined))]
}

/** A picture that took part, as a record names it; further fields say how it was used. */
export interface RecordedInput {
  readonly role: string
  readonly name: string
  readonly sha256?: string
  readonly [setting: string]: unknown
}

/** For the record of a picture: by name and SHA-256, never by a place. */
export function recordedInputs(
  { init, mask, nets = {}, images = {} }: DrawInputs,
  netDigest: (name: string) => string | undefined = () => undefined,
): RecordedInput[] {
  return [
    ...(init ? [{ role: 'init', name: init.name, sha256: init.key, fit: init.fit }] : []),
    ...(mask
      ? [{ role: 'mask', name: 'mask', sha256: mask.key, feather: mask.feather, content: mask.content }]
      : []),
    ...Object.entries(images).map(([as, { key, name: file, preprocessor }]) => ({
      role: 'control',
      name: as,
      sha256: key,
      file,
      ...(preprocessor && { preprocessor }),
    })),
    ...Object.keys(nets).map(net => {
      const sha256 = netDigest(net)
      return { role: 'control-net', name: net, ...(sha256 !== undefined && { sha256 }) }
    }),
  ]
}
