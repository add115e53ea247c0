/** compel's .swap() as the edit that it means. */
import { describe, expect, it } from 'vitest'
import type { Controls } from '../../model/contract/controls.ts'
import { withSwaps } from '../../model/pipeline/swaps.ts'
import { parsePrompt } from '../../model/prompt/parse.ts'
import { undrawnProblems } from '../../model/prompt/undrawn.ts'

const compel = (prompt: string, more: { controls?: Controls | undefined; seed?: string } = {}) => ({
  prompt,
  dialect: 'compel' as const,
  ...more,
})
const warnings = (prompt: string, options = {}) => undrawnProblems(parsePrompt(prompt, 'compel'), options)

describe('withSwaps', () => {
  it('makes a prompt and an edit of a swap, once', () => {
    const request = withSwaps(
      compel('a red car.swap(house, s_end=0.3, t_start=0, t_end=0.6) on grass', { seed: '1' }),
    )
    expect(request).toEqual({
      prompt: 'a red house on grass',
      dialect: 'compel',
      seed: '1',
      controls: {
        edit: {
          sourcePrompt: 'a red car on grass',
          cross: { start: 0, end: 0.6 },
          crossWords: [],
          self: { start: 0, end: 0.3 },
          selfPositions: 1024,
          reweight: [],
        },
      },
    })
    expect(withSwaps(request)).toBe(request)
  })

  it('keeps the other controls', () => {
    const request = withSwaps(compel('a car.swap(house)', { controls: { hidePadding: true } }))
    expect(request.controls).toMatchObject({ hidePadding: true, edit: { sourcePrompt: 'a car' } })
  })

  it.each([
    compel('a red car'),
    compel('("a car.swap(house)", "grass").and()'),
    { prompt: 'a car.swap(house)', dialect: 'a1111' as const },
    { prompt: 'a car.swap(house)' },
  ])('leaves %j', request => {
    expect(withSwaps(request)).toBe(request)
  })

  it('refuses a swap in a request that has an edit', () => {
    const { controls } = withSwaps(compel('a car.swap(house)'))
    expect(() => withSwaps(compel('a cat.swap(dog)', { controls }))).toThrow('an edit of its own')
  })
})

describe('what is not drawn', () => {
  it('is said of swaps in negative prompts and among several texts only', () => {
    expect(warnings('a red car.swap(house) on grass')).toEqual([])
    expect(warnings('a car.swap(house)', { isNegative: true })).toMatchObject([
      { level: 'warning', message: expect.stringContaining('negative prompt') },
    ])
    expect(warnings('("a car.swap(house)", "grass").and()')).toMatchObject([
      { level: 'warning', message: expect.stringContaining('original words') },
    ])
  })
})
