/** The vectors are those of `/work/shared/reference/conventions.md`, C1, C4 and C5. */
import { describe, expect, it } from 'vitest'
import { parseA1111, parseA1111State } from '../../model/prompt/a1111.ts'
import { parseEmphasis } from '../../model/prompt/a1111-emphasis.ts'
import { formatProblem, Problems, SourceText } from '../../model/prompt/source.ts'
import { segmentAt, segmentsOf, type TimelineOptions } from '../../model/prompt/timeline.ts'
import { messages, pieces, short } from './support.ts'

const emphasis = (text: string) => {
  const problems = new Problems(text)
  return {
    pieces: short(parseEmphasis(SourceText.of(text), problems)),
    problems: problems.sorted().map(formatProblem),
  }
}
const near = (text: string, weight: number) => [text, expect.closeTo(weight, 12)]

describe('emphasis', () => {
  it.each([
    ['(a:1.2', [near('a:1.2', 1.1)]],
    ['(a:1.2 )', [near('a', 1.2)]],
    ['(a: 1.2)', [near('a', 1.2)]],
    ['(a:b:1.3)', [near('a:b', 1.3)]],
    ['(a,b:1.3), c', [near('a,b', 1.3), near(', c', 1)]],
    ['(a:0)', [near('a', 0)]],
    ['(a:-1)', [near('a', -1)]],
    ['(a:+1.5)', [near('a', 1.5)]],
    ['(a:.5)', [near('a', 0.5)]],
    ['(a:1.2.3)', [near('a:1.2.3', 1.1)]],
    ['()', [near('', 1)]],
    ['', [near('', 1)]],
    ['a)', [near('a)', 1)]],
    ['a:1.2)', [near('a:1.2)', 1)]],
    [
      'a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).',
      [
        near('a ', 1),
        near('house', 1.573),
        near(' ', 1.1),
        near('on', 1),
        near(' a ', 1.1),
        near('hill', 0.55),
        near(', sun, ', 1.1),
        near('sky', 1.4641),
        near('.', 1.1),
      ],
    ],
    ['(x)', [near('x', 1.1)]],
    ['((x))', [near('x', 1.21)]],
    ['[x]', [near('x', 1 / 1.1)]],
    ['[x:1.2]', [near('x:1.2', 1 / 1.1)]],
    ['((x:1.5))', [near('x', 1.65)]],
    ['((x:1.5):1.2)', [near('x', 1.8)]],
    ['(a [b) c]', [near('a ', 1.1), near('b', 1), near(' c', 1 / 1.1)]],
    ['{a}', [near('{a}', 1)]],
    ['\\(a\\) \\[b\\] \\\\', [near('(a) [b] \\', 1)]],
    ['a\\b', [near('a\\b', 1)]],
    ['a (b) (c)', [near('a ', 1), near('b', 1.1), near(' ', 1), near('c', 1.1)]],
    ['a BREAK b', [near('a', 1), 'BREAK', near('b', 1)]],
    ['BREAK', ['BREAK', near('', 1)]],
    ['a BREAK\n\nBREAK b', [near('a', 1), 'BREAK', 'BREAK', near('b', 1)]],
    ['xBREAKy', [near('xBREAKy', 1)]],
    ['éBREAK', [near('éBREAK', 1)]],
    ['(a BREAK b:1.2)', [near('a', 1.2), near('BREAK', -1.2), near('b', 1.2)]],
    ['(a BREAK b:1)', [near('a', 1), 'BREAK', near('b', 1)]],
  ])('%s', (text, expected) => {
    expect(emphasis(text).pieces).toEqual(expected)
  })

  it('fault S2: points at what it could not read, by line and column', () => {
    expect(emphasis('a,\n 🦊 (b:1.2.3)').problems).toEqual([
      'line 2, column 6: "1.2.3" is not a number; it counts as text. Write a weight such as (word:1.3).',
    ])
    expect(emphasis('a (b').problems[0]).toMatch(/^column 3: This "\(" is never closed/)
    expect(emphasis('a]').problems[0]).toMatch(/^column 2: Nothing opens this "]"/)
    expect(emphasis('a:1.2)').problems[0]).toMatch(/^column 2: Nothing opens/)
    expect(emphasis('(a BREAK b:1.2)').problems[0]).toMatch(/^column 4: BREAK inside brackets/)
    expect(emphasis(`(a:${'9'.repeat(400)})`).problems).toHaveLength(1)
    expect(emphasis('(a:99999999)')).toMatchObject({ pieces: [['a', 1]] })
  })

  it('knows where every word was typed', () => {
    const source = 'x \\(a\\) ((b c:1.2) d) BREAK e'
    const [first, second, third, mark, last] = parseEmphasis(SourceText.of(source), new Problems(source))
    expect(first).toMatchObject({ text: 'x (a) ', span: { start: 0, end: 8 } })
    expect(first?.kind === 'text' && first.runs.map(run => source.slice(run.start, run.end))).toEqual([
      'x ',
      '(a',
      ') ',
    ])
    expect(second?.span).toEqual({ start: 10, end: 13 })
    expect(third?.span).toEqual({ start: 18, end: 20 })
    expect(mark).toEqual({ kind: 'break', span: { start: 22, end: 27 } })
    expect(last?.span).toEqual({ start: 28, end: 29 })
  })
})

