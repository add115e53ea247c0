/** Windows and factors against test/fixtures/make/prompt_to_prompt.py. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import {
  blendActive,
  crossAlphas,
  emptyWindows,
  reweightFactors,
  selfActive,
} from '../../model/attention/edit/windows.ts'
import { editSchema } from '../../model/contract/controls.ts'
import { type StoredText, textOf, toyText } from '../fixtures/attention-edit/text.ts'

interface WindowCase {
  readonly count: number
  readonly windows: readonly (readonly [phrase: string | null, start: number, end: number])[]
  readonly text: StoredText
  readonly alphas: readonly string[]
}
const { cases, equalizer } = JSON.parse(
  readFileSync(new URL('../fixtures/attention-edit/windows.json', import.meta.url), 'utf8'),
) as {
  cases: WindowCase[]
  equalizer: { words: readonly (readonly [string, number])[]; text: string; equalizer: number[] }
}
const edit = (input: object) => editSchema.parse({ sourcePrompt: 'a cat', ...input })
const whole = { start: 0, end: 1 }
/** Twelve evaluations as digits. */
const active = (is: (index: number) => boolean) =>
  Array.from({ length: 12 }, (_, i) => Number(is(i))).join('')

describe('crossAlphas', () => {
  it.each(cases.map(each => [each.count, each] as const))(
    "is the reference's rule over %i evaluations",
    (_, { count, windows, text, alphas }) => {
      const [first, ...others] = windows.map(([phrase, start, end]) => ({ phrase, window: { start, end } }))
      const asked = edit({ cross: first?.window, crossWords: others })
      const mine = alphas.map((_row, index) =>
        [...crossAlphas(asked, textOf(text), 77, index, count)].join(''),
      )
      expect(mine).toEqual(alphas)
    },
  )

  it('leaves BOS, EOS and padding of every chunk to the default', () => {
    const asked = edit({ cross: { start: 0, end: 0 }, crossWords: [{ phrase: 'a cat', window: whole }] })
    const alphas = crossAlphas(asked, toyText(`${'dog '.repeat(74)}a cat`), 154, 0, 4)
    expect([...alphas.entries()].filter(([, alpha]) => alpha === 1).map(([row]) => row)).toEqual([75, 78])
  })

  it('refuses a phrase that is not in the edited prompt', () => {
    const asked = edit({ crossWords: [{ phrase: 'horse', window: whole }] })
    expect(() => crossAlphas(asked, toyText('a dog'), 77, 0, 4)).toThrow(/"horse" are not in the prompt/)
  })
})

describe('reweightFactors', () => {
  it("is the reference's equalizer", () => {
    const reweight = equalizer.words.map(([phrase, factor]) => ({ phrase, factor }))
    expect([...reweightFactors(edit({ reweight }), toyText(equalizer.text), 77)]).toEqual(equalizer.equalizer)
  })

  it('refuses a phrase that is not in the edited prompt', () => {
    const asked = edit({ reweight: [{ phrase: 'horse', factor: 2 }] })
    expect(() => reweightFactors(asked, toyText('a dog'), 77)).toThrow(/"horse"/)
  })
})

describe('self-attention and blend', () => {
  it('act from and to rounded evaluations', () => {
    const asked = edit({ self: { start: 0.1, end: 0.4 }, blend: { target: ['dog'], start: 0.2 } })
    expect(active(i => selfActive(asked, i, 12))).toBe('011100000000')
    expect(active(i => blendActive(asked, i, 12))).toBe('001111111111')
    expect(active(i => blendActive(edit({}), i, 12))).toBe('000000000000')
  })
})

describe('emptyWindows', () => {
  it('says nothing of windows that act, or are empty on purpose', () => {
    expect(emptyWindows(edit({}), 20)).toEqual([])
    expect(emptyWindows(edit({ self: { start: 0, end: 0 } }), 20)).toEqual([])
    expect(emptyWindows(edit({ self: { start: 0.5, end: 0.5 }, blend: { target: ['x'] } }), 4)).toEqual([])
  })

  it('names windows that rounding empties, and when they would act', () => {
    const window = { start: 0.41, end: 0.44 }
    const [word, self, ...others] = emptyWindows(
      edit({ crossWords: [{ phrase: 'dog', window }], self: { start: 0, end: 0.04 } }),
      20,
    )
    expect(others).toEqual([])
    expect(word?.message).toMatch(/window of "dog", 0.41 to 0.44, holds no evaluation of the run's 20/)
    expect(word?.remedy).toMatch(/End it at 0.45 or later/)
    expect(self?.message).toMatch(/self-attention\), 0 to 0.04/)
    for (const count of [3, 7, 23, 49]) {
      const [warning] = emptyWindows(edit({ self: { start: 0.5, end: 0.5 + 0.1 / count } }), count)
      const end = Number(/at ([\d.]+) or/.exec(warning?.remedy ?? '')?.[1])
      expect(emptyWindows(edit({ self: { start: 0.5, end } }), count)).toEqual([])
    }
    const [late] = emptyWindows(edit({ cross: { start: 0.99, end: 1 } }), 20)
    expect(late).toBeUndefined()
  })

  it('names a mask that comes too late and an edit without effect', () => {
    const none = { start: 0, end: 0 }
    const asked = edit({ cross: none, self: none, blend: { target: ['dog'], start: 1 } })
    expect(emptyWindows(asked, 1).map(({ message }) => message)).toEqual([
      expect.stringMatching(/begin at 1 of the run, when no evaluation is left/),
      expect.stringMatching(/Nothing is taken from the original prompt/),
    ])
  })
})
