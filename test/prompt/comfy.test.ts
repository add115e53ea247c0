/** Vectors: `/work/shared/reference/conventions.md`, C6. */
import { describe, expect, it } from 'vitest'
import { parseComfy } from '../../model/prompt/comfy.ts'
import { messages, pieces } from './support.ts'

const near = (text: string, weight: number) => [text, expect.closeTo(weight, 12)]

describe("ComfyUI's dialect", () => {
  it.each([
    ['', [near('', 1)]],
    ['(x)', [near('x', 1.1)]],
    ['((x))', [near('x', 1.21)]],
    ['((x:1.5))', [near('x', 1.5)]],
    ['((x:1.5):1.2)', [near('x', 1.5)]],
    ['(a (b) c:1.3)', [near('a ', 1.3), near('b', 1.43), near(' c', 1.3)]],
    ['(a (b:1.3) c)', [near('a ', 1.1), near('b', 1.3), near(' c', 1.1)]],
    ['(a:b:1.3)', [near('a:b', 1.3)]],
    ['(a: 1.3 )', [near('a', 1.3)]],
    ['(a:1.3e0)', [near('a', 1.3)]],
    ['(a:-1)', [near('a', -1)]],
    ['(a:b)', [near('a:b', 1.1)]],
    ['(:1.3)', [near(':1.3', 1.1)]],
    ['[x] {y}', [near('[x] {y}', 1)]],
    ['[a:b:0.5] AND BREAK', [near('[a:b:0.5] AND BREAK', 1)]],
    ['\\(a\\) (b\\):1.2)', [near('(a) ', 1), near('b)', 1.2)]],
    ['a\\b \\\\', [near('a\\b \\\\', 1)]],
    ['(a', [near('(a', 1)]],
    ['(a (b', [near('(a (b', 1)]],
    ['a)', [near('a)', 1)]],
    ['a) (b:1.2)', [near('a) (b:1.2)', 1)]],
  ])('%s', (text, expected) => {
    expect(pieces(parseComfy(text))).toEqual(expected)
  })

  it('keeps embeddings as data, with their weights', () => {
    const { tags, ...parsed } = parseComfy('a (embedding:easy neg:1.2), embedding:bad, b embedding:x')
    expect(tags.map(({ args, weight }) => [args[0], weight])).toEqual([
      ['easy', 1.2],
      ['bad', 1],
      ['x', 1],
    ])
    expect(pieces({ tags, ...parsed })).toEqual([
      ['a ', 1],
      [' neg', 1.2],
      [',  b ', 1],
    ])
  })

  it('points at what it could not read', () => {
    expect(messages(parseComfy('a (b'))[0]).toMatch(/^warning 3 This "\(" is never closed/)
    expect(messages(parseComfy('a) (b)'))).toEqual([expect.stringMatching(/^warning 2 Nothing opens/)])
    expect(messages(parseComfy('(a:1.2.3)'))[0]).toMatch(/^error 3 "1.2.3" is not a number/)
    expect(messages(parseComfy('(a:1e9)'))[0]).toMatch(/^error 3 The weight here comes to/)
    expect(messages(parseComfy('((x:1.5))'))).toEqual([])
  })
})