/** The texts of a schedule with the last step of each, as A1111's own table. */
function table(text: string, options: TimelineOptions = { calls: 10 }): [number, string][] {
  const schedule = parseA1111(text).parts[0]?.schedule
  if (!schedule) return [[options.calls, text]]
  return segmentsOf(schedule, options).map(({ end, runs }) => [end, SourceText.ofRuns(text, runs).text])
}

describe('scheduling', () => {
  it.each<[string, [number, string][]]>([
    ['test', [[10, 'test']]],
    [
      'a [b:3]',
      [
        [3, 'a '],
        [10, 'a b'],
      ],
    ],
    [
      'a [b: 3]',
      [
        [3, 'a '],
        [10, 'a b'],
      ],
    ],
    [
      'a [[[b]]:2]',
      [
        [2, 'a '],
        [10, 'a [[b]]'],
      ],
    ],
    [
      '[(a:2):3]',
      [
        [3, ''],
        [10, '(a:2)'],
      ],
    ],
    [
      'a [b : c : 1] d',
      [
        [1, 'a b  d'],
        [10, 'a  c  d'],
      ],
    ],
    [
      'a[b:[c:d:2]:1]e',
      [
        [1, 'abe'],
        [2, 'ace'],
        [10, 'ade'],
      ],
    ],
    [
      'a [b::4] c',
      [
        [4, 'a b c'],
        [10, 'a  c'],
      ],
    ],
    ['a [unbalanced', [[10, 'a [unbalanced']]],
    [
      'a [b:.5] c',
      [
        [5, 'a  c'],
        [10, 'a b c'],
      ],
    ],
    [
      'a [b:0.25] c',
      [
        [2, 'a  c'],
        [10, 'a b c'],
      ],
    ],
    ['a [b:0] c', [[10, 'a b c']]],
    ['a [b:0.05] c', [[10, 'a b c']]],
    ['a [b:99] c', [[10, 'a  c']]],
    ['a [b:1.] c', [[10, 'a  c']]],
    [
      '((a][:b:c [d:3]',
      [
        [3, '((a][:b:c '],
        [10, '((a][:b:c d'],
      ],
    ],
    ['a [b:c:d:3]', [[10, 'a [b:c:d:3]']]],
    ['[a(b:0.5]', [[10, '[a(b:0.5]']]],
    [
      '[a\\]b:3]',
      [
        [3, ''],
        [10, 'a\\]b'],
      ],
    ],
    [
      '(x [y:2]:1.3)',
      [
        [2, '(x :1.3)'],
        [10, '(x y:1.3)'],
      ],
    ],
  ])('%s', (text, expected) => {
    expect(table(text)).toEqual(expected)
  })

  it('alternates every step, with empty choices', () => {
    expect(table('[a|(b:1.1)]', { calls: 4 })).toEqual([
      [1, 'a'],
      [2, '(b:1.1)'],
      [3, 'a'],
      [4, '(b:1.1)'],
    ])
    expect(table('[fe|]male', { calls: 3 }).map(([, text]) => text)).toEqual(['female', 'male', 'female'])
    expect(table('[a|b|c]', { calls: 5 }).map(([, text]) => text)).toEqual(['a', 'b', 'c', 'a', 'b'])
    expect(table('[a|[b:c:2]]', { calls: 4 }).map(([, text]) => text)).toEqual(['a', 'b', 'a', 'c'])
  })

  it('a second pass is addressed by shares above 1 and steps above the first', () => {
    const second = { calls: 10, firstPassCalls: 10 }
    expect(table('a [b:.5] c', second)).toEqual([[10, 'a b c']])
    expect(table('a [b:1.5] c', second)).toEqual([
      [5, 'a  c'],
      [10, 'a b c'],
    ])
    expect(table('a [b:13] c', second)).toEqual([
      [3, 'a  c'],
      [10, 'a b c'],
    ])
  })

  it('the old timeline goes by the value alone', () => {
    const old = { calls: 10, oldTimeline: true }
    expect(table('a [b:0.5]', old)).toEqual([
      [5, 'a '],
      [10, 'a b'],
    ])
    expect(table('a [b:2.0]', old)).toEqual([
      [2, 'a '],
      [10, 'a b'],
    ])
    expect(table('a [b:2.0]')).toEqual([[10, 'a ']])
  })

  it('the first segment gets one call more, since calls are counted from 0', () => {
    const segments = [{ end: 3 }, { end: 10 }]
    expect(Array.from({ length: 10 }, (_, call) => segmentAt(segments, call))).toEqual([
      0, 0, 0, 0, 1, 1, 1, 1, 1, 1,
    ])
    const alternating = segmentsOf(parseA1111('[a|b]').parts[0]?.schedule ?? [], { calls: 4 })
    expect([0, 1, 2, 3].map(call => segmentAt(alternating, call))).toEqual([0, 0, 1, 2])
  })

  it('tells of brackets that do not fit, and of what makes all of it literal', () => {
    expect(messages(parseA1111('[a:b]'))[0]).toMatch(/^warning 1 Square brackets with a colon but no number/)
    expect(messages(parseA1111('[a:b:c:3]'))[0]).toMatch(/^warning 1 More than two colons/)
    expect(messages(parseA1111('x [y:1.2]'))[0]).toMatch(/^warning 3 Square brackets take no weight/)
    const stray = parseA1111('a | b [c:0.5]')
    expect(messages(stray)[0]).toMatch(/^warning 3 This "\|" does not fit/)
    expect(stray.parts[0]).not.toHaveProperty('schedule')
    expect(messages(parseA1111('a | b'))).toEqual([])
  })

  it('reports what only a later text holds', () => {
    expect(messages(parseA1111('[x:(a:1.2.3):3]'))).toEqual([
      expect.stringMatching(/^error 6 "1.2.3" is not a number/),
    ])
  })

  it('each state is read with its own emphasis', () => {
    const source = 'a [(b:1.5):c:2]'
    const [first, last] = segmentsOf(parseA1111(source).parts[0]?.schedule ?? [], { calls: 10 })
    expect(short(parseA1111State(source, first?.runs ?? []))).toEqual([
      ['a ', 1],
      ['b', 1.5],
    ])
    expect(short(parseA1111State(source, last?.runs ?? []))).toEqual([['a c', 1]])
  })
})

