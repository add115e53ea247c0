/**
 * What must hold for every text, tried on random ones: nothing crashes or hangs, every piece is a true quotation of
 * the text as typed, and conversion keeps what each word is multiplied with.
 */
import { describe, expect, it } from 'vitest'
import { convertPrompt } from '../../model/prompt/convert.ts'
import { parsePrompt } from '../../model/prompt/parse.ts'
import { segmentsOf } from '../../model/prompt/timeline.ts'
import { type Dialect, dialects, type ParsedPrompt, type PromptPart } from '../../model/prompt/types.ts'
import type { WeightedDialect } from '../../model/prompt/write.ts'
import { seeded } from '../weights/support.ts'

const weighted = ['a1111', 'comfy', 'compel'] as const
type Draw = (limit: number) => number
const pick = <T>(draw: Draw, list: readonly T[]): T => list[draw(list.length)] as T

const scraps =
  `( ) [ ] : | \\ " , . + - ++ -- = < > \n 🦊 é a cat red 1.2 0.5 :1.3) :-1) 1.2.3 BREAK AND .and( .blend( .swap( .attend( withLora( <lora:x:1> embedding:y no_normalize ¨`.split(
    ' ',
  )
function noise(draw: Draw): string {
  return Array.from({ length: draw(40) }, () => pick(draw, scraps) + pick(draw, ['', '', ' '])).join('')
}

function checkSpans(parsed: ParsedPrompt): void {
  const { source } = parsed
  const isInside = ({ start, end }: { start: number; end: number }) =>
    start >= 0 && start <= end && end <= source.length
  for (const part of parsed.parts) {
    expect(isInside(part.span)).toBe(true)
    for (const text of part.texts) {
      expect(text.pieces.length).toBeGreaterThan(0)
      let behind = 0
      for (const piece of text.pieces) {
        expect(isInside(piece.span)).toBe(true)
        if (piece.kind === 'break') continue
        expect(Number.isFinite(piece.weight)).toBe(true)
        expect(piece.runs.map(({ start, end }) => source.slice(start, end)).join('')).toBe(piece.text)
        for (const run of piece.runs) {
          expect(run.start).toBeGreaterThanOrEqual(behind)
          expect(run.end).toBeGreaterThan(run.start)
          behind = run.end
        }
      }
      for (const { at, span } of text.swaps) {
        expect(isInside(span)).toBe(true)
        expect(0 <= at[0] && at[0] <= at[1] && at[1] <= text.pieces.length).toBe(true)
      }
    }
  }
  for (const { line, column, span } of parsed.problems) {
    expect(isInside(span)).toBe(true)
    const lineText = source.split('\n')[line - 1] ?? ''
    expect(column - 1).toBeLessThanOrEqual([...lineText].length)
  }
  for (const { span } of parsed.tags) expect(isInside(span)).toBe(true)
}

describe.each(dialects)('fault S1, S2: any text at all: %s', dialect => {
  it('gives pieces that quote it', () => {
    const draw = seeded(7)
    for (let round = 0; round < 3000; round++) {
      const parsed = parsePrompt(noise(draw), dialect)
      checkSpans(parsed)
      for (const { schedule } of parsed.parts) if (schedule) segmentsOf(schedule, { calls: 6 })
      expect(JSON.parse(JSON.stringify(parsed))).toEqual(parsed)
    }
  })

  it('survives conversion to every dialect', () => {
    const draw = seeded(8)
    for (let round = 0; round < 1000; round++) {
      const parsed = parsePrompt(noise(draw), dialect)
      for (const to of weighted) checkSpans(parsePrompt(convertPrompt(parsed, to).text, to))
    }
  })

  it.each([
    ['(', 200_000],
    ['[', 200_000],
    ['(a', 100_000],
    ['[a:', 60_000],
    ['[a|(b)', 30_000],
    ['\\(', 100_000],
    ['<a:', 60_000],
    [' ', 200_000],
    ['a :', 60_000],
    ['"a" ', 50_000],
    ['" ', 100_000],
    ['a BREAK ', 25_000],
    ['a AND ', 33_000],
    ['(a:1.1)', 28_000],
    ['a+ ', 60_000],
    [')', 200_000],
  ])('takes %j times %i in a moment', (unit, times) => {
    const started = performance.now()
    parsePrompt(unit.repeat(times), dialect)
    expect(performance.now() - started).toBeLessThan(3000)
  })
})

