import { describe, expect, it } from 'vitest'
import { convertText } from '../../model/prompt/convert.ts'
import { parsePrompt } from '../../model/prompt/parse.ts'
import type { Dialect } from '../../model/prompt/types.ts'
import { formatWeight, type WeightedDialect } from '../../model/prompt/write.ts'

describe('equal forms', () => {
  it.each<[Dialect, string, WeightedDialect, string]>([
    ['a1111', '(x:1.2)', 'compel', '(x)1.2'],
    ['a1111', '[x]', 'compel', '(x)0.909091'],
    ['a1111', '((x:1.5))', 'comfy', '(x:1.65)'],
    ['comfy', '((x:1.5))', 'a1111', '(x:1.5)'],
    ['comfy', '[x]', 'a1111', '\\[x\\]'],
    ['comfy', 'a (big (red:1.3) car)', 'compel', 'a (big)1.1 (red)1.3 (car)1.1'],
    ['compel', 'hot- dog, (two words)1.3', 'a1111', '(hot:0.9) dog, (two words:1.3)'],
    ['compel', 'a cat++', 'comfy', 'a (cat:1.21)'],
    ['a1111', 'a \\(b\\)', 'compel', 'a \\(b\\)'],
    ['a1111', 'c++ and well- known', 'compel', 'c ++ and well - known'],
    ['a1111', 'a (c++:1.2)', 'compel', 'a (c\\+\\+)1.2'],
    ['comfy', 'AND BREAK', 'a1111', 'and break'],
    ['comfy', '16:9', 'a1111', '16 (:9:1)'],
    ['comfy', '<lora:x>', 'a1111', '< lora:x>'],
    ['a1111', 'a BREAK (b:1.2)', 'compel', '("a", "(b)1.2").and()'],
    ['compel', '("a", "b+").and()', 'a1111', 'a BREAK (b:1.1)'],
    ['compel', '("a", "b").blend(1, 0.8, no_normalize)', 'compel', '("a", "b").blend(1, 0.8, no_normalize)'],
    ['a1111', 'x <lora:foo:0.5>', 'compel', 'x withLora(foo, 0.5)'],
    ['compel', 'x withLora(foo, 0.5)', 'a1111', 'x <lora:foo:0.5>'],
    ['comfy', 'x (embedding:bad:1.2)', 'a1111', 'x  (bad:1.2)'],
    ['a1111', 'a cat AND a dog :0.5', 'a1111', 'a cat AND a dog :0.5'],
    ['a1111', '(x:-1)', 'comfy', '(x:-1)'],
  ])('%s %j → %s', (from, text, to, expected) => {
    const { text: converted, losses } = convertText(text, from, to)
    expect(losses).toEqual([])
    expect(converted.replace(/ +/g, ' ')).toBe(expected.replace(/ +/g, ' '))
  })

  it('a swap goes to compel and back', () => {
    const text = 'a (cat)1.2.swap(dog hat, s_end=0.5) eating'
    const { text: again, losses } = convertText('a (cat).swap(dog hat, s_end=0.5) eating', 'compel', 'compel')
    expect(losses).toEqual([])
    const [swap] = parsePrompt(again, 'compel').parts[0]?.texts[0]?.swaps ?? []
    expect(swap).toMatchObject({ at: [1, 2], sStart: 0, sEnd: 0.5, tStart: 0.2, tEnd: 1 })
    expect(swap?.edited.map(piece => piece.text)).toEqual(['dog hat'])
    expect(text).toContain('swap')
  })
})

describe('losses are named, with their places', () => {
  it.each<[Dialect, string, WeightedDialect, string, string, string]>([
    ['a1111', 'a [b:c:0.5] d', 'comfy', 'schedule', '[b:c:0.5]', 'a c d'],
    ['a1111', '[a|b] d', 'compel', 'alternation', '[a|b]', 'a d'],
    ['a1111', 'a AND b', 'comfy', 'and', 'a AND b', 'a, b'],
    ['a1111', 'a:1.5', 'comfy', 'prompt-weight', 'a', 'a'],
    ['a1111', 'a BREAK b', 'comfy', 'break', 'BREAK', 'a, b'],
    ['a1111', '(a:-1)', 'compel', 'negative-weight', 'a', '(a).attend(-1)'],
    ['a1111', 'a <hypernet:b:1>', 'comfy', 'tag', '<hypernet:b:1>', 'a'],
    ['compel', '("a", "b").blend(1, 3)', 'a1111', 'blend', '("a", "b").blend(1, 3)', 'a :0.25 AND b :0.75'],
    ['compel', '("a", "b").blend(1, 3)', 'comfy', 'blend', '("a", "b").blend(1, 3)', 'a, b'],
    ['compel', '("a", "b").and()', 'comfy', 'concat', '("a", "b").and()', 'a, b'],
    ['compel', '("a", "b").and(1, 0.5)', 'a1111', 'concat', '("a", "b").and(1, 0.5)', 'a BREAK b'],
    ['compel', 'a cat.swap(dog)', 'a1111', 'swap', 'cat.swap(dog)', 'a cat'],
  ])('%s %j → %s: %s', (from, text, to, name, place, expected) => {
    const { text: converted, losses } = convertText(text, from, to)
    const loss = losses.find(each => each.name === name)
    expect(loss && text.slice(loss.span.start, loss.span.end)).toBe(place)
    expect(loss?.message).toMatch(/\.$/)
    expect(converted.replace(/ +/g, ' ')).toBe(expected)
  })
})

it('weights are written as every dialect reads them', () => {
  expect([1.1 * 1.1, 1 / 1.1, 1e-7, 12345.678, -0.5, 0].map(formatWeight)).toEqual([
    '1.21',
    '0.909091',
    '0.0000001',
    '12345.7',
    '-0.5',
    '0',
  ])
})