describe('AND and tags', () => {
  it('splits at the whole word and reads weights', () => {
    const { composition, parts } = parseA1111('a cat :1.2 AND a dog AND a bird:-0.5')
    expect(composition).toBe('noise')
    expect(parts.map(({ weight, texts }) => [weight, texts[0] && short(texts[0].pieces)])).toEqual([
      [1.2, [['a cat', 1]]],
      [1, [[' a dog', 1]]],
      [-0.5, [[' a bird', 1]]],
    ])
    expect(parseA1111('SAND ANDes').parts).toHaveLength(1)
    expect(parseA1111('a AND b', { composes: false })).toMatchObject({ composition: 'single' })
  })

  it('a colon and a number at the end weigh a prompt even without AND, and are pointed at', () => {
    const wide = parseA1111('a photo, 16:9')
    expect(wide.parts[0]?.weight).toBe(9)
    expect(pieces(wide)).toEqual([['a photo, 16', 1]])
    expect(messages(wide)[0]).toMatch(/^warning 12 A colon and a number at the very end/)
    expect(parseA1111('a photo, 16:9', { composes: false }).parts[0]?.weight).toBe(1)
  })

  it('warns of AND inside brackets', () => {
    const parsed = parseA1111('(a AND b:1.2)')
    expect(messages(parsed).some(each => each.startsWith('warning 4 AND inside brackets'))).toBe(true)
    expect(pieces(parsed)).toEqual([
      ['a', 1.1],
      [' b:1.2)', 1],
    ])
  })

  it('takes tags out and keeps them', () => {
    const source = 'x <lora:some file:0.8:te=0.5> y <hypernet:h> 1<2>'
    const { tags, parts } = parseA1111(source)
    expect(tags).toEqual([
      { name: 'lora', args: ['some file', '0.8'], named: { te: '0.5' }, span: { start: 2, end: 29 } },
      { name: 'hypernet', args: ['h'], named: {}, span: { start: 32, end: 44 } },
    ])
    const [piece] = parts[0]?.texts[0]?.pieces ?? []
    expect(piece).toMatchObject({ text: 'x  y  1<2>' })
    expect(source.slice(piece?.span.start, piece?.span.end)).toBe(source)
  })
})