type Word = readonly [word: string, weight: number]
const words = [
  'red',
  'car',
  'blue sky',
  'tall',
  'été',
  'x(y)',
  'a:b',
  'hot-dog',
  '12',
  'c++',
  '[k]',
  'b\\n',
  '"q"',
]

/** A random prompt of a dialect, and the words with weights that it stands for. */
function write(draw: Draw, dialect: WeightedDialect, depth = 0, around = 1): { text: string; list: Word[] } {
  const out: string[] = []
  const list: Word[] = []
  for (let count = 1 + draw(3); count > 0; count--) {
    if (depth < 4 && draw(3) === 0) {
      const number = pick(draw, ['1.3', '0.5', '2', '1.05', '0'])
      const isPlain = draw(2) === 0
      const factor = isPlain ? 1.1 : Number(number)
      const inner = write(
        draw,
        dialect,
        depth + 1,
        dialect === 'comfy' && !isPlain ? factor : around * factor,
      )
      list.push(...inner.list)
      if (dialect === 'compel') out.push(`(${inner.text})${isPlain ? '+' : number}`)
      else out.push(isPlain ? `(${inner.text})` : `(${inner.text}:${number})`)
    } else {
      const word = pick(draw, words)
      list.push([word, around])
      out.push(escaped(word, dialect))
    }
  }
  return { text: out.join(' '), list }
}

function escaped(word: string, dialect: WeightedDialect): string {
  if (dialect === 'a1111') return word.replace(/[\\()[\]]/g, sign => `\\${sign}`)
  if (dialect === 'comfy') return word.replace(/[()]/g, sign => `\\${sign}`)
  return word.replace(/[()"]|[+-](?=[+-]|$)/g, sign => `\\${sign}`)
}

/** Every sign that CLIP could see, with its weight; white space parts, as it does for CLIP. */
function signs(list: readonly Word[]): Word[] {
  return list.flatMap(([text, weight]) =>
    (text.toLowerCase().match(/[\p{L}\p{N}]+|[^\s\p{L}\p{N}]/gu) ?? []).map((sign): Word => [sign, weight]),
  )
}
const signsOf = (part: PromptPart | undefined): Word[] =>
  signs(
    (part?.texts[0]?.pieces ?? []).flatMap((piece): Word[] =>
      piece.kind === 'text' ? [[piece.text, piece.weight]] : [],
    ),
  )

/** Weights are written with six digits. */
function expectSame(actual: readonly Word[], expected: readonly Word[], hint: string): void {
  expect([hint, actual.map(([sign]) => sign)]).toEqual([hint, expected.map(([sign]) => sign)])
  for (const [index, [, weight]] of expected.entries()) {
    const difference = Math.abs((actual[index]?.[1] ?? NaN) - weight)
    expect(difference, hint).toBeLessThanOrEqual(5e-6 * Math.max(1, Math.abs(weight)))
  }
}

describe('weights by value', () => {
  it.each(weighted)('%s gives what was written', dialect => {
    const draw = seeded(11)
    for (let round = 0; round < 1000; round++) {
      const { text, list } = write(draw, dialect)
      expectSame(signsOf(parsePrompt(text, dialect).parts[0]), signs(list), text)
    }
  })

  it.each(weighted.flatMap(from => weighted.map(to => [from, to] as const)))('%s → %s', (from, to) => {
    const draw = seeded(12)
    for (let round = 0; round < 700; round++) {
      const { text } = write(draw, from)
      const before = parsePrompt(text, from)
      const { text: converted, losses } = convertPrompt(before, to)
      expect(losses).toEqual([])
      const after = parsePrompt(converted, to)
      expectSame(signsOf(after.parts[0]), signsOf(before.parts[0]), `${text} → ${converted}`)
      expect(after.parts).toHaveLength(1)
    }
  })

  it('plain text becomes the same text in every dialect', () => {
    const draw = seeded(13)
    for (let round = 0; round < 1000; round++) {
      const before = parsePrompt(noise(draw), 'plain' satisfies Dialect)
      for (const to of weighted) {
        const { text, losses } = convertPrompt(before, to)
        const after = parsePrompt(text, to)
        expectSame(signsOf(after.parts[0]), signsOf(before.parts[0]), `${to}: ${before.source} → ${text}`)
        expect([text, after.parts.length, after.parts[0]?.weight, after.tags, losses]).toEqual([
          text,
          1,
          1,
          [],
          [],
        ])
      }
    }
  })
})
