/** What a plot varies: values as people type them, and the request of each combination. */
import { requestLimits, type Sampler, samplers, seedSchema } from '../../../model/contract/request.ts'
import { readPrompt, weighWord } from '../../engine/words.ts'
import type { RequestDraft } from '../../state/request.ts'

export const axisKinds = ['seed', 'steps', 'guidance', 'sampler', 'weight', 'replace'] as const
export type AxisKind = (typeof axisKinds)[number]

export interface Axis {
  readonly kind: AxisKind
  /** As typed; of samplers their names with commas. */
  readonly values: string
  /** Of a weight: which word. */
  readonly word?: string
}

export type AxisProblem =
  | { readonly kind: 'bad-value'; readonly value: string }
  | { readonly kind: 'not-in-prompt'; readonly value: string }
  | { readonly kind: 'cannot-weigh'; readonly value: string }
  | { readonly kind: 'empty' }

export interface AxisValue {
  readonly label: string
  apply(draft: RequestDraft): RequestDraft
}

export type ReadAxis = { readonly values: readonly AxisValue[] } | { readonly problem: AxisProblem }

export const mostPictures = 400
const mostValues = 100
const bad = (value: string): ReadAxis => ({ problem: { kind: 'bad-value', value } })

/** Parts between commas; a comma inside quotes belongs to its part. */
export function partsOf(text: string): string[] {
  return [...text.matchAll(/"([^"]*)"|([^,"]+)/g)]
    .map(([, quoted, bare]) => (quoted ?? bare ?? '').trim())
    .filter(part => part !== '')
    .slice(0, mostValues)
}

const rangePattern = /^(-?\d+(?:\.\d+)?)\.\.(-?\d+(?:\.\d+)?)(?:\+(\d+(?:\.\d+)?))?$/
const numberPattern = /^-?\d+(?:\.\d+)?$/

/** `8, 12, 10..30+5` as numbers; the first part that is none otherwise. */
export function numbersOf(text: string): { readonly numbers: readonly number[] } | { readonly bad: string } {
  const numbers: number[] = []
  for (const part of partsOf(text)) {
    const range = rangePattern.exec(part)
    if (range) {
      const [from, to, step] = [Number(range[1]), Number(range[2]), Number(range[3] ?? 1)]
      if (step <= 0 || to < from || (to - from) / step > mostValues) return { bad: part }
      // By index: sums of steps drift.
      for (let at = 0; from + at * step <= to + 1e-9; at++)
        numbers.push(Number((from + at * step).toFixed(6)))
    } else if (numberPattern.test(part)) numbers.push(Number(part))
    else return { bad: part }
  }
  return { numbers: [...new Set(numbers)].slice(0, mostValues) }
}

function seedsOf(text: string, random: () => string): ReadAxis {
  const seeds: string[] = []
  for (const part of partsOf(text)) {
    const dice = /^(?:random|zufall)\*(\d{1,2})$/i.exec(part)
    const range = /^(\d{1,20})\.\.(\d{1,20})$/.exec(part)
    if (dice) for (let at = 0; at < Number(dice[1]); at++) seeds.push(random())
    else if (range) {
      const [from, to] = [BigInt(range[1] ?? 0), BigInt(range[2] ?? 0)]
      if (to < from || to - from >= BigInt(mostValues)) return bad(part)
      for (let seed = from; seed <= to; seed++) seeds.push(seed.toString())
    } else seeds.push(part)
  }
  const wrong = seeds.find(seed => !seedSchema.safeParse(seed).success)
  if (wrong !== undefined) return bad(wrong)
  return filled(
    [...new Set(seeds)].map(seed => ({
      label: seed,
      apply: draft => ({ ...draft, seed, seedLocked: true }),
    })),
  )
}

function filled(values: readonly AxisValue[]): ReadAxis {
  return values.length > 0 ? { values } : { problem: { kind: 'empty' } }
}

function numeric(
  text: string,
  least: number,
  most: number,
  isWhole: boolean,
  apply: (draft: RequestDraft, value: number) => RequestDraft,
): ReadAxis {
  const read = numbersOf(text)
  if ('bad' in read) return bad(read.bad)
  const wrong = read.numbers.find(
    value => value < least || value > most || (isWhole && !Number.isInteger(value)),
  )
  if (wrong !== undefined) return bad(String(wrong))
  return filled(read.numbers.map(value => ({ label: String(value), apply: draft => apply(draft, value) })))
}

