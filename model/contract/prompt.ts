/** What a request says about reading its prompts: plain values, as everything in a request. */
import { z } from 'zod'

/**
 * How emphasis is written. `plain` has no syntax at all: every character is text, as diffusers takes it (A1111's
 * emphasis mode "None"), and as requests without a dialect were drawn.
 */
export const promptDialects = ['a1111', 'comfy', 'compel', 'plain'] as const
export type PromptDialect = (typeof promptDialects)[number]

/** What a weight does; model/text/laws.ts has the formulas. */
export const weightLaws = [
  'a1111',
  'a1111-no-norm',
  'comfy',
  'compel',
  'ignore',
  'logit-bias',
  'value-gain',
] as const
export type WeightLaw = (typeof weightLaws)[number]

/** More keys than steps say nothing more. */
const mostKeys = 1000
const mostCurves = 64

const finiteNumber = z.number('must be a number').refine(Number.isFinite, 'must be a finite number')

/** A point of a curve: at a step (counted from 0) or at a share of the run (0 = first step, 1 = last). */
const curveKeySchema = z
  .strictObject({
    step: finiteNumber.min(0).optional(),
    fraction: finiteNumber.min(0).max(1).optional(),
    weight: finiteNumber.min(-100).max(100),
  })
  .refine(
    ({ step, fraction }) => (step === undefined) !== (fraction === undefined),
    'each key needs either a step or a fraction',
  )

/** A weight that moves while the picture is drawn. It multiplies what the prompt says for those words. */
export const weightCurveSchema = z.strictObject({
  /** Words of the prompt as typed, large or small; every place where they stand. */
  phrase: z.string().min(1).max(1000),
  keys: z.array(curveKeySchema).min(1).max(mostKeys),
  /** Between keys: a straight line, or the key before holds. */
  shape: z.enum(['linear', 'hold']).default('linear'),
})
export const weightCurvesSchema = z.array(weightCurveSchema).max(mostCurves)
export type WeightCurve = z.output<typeof weightCurveSchema>

/** Prompts as a person wrote them, before wildcards were drawn from them: beside what was drawn, in jobs and records. */
export const promptTemplateSchema = z.strictObject({
  prompt: z.string().max(200_000),
  negativePrompt: z.string().max(200_000),
})
export type PromptTemplate = z.output<typeof promptTemplateSchema>
