/** Weights as curves over the steps: data of the request, bound to words of the prompt. */
import { AttuneError } from '../contract/errors.ts'
import type { WeightCurve } from '../contract/prompt.ts'
import type { Span } from './source.ts'

/** A curve and the places that it acts on. */
export interface BoundCurve {
  readonly curve: WeightCurve
  readonly spans: readonly Span[]
}

const wordCharacter = /[\p{L}\p{N}_]/u

/**
 * Finds the words of each curve.
 * @throws AttuneError `bad-argument` for words that are not in the prompt: such a curve could not act.
 */
export function bindCurves(curves: readonly WeightCurve[], source: string): BoundCurve[] {
  return curves.map(curve => {
    const spans = phrasePlaces(source, curve.phrase)
    if (spans.length > 0) return { curve, spans }
    throw new AttuneError(
      'bad-argument',
      `The weight curve for "${curve.phrase.slice(0, 60)}" cannot act: these words are not in the prompt.`,
      'Write them as they stand in the prompt, without brackets and weights.',
    )
  })
}

/** Where a phrase stands in a text: whole words, large or small. */
export function phrasePlaces(source: string, phrase: string): Span[] {
  const wanted = phrase
    .trim()
    .replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
    .replace(/\s+/g, '\\s+')
  if (wanted === '') return []
  const first = wordCharacter.test(phrase.trim()[0] ?? '') ? '(?<![\\p{L}\\p{N}_])' : ''
  const last = wordCharacter.test(phrase.trim().at(-1) ?? '') ? '(?![\\p{L}\\p{N}_])' : ''
  return [...source.matchAll(new RegExp(`${first}${wanted}${last}`, 'giu'))].map(match => ({
    start: match.index,
    end: match.index + match[0].length,
  }))
}

/**
 * The value of a curve.
 * @param step counted from 0.
 * @param steps of the run; a share f lies at step f·(steps − 1).
 */
export function curveValue(curve: WeightCurve, step: number, steps: number): number {
  const points = curve.keys
    .map(({ step: at, fraction = 0, weight }) => ({ at: at ?? fraction * Math.max(0, steps - 1), weight }))
    .sort((a, b) => a.at - b.at)
  const next = points.findIndex(({ at }) => at > step)
  const before = points[next < 0 ? points.length - 1 : next - 1]
  const after = points[next]
  if (!before) return after?.weight ?? 1
  if (!after || curve.shape === 'hold') return before.weight
  const share = (step - before.at) / (after.at - before.at)
  return before.weight + share * (after.weight - before.weight)
}

/** What each place is multiplied with at a step; undefined where nothing is. */
export function curveFactor(
  bound: readonly BoundCurve[],
  step: number,
  steps: number,
): ((span: Span) => number) | undefined {
  const values = bound.map(({ curve, spans }) => ({ value: curveValue(curve, step, steps), spans }))
  const active = values.filter(({ value }) => value !== 1)
  if (active.length === 0) return undefined
  return span =>
    active.reduce(
      (product, { value, spans }) =>
        spans.some(({ start, end }) => span.start < end && start < span.end) ? product * value : product,
      1,
    )
}