/** Every occurrence of the first value by another one; word by word where it begins and ends in letters. */
export function replaced(text: string, from: string, to: string): string {
  const quoted = from.replaceAll(/[.*+?^${}()|[\]\\]/g, String.raw`\$&`)
  const begin = /^[\p{L}\p{N}]/u.test(from) ? String.raw`(?<![\p{L}\p{N}])` : ''
  const end = /[\p{L}\p{N}]$/u.test(from) ? String.raw`(?![\p{L}\p{N}])` : ''
  return text.replaceAll(new RegExp(begin + quoted + end, 'giu'), () => to)
}

function weights({ word = '', values }: Axis, draft: RequestDraft): ReadAxis {
  const find = (text: string) =>
    readPrompt(text, draft.dialect).words.filter(each => each.text.toLowerCase() === word.toLowerCase())
  const count = find(draft.prompt).length
  if (word === '' || count === 0) return { problem: { kind: 'not-in-prompt', value: word } }
  const weigh = (of: RequestDraft, weight: number): RequestDraft | undefined => {
    let { prompt } = of
    for (let at = 0; at < count; at++) {
      // Read anew: the edit before has moved what follows.
      const found = find(prompt)[at]
      const edit = found && weighWord(prompt, of.dialect, found, weight)
      if (!edit) return undefined
      prompt = edit.text
    }
    return { ...of, prompt }
  }
  if (!weigh(draft, 1.1)) return { problem: { kind: 'cannot-weigh', value: word } }
  return numeric(values, -10, 10, false, (of, weight) => weigh(of, weight) ?? of)
}

/** @param random gives a seed, for `random*3` */
export function readAxis(axis: Axis, draft: RequestDraft, random: () => string): ReadAxis {
  const { kind, values } = axis
  if (kind === 'seed') return seedsOf(values, random)
  if (kind === 'steps')
    return numeric(values, 1, requestLimits.steps, true, (of, steps) => ({ ...of, steps }))
  if (kind === 'guidance') {
    return numeric(values, 0, requestLimits.guidance, false, (of, guidanceScale) => ({
      ...of,
      guidanceScale,
    }))
  }
  if (kind === 'weight') return weights(axis, draft)
  const parts = partsOf(values)
  if (kind === 'sampler') {
    const wrong = parts.find(part => !samplers.includes(part as Sampler))
    if (wrong !== undefined) return bad(wrong)
    return filled(parts.map(part => ({ label: part, apply: of => ({ ...of, sampler: part as Sampler }) })))
  }
  const [first] = parts
  if (first === undefined) return { problem: { kind: 'empty' } }
  if (
    replaced(draft.prompt, first, '\0') === draft.prompt &&
    replaced(draft.negativePrompt, first, '\0') === draft.negativePrompt
  )
    return { problem: { kind: 'not-in-prompt', value: first } }
  return filled(
    parts.map(part => ({
      label: part,
      apply: of => ({
        ...of,
        prompt: replaced(of.prompt, first, part),
        negativePrompt: replaced(of.negativePrompt, first, part),
      }),
    })),
  )
}

export interface Combination {
  readonly x: number
  readonly y: number
  readonly z: number
  readonly draft: RequestDraft
}

/** Every combination, tables first, then rows, then columns. Words are replaced before they are weighed. */
export function combinationsOf(
  draft: RequestDraft,
  axes: readonly [readonly AxisValue[], readonly AxisValue[], readonly AxisValue[]],
): Combination[] {
  const none: AxisValue = { label: '', apply: of => of }
  const [xs, ys, zs] = axes.map(values => (values.length > 0 ? values : [none])) as [
    AxisValue[],
    AxisValue[],
    AxisValue[],
  ]
  return zs.flatMap((inZ, z) =>
    ys.flatMap((inY, y) => xs.map((inX, x) => ({ x, y, z, draft: inX.apply(inY.apply(inZ.apply(draft))) }))),
  )
}
