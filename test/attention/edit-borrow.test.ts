/** The two sources of an edit against prompt-to-prompt's own formula, both in double precision on small data. */
import { describe, expect, it } from 'vitest'
import { type Alignment, alignPrompts } from '../../model/attention/edit/align.ts'
import { alignAsReference } from '../../model/attention/edit/align-reference.ts'
import { borrowCoefficients, borrowedKeyValues, ownGain } from '../../model/attention/edit/borrow.ts'
import { crossAlphas, reweightFactors } from '../../model/attention/edit/windows.ts'
import { editSchema } from '../../model/contract/controls.ts'
import { toyText } from '../fixtures/attention-edit/text.ts'

/** Numbers from −1 to 1 that single precision holds. */
function draw(seed: number, count: number): Float32Array {
  let state = seed
  return Float32Array.from({ length: count }, () => {
    state = (Math.imul(1664525, state) + 1013904223) >>> 0
    return (state >>> 16) / 32768 - 1
  })
}

interface Columns {
  readonly keyOffset: number
  readonly valueOffset: number
  readonly width: number
}

/** softmax(q·kᵀ) of one position over the keys of [S, W]. */
function probabilities(
  query: Float32Array,
  data: Float32Array,
  rows: number,
  { keyOffset }: Columns,
): number[] {
  const width = data.length / rows
  const logits = Array.from({ length: rows }, (_, s) =>
    query.reduce((sum, q, i) => sum + q * (data[s * width + keyOffset + i] as number), 0),
  )
  const largest = Math.max(...logits)
  const weights = logits.map(each => Math.exp(each - largest))
  const total = weights.reduce((a, b) => a + b, 0)
  return weights.map(each => each / total)
}

/** Σ_s p[s] gain[s] v[s] of the values of [S, W]. */
function weigh(p: readonly number[], data: Float32Array, { valueOffset, width: size }: Columns): number[] {
  const width = data.length / p.length
  return Array.from({ length: size }, (_, i) =>
    p.reduce((sum, each, s) => sum + each * (data[s * width + valueOffset + i] as number), 0),
  )
}

const layers: readonly Columns[] = [
  { keyOffset: 0, valueOffset: 4, width: 4 },
  { keyOffset: 14, valueOffset: 9, width: 5 },
]
const width = 20

/** M as a dense matrix [s][t]. */
function dense({ from }: Alignment): number[][] {
  const matrix = from.map(() => Array<number>(from.length).fill(0))
  for (const [t, column] of from.entries()) {
    for (const { row, share } of column) (matrix[row] as number[])[t] = share
  }
  return matrix
}

describe('borrowedKeyValues and ownGain', () => {
  const texts = [
    ['a cat on a mat', 'a rhinoceros on a mat'],
    ['a rhinoceros on a mat', 'a cat in the snow'],
    ['a cat', 'a cat with a big hat'],
  ] as const

  it.each(texts)('%s → %s: the formula', (before, after) => {
    const [source, target] = [toyText(before), toyText(after)]
    const last = after.split(' ').at(-1) ?? ''
    const edit = editSchema.parse({
      sourcePrompt: before,
      cross: { start: 0, end: 0.5 },
      crossWords: [{ phrase: 'a', window: { start: 0.5, end: 1 } }],
      reweight: [{ phrase: last, factor: 2.5 }],
    })
    const alignments = [alignPrompts(source, target, 77), alignPrompts(source, target, 77, { kind: 'mixed' })]
    alignments.push(alignAsReference(source, target, 77, 'refine'))
    const [textA, textB] = [draw(1, 77 * width), draw(2, 77 * width)]
    for (const [index, alignment] of [...alignments, ...alignments].entries()) {
      const alphas = crossAlphas(edit, target, 77, index < alignments.length ? 0 : 1, 2)
      const factors = reweightFactors(edit, target, 77)
      const coefficients = borrowCoefficients(alphas, factors, alignment)
      const gain = ownGain(alphas, factors, alignment)
      const borrowed = borrowedKeyValues(textA, textB, layers, alignment, coefficients)
      const m = dense(alignment)
      for (const layer of layers) {
        // The source's query and one's own: two samples, one position.
        const [theirs, mine] = [draw(3, layer.width), draw(4, layer.width)]
        const pSource = probabilities(theirs, textA, 77, layer)
        const pOwn = probabilities(mine, textB, 77, layer)
        const edited = pOwn.map((own, t) => {
          const [alpha, c, a] = [alphas[t] as number, factors[t] as number, alignment.mask[t] as number]
          const taken = pSource.reduce((sum, p, s) => sum + p * (m[s]?.[t] as number), 0)
          return alpha * c * (a * taken + (1 - a) * own) + (1 - alpha) * own
        })
        const direct = weigh(edited, textB, layer)
        const ours = weigh(probabilities(theirs, borrowed, 77, layer), borrowed, layer)
        const rest = weigh(
          pOwn.map((p, t) => p * (gain[t] as number)),
          textB,
          layer,
        )
        const largest = Math.max(...direct.map(Math.abs))
        for (const [i, value] of direct.entries()) {
          expect(Math.abs((ours[i] as number) + (rest[i] as number) - value) / largest).toBeLessThan(1e-6)
        }
      }
    }
  })

  it('gives the text itself back, to the bit, where nothing is edited', () => {
    const text = toyText('a cat on a mat')
    const alignment = alignPrompts(text, text, 154)
    const ones = new Float32Array(154).fill(1)
    const data = draw(5, 154 * width)
    const coefficients = borrowCoefficients(ones, ones, alignment)
    const into = draw(6, 154 * width)
    expect(borrowedKeyValues(data, data, layers, alignment, coefficients, into)).toBe(into)
    // Column 8 and the last belong to no layer.
    const expected = data.map((value, i) => (i % width === 8 || i % width === 19 ? 0 : value))
    expect(into).toEqual(expected)
    expect([...ownGain(ones, ones, alignment)].every(gain => gain === 0)).toBe(true)
  })

  it('leaves all to the text itself outside of the window', () => {
    const alignment = alignPrompts(toyText('a cat'), toyText('a dog'), 77)
    const none = new Float32Array(77)
    const factors = new Float32Array(77).fill(3)
    expect([...borrowCoefficients(none, factors, alignment)].every(each => each === 0)).toBe(true)
    expect([...ownGain(none, factors, alignment)].every(gain => gain === 1)).toBe(true)
  })

  it('refuses data that does not fit', () => {
    const alignment = alignPrompts(toyText('a cat'), toyText('a dog'), 77)
    const ones = new Float32Array(77).fill(1)
    const data = new Float32Array(77 * width)
    expect(() => ownGain(ones, new Float32Array(3), alignment)).toThrow(/77 rows meet 77 and 3/)
    expect(() => borrowedKeyValues(data, data, layers, alignment, [1])).toThrow(/77 rows meet 1/)
    expect(() => borrowedKeyValues(data, data.subarray(1), layers, alignment, ones)).toThrow(/1539 and 1540/)
    expect(() => borrowedKeyValues(data.subarray(1), data, layers, alignment, ones)).toThrow(/in 77 rows/)
    expect(() => borrowedKeyValues(data, data, layers, alignment, ones, data)).toThrow(/into/)
    const beyond = [{ keyOffset: 0, valueOffset: 16, width: 8 }]
    expect(() => borrowedKeyValues(data, data, beyond, alignment, ones)).toThrow(/ends at 24 of 20/)
  })
})
