/**
 * Painted words (paint-with-words; eDiff-I, Balaji et al., arXiv 2211.01324): inside a mask, a bias on the logits of
 * some words. The bias is added before the softmax, to the conditional half only.
 *
 * `constant` adds strength · mask: strength 1 makes a word e times as likely before the softmax, whatever the layer.
 *
 * `paint-with-words` is cloneofsimo's rule: scores (Q·Kᵀ + A) / √D with A = w · ln(1 + σ) · max(Q·Kᵀ). Our bias is added
 * after the scaling, and our unit is the largest scaled logit; since max(Q·Kᵀ) / √D = max(Q·Kᵀ / √D), both are the same
 * number: A / √D = w · ln(1 + σ) · peak. The seam takes it as a product: `logitBias` is w · mask, constant over the
 * steps, and `peakScale` is ln(1 + σ) (`paintScale`), to which each layer adds its own peak. The program's default
 * strength is 0.1, its examples use 0.15 to 0.4. Its maximum is taken over all heads and positions of the layer, as ours.
 *
 * Axis letters: L = h·w positions, S tokens of all sources.
 */
import { isInWindow, type PaintControl } from '../../contract/controls.ts'
import { AttuneError, invariant } from '../../contract/errors.ts'
import { phrasePlaces } from '../../prompt/curves.ts'
import type { CaptureText } from '../capture.ts'
import type { Grid } from '../resize.ts'
import {
  type ControlWarning,
  emptyWindow,
  type PreparedMask,
  prepareMask,
  preparedMaskAt,
  quoted,
} from './mask.ts'

/** Painted words whose masks are decoded and whose words are found. */
export interface PreparedPaint {
  readonly law: PaintControl['law']
  readonly items: readonly {
    readonly paint: PaintControl
    readonly mask: PreparedMask
    /** For each text: the rows of its tokens that the phrase covers, ascending; none where it does not stand there. */
    readonly rows: readonly (readonly number[])[]
  }[]
}

/** Where the prompt stands among the tokens of all sources. */
export interface PaintLayout {
  /** S. */
  readonly tokens: number
  /** The token at which the prompt's own source begins; 0 unless given. */
  readonly offset?: number
}

/** What rides on the same bias as painted words, and would be scaled with them. */
export interface BiasCompany {
  /** Regions with the law `isolate`. */
  readonly isolate?: boolean
  readonly hidePadding?: boolean
}

/**
 * Checks what is painted before a run: one law, masks with something inside, words that are there.
 * @param texts of the run: one, or those of a prompt that changes over the steps; a phrase must stand in one of them
 * @throws AttuneError `bad-argument` for words that are nowhere and empty masks, `unsupported` for two laws at once
 */
export function preparePaint(
  paints: readonly PaintControl[],
  texts: readonly CaptureText[],
  picture: Grid,
  company: BiasCompany = {},
): PreparedPaint {
  const laws = new Set(paints.map(({ law }) => law))
  if (laws.size > 1) {
    throw new AttuneError(
      'unsupported',
      'Some painted words follow the law constant and others paint-with-words: a layer scales its whole bias by one number, so a run has one law.',
      'Give all painted words the same law.',
    )
  }
  const law = paints[0]?.law ?? 'constant'
  if (law === 'paint-with-words' && (company.isolate || company.hidePadding)) {
    throw new AttuneError(
      'unsupported',
      `Painted words of the law paint-with-words cannot be drawn together with ${company.isolate ? 'isolated regions' : 'hidden padding'}: both are a bias, and that law scales the bias by what a layer computes.`,
      `Use the law constant${company.isolate ? ', or the regions’ law mix' : ', or show the padding'}.`,
    )
  }
  const items = paints.map(paint => ({
    paint,
    rows: texts.map(text => phraseRows(paint.phrase, text)),
    mask: prepareMask(paint.mask, {
      feather: paint.feather,
      picture,
      name: `painted word ${quoted(paint.phrase)}`,
    }),
  }))
  for (const { paint, rows } of items) {
    if (rows.every(each => each.length === 0)) throw missingPhrase(paint.phrase, texts)
  }
  return { law, items }
}

/** Which painted words count at evaluation `index` of `count`: while this is the same, so is the bias. */
export function activePaints({ items }: PreparedPaint, index: number, count: number): number[] {
  return items.flatMap(({ paint }, i) => (isInWindow(paint.window, index, count) ? [i] : []))
}

/**
 * The bias of all painted words at one evaluation: Σ strength · mask on every token of a phrase, at all its places.
 * @param text which of the texts that `preparePaint` was given
 * @returns [L, S] to add to the conditional half's `logitBias`; undefined where nothing is painted
 */
export function paintBias(
  prepared: PreparedPaint,
  { tokens, offset = 0 }: PaintLayout,
  grid: Grid,
  index: number,
  count: number,
  text = 0,
): Float32Array | undefined {
  let bias: Float32Array | undefined
  for (const which of activePaints(prepared, index, count)) {
    const item = prepared.items[which]
    const rows = item?.rows[text]
    invariant(item && rows, `painted word ${which} of text ${text}`)
    if (rows.length === 0) continue
    const values = preparedMaskAt(item.mask, grid)
    bias ??= new Float32Array(values.length * tokens)
    for (const row of rows) {
      const token = offset + row
      invariant(token < tokens, `token ${token} of ${tokens}`)
      for (let position = 0; position < values.length; position++) {
        const at = position * tokens + token
        bias[at] = (bias[at] as number) + item.paint.strength * (values[position] as number)
      }
    }
  }
  return bias
}

/**
 * The factor of paint-with-words at a step, for `peakScale`: ln(1 + σ), with σ = √((1 − ᾱ) / ᾱ), the noise level that
 * k-diffusion counts in. Strong while the picture's composition is decided, nothing at its end.
 */
export function paintScale(sigma: number): number {
  invariant(sigma >= 0, `paintScale: sigma ${sigma}`)
  return Math.log1p(sigma)
}

/** What a run of `count` evaluations leaves of painted words. */
export function paintWarnings(paints: readonly PaintControl[], count: number): ControlWarning[] {
  return paints.flatMap(
    ({ phrase, window }) => emptyWindow(`painted word ${quoted(phrase)}`, window, count) ?? [],
  )
}

/** The rows along S of every token that touches the phrase, ascending; none where the phrase is not in the text. */
export function phraseRows(phrase: string, { prompt, places }: CaptureText): number[] {
  const spans = phrasePlaces(prompt, phrase)
  return places
    .filter(({ token }) => spans.some(({ start, end }) => token.start < end && start < token.end))
    .map(({ row }) => row)
    .sort((a, b) => a - b)
}

function missingPhrase(phrase: string, texts: readonly CaptureText[]): AttuneError {
  const words = new Set<string>()
  for (const { prompt, places } of texts) {
    const spans = new Map<number, { start: number; end: number }>()
    for (const { token } of places) {
      const known = spans.get(token.word) ?? token
      spans.set(token.word, {
        start: Math.min(known.start, token.start),
        end: Math.max(known.end, token.end),
      })
    }
    for (const { start, end } of spans.values()) words.add(prompt.slice(start, end))
  }
  // Commas and other signs are no words that anybody paints.
  const known = [...words].filter(word => /[\p{L}\p{N}]/u.test(word))
  return new AttuneError(
    'bad-argument',
    `The words ${quoted(phrase)} cannot be painted: they are not in the prompt.`,
    known.length > 0
      ? `Write them as they stand there, without brackets and weights: ${known.slice(0, 40).join(', ')}.`
      : 'Write a prompt first.',
  )
}
