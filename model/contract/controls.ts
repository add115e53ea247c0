/**
 * What a request may ask of the attention between words and picture: plain values, as everything in a request.
 * model/attention has the formulas; every control is data of the one attention seam (D4).
 */
import { z } from 'zod'

export const controlLimits = {
  /** Painted words, regions, windows: more than anybody would place by hand. */
  items: 32,
  /** Of a mask's side, in its own pixels. */
  maskSide: 4096,
  strength: 100,
  promptLength: 200_000,
} as const

const share = z.number('must be a number').min(0, 'must be at least 0').max(1, 'must be at most 1')
const finite = z.number('must be a number').refine(Number.isFinite, 'must be a finite number')
const phrase = z.string().min(1, 'must not be empty').max(1000)

/**
 * From a share of the run to another: the evaluation i of n (from 0) belongs to it where ⌊start·n⌋ ≤ i < ⌊end·n⌋, as
 * prompt-to-prompt counts.
 */
export const windowSchema = z
  .strictObject({ start: share.default(0), end: share.default(1) })
  .refine(({ start, end }) => start <= end, 'must not end before it starts')
export type ControlWindow = z.output<typeof windowSchema>

/** True when evaluation `index` of `count` lies in the window. */
export function isInWindow({ start, end }: ControlWindow, index: number, count: number): boolean {
  return index >= Math.floor(start * count) && index < Math.floor(end * count)
}

const side = z.number().int().min(1).max(controlLimits.maskSide)
const isBase64 = (text: string) => text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text)

/** A part of the picture. Shares of its width and height, or a bitmap that is stretched over it. */
export const maskSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('rect'), x: share, y: share, width: share, height: share }),
  z
    .strictObject({
      kind: z.literal('bitmap'),
      width: side,
      height: side,
      /** Bytes row by row from the top, 0 outside to 255 inside, as base64. */
      data: z.string().refine(isBase64, 'must be base64'),
    })
    .refine(
      ({ width, height, data }) => bytesOfBase64(data) === width * height,
      'must hold one byte for each of its pixels',
    ),
])
export type ControlMask = z.output<typeof maskSchema>

/**
 * A bias on the logits of some words inside a mask. `constant`: strength is added as it is, so that 1 makes these
 * words e times as likely before the softmax. `paint-with-words`: strength · ln(1 + sigma) · the layer's largest logit.
 */
export const paintSchema = z.strictObject({
  /** Words of the prompt as typed, large or small; every place where they stand. */
  phrase,
  mask: maskSchema,
  strength: finite.min(-controlLimits.strength).max(controlLimits.strength),
  law: z.enum(['constant', 'paint-with-words']).default('constant'),
  /** Softness of the mask's edge, as a share of the picture's shorter side. */
  feather: share.default(0),
  window: windowSchema.default({ start: 0, end: 1 }),
})
export type PaintControl = z.output<typeof paintSchema>

export const regionSchema = z.strictObject({
  prompt: z.string().max(controlLimits.promptLength),
  /** What to keep out of this region; the request's negative prompt when absent. */
  negativePrompt: z.string().max(controlLimits.promptLength).optional(),
  mask: maskSchema,
  /** How strongly this region claims its positions against others that lie over it. */
  weight: finite.min(0).max(controlLimits.strength).default(1),
  feather: share.default(0),
})
export type Region = z.output<typeof regionSchema>

/**
 * Texts for parts of the picture. `mix`: each text has a softmax of its own, and a position takes from each by its
 * mask, normalised to sum 1. `isolate`: one softmax over all texts, in which a position does not see the texts of other
 * regions.
 */
export const regionsSchema = z.strictObject({
  regions: z.array(regionSchema).min(1).max(controlLimits.items),
  /** How much the request's own prompt counts inside of regions; outside it is alone. */
  baseWeight: finite.min(0).max(controlLimits.strength).default(0.2),
  law: z.enum(['mix', 'isolate']).default('mix'),
  window: windowSchema.default({ start: 0, end: 1 }),
})
export type RegionsControl = z.output<typeof regionsSchema>

/** Prompt-to-prompt (Hertz et al. 2022): the request's prompt is drawn with the attention of another one. */
export const editSchema = z.strictObject({
  /** What the picture was drawn from; the request's own prompt is the edited text. */
  sourcePrompt: z.string().max(controlLimits.promptLength),
  /** In which part of the run words keep the places that they had. */
  cross: windowSchema.default({ start: 0, end: 0.8 }),
  /** Windows of single words of the edited prompt, in place of `cross`. */
  crossWords: z
    .array(z.strictObject({ phrase, window: windowSchema }))
    .max(controlLimits.items)
    .default([]),
  /** In which part of the run the picture's attention to itself is that of the source. */
  self: windowSchema.default({ start: 0, end: 0.4 }),
  /** Layers with more positions keep their own self-attention. */
  selfPositions: z.number().int().min(0).default(1024),
  /** Factors on the probabilities of words of the edited prompt, within `cross`; not renormalised. */
  reweight: z
    .array(
      z.strictObject({ phrase, factor: finite.min(-controlLimits.strength).max(controlLimits.strength) }),
    )
    .max(controlLimits.items)
    .default([]),
  /** Change the picture only where these words are: of the source, of the edited prompt. */
  blend: z
    .strictObject({
      source: z.array(phrase).max(controlLimits.items).default([]),
      target: z.array(phrase).max(controlLimits.items).default([]),
      /** Never changed, wherever the others are. */
      subtract: z.array(phrase).max(controlLimits.items).default([]),
      threshold: share.default(0.3),
      /** Share of the run before the mask holds. */
      start: share.default(0.2),
    })
    .optional(),
})
export type EditControl = z.output<typeof editSchema>

export const controlsSchema = z.strictObject({
  paint: z.array(paintSchema).max(controlLimits.items).optional(),
  regions: regionsSchema.optional(),
  edit: editSchema.optional(),
  /** Positions see the words and the beginning of the text only, not what fills up its end. */
  hidePadding: z.boolean().optional(),
})
export type Controls = z.output<typeof controlsSchema>
export type ControlsInput = z.input<typeof controlsSchema>

/** True where nothing is asked for. */
export function hasNoControls(controls: Controls | undefined): boolean {
  return !controls || !(controls.paint?.length || controls.regions || controls.edit || controls.hidePadding)
}

/** The length that base64 text decodes to. */
function bytesOfBase64(text: string): number {
  return (text.length / 4) * 3 - (text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0)
}
