/** When guides act and how strongly, and what a request may say of them. */
import { describe, expect, it } from 'vitest'
import { AttuneError } from '../../model/contract/errors.ts'
import { type GuideRule, guideRules, parseGuides } from '../../model/contract/guides.ts'
import { isConditionalOnly, isGuideActive, softLawOf, softWeights } from '../../model/controlnet/rules.ts'
import {
  addRows,
  multiplyPositions,
  poolPositions,
  readSlot,
  slotsOf,
} from '../../model/controlnet/residuals.ts'

const steps = (rule: GuideRule, start: number, end: number, count: number, timesteps?: readonly number[]) =>
  Array.from({ length: count }, (_, index) => index).filter(index =>
    isGuideActive(
      { rule, start, end },
      { index, count, timestep: timesteps?.[index] ?? 999 * (1 - index / count) },
    ),
  )

describe('windows', () => {
  it('diffusers: a step is in when all of it is', () => {
    expect(steps('diffusers', 0.2, 0.7, 10)).toEqual([2, 3, 4, 5, 6])
    expect(steps('diffusers', 0.25, 0.7, 10)).toEqual([3, 4, 5, 6])
    expect(steps('diffusers', 0, 0.5, 3)).toEqual([0])
    expect(steps('diffusers', 0.1, 0.2, 4)).toEqual([])
    expect(steps('diffusers', 0, 1, 7)).toHaveLength(7)
  })

  it('webui: from start to end with both ends', () => {
    expect(steps('webui', 0.2, 0.7, 10)).toEqual([2, 3, 4, 5, 6, 7])
    expect(steps('webui', 0, 0.5, 3)).toEqual([0, 1])
    expect(steps('webui', 0.1, 0.2, 4)).toEqual([])
  })

  it('invoke: rounded outwards', () => {
    expect(steps('invoke', 0.25, 0.65, 10)).toEqual([2, 3, 4, 5, 6, 7])
    expect(steps('invoke', 0.1, 0.2, 4)).toEqual([0, 1])
  })

  it('comfy: by the training step', () => {
    const timesteps = [999, 800, 600, 400, 200, 1]
    expect(steps('comfy', 0, 1, 6, timesteps)).toEqual([0, 1, 2, 3, 4, 5])
    expect(steps('comfy', 0.25, 0.7, 6, timesteps)).toEqual([2, 3])
    expect(steps('comfy', 0, 0.5, 6, timesteps)).toEqual([0, 1, 2])
  })
})

describe('modes', () => {
  it('soft weights are those of the programs', () => {
    const power = softWeights('power', 13)
    expect(power[0]).toBeCloseTo(0.0994, 4)
    expect(power[1]).toBeCloseTo(0.1205, 4)
    expect(power.slice(-2)).toEqual([0.825, 1])
    const log = softWeights('log', 13)
    expect(log[0]).toBeCloseTo(0.1)
    expect(log[1]).toBeCloseTo(0.1212, 4)
    expect(log[2]).toBeCloseTo(0.1468, 4)
    expect(log[12]).toBe(1)
    expect(softWeights('none', 3)).toEqual([1, 1, 1])
  })

  it('follow the mode and the rule, unless said', () => {
    expect(softLawOf({ mode: 'balanced', rule: 'webui' })).toBe('none')
    expect(softLawOf({ mode: 'unbalanced', rule: 'invoke' })).toBe('none')
    expect(softLawOf({ mode: 'control', rule: 'diffusers' })).toBe('log')
    expect(softLawOf({ mode: 'prompt', rule: 'webui' })).toBe('power')
    expect(softLawOf({ mode: 'balanced', rule: 'diffusers', softWeights: 'power' })).toBe('power')
    const halves = (['balanced', 'prompt', 'control', 'unbalanced'] as const).map(isConditionalOnly)
    expect(halves).toEqual([false, false, true, true])
  })
})

const level = (channels: number, layersPerBlock: number) => ({ channels, layersPerBlock })

describe('residuals', () => {
  it('lie where the encoder makes them, odd sizes halved up', () => {
    const slots = slotsOf([level(8, 2), level(16, 1)], { height: 5, width: 6 })
    expect(slots.map(({ height, width, channels }) => [height, width, channels])).toEqual([
      [5, 6, 8],
      [5, 6, 8],
      [5, 6, 8],
      [3, 3, 8],
      [3, 3, 16],
      [3, 3, 16],
    ])
    expect(slots[0]?.name).toBe('downBlockResidualSamples.0')
    expect(slots.at(-1)?.name).toBe('midBlockResidualSample')
  })

  it('are pooled, masked, added and measured', () => {
    const values = Float32Array.from([1, 10, 3, 30, 5, 50, 7, 70])
    poolPositions(values, 2, 2, 2)
    expect([...values]).toEqual([2, 20, 2, 20, 6, 60, 6, 60])
    multiplyPositions(values, Float32Array.from([0.5, 1]), 2)
    expect([...values]).toEqual([1, 10, 2, 20, 3, 30, 6, 60])
    const sums = new Float32Array(12).fill(1)
    addRows(values, sums, [0, 2], 4)
    expect([...sums]).toEqual([2, 11, 3, 21, 1, 1, 1, 1, 4, 31, 7, 61])
    const slot = { name: 'x', height: 1, width: 2, channels: 2 }
    const reading = readSlot(Float32Array.from([3, 4, 0, 0]), slot, true)
    expect(reading.norm).toBeCloseTo(2.5)
    expect([...(reading.map ?? [])].map(value => Math.fround(value))).toEqual([
      Math.fround(Math.sqrt(12.5)),
      0,
    ])
  })
})

describe('guides as data', () => {
  const guide = { model: 'canny', image: 'edges.png' }

  it('have the defaults of diffusers', () => {
    expect(parseGuides([guide])).toEqual([
      {
        ...guide,
        weight: 1,
        start: 0,
        end: 1,
        rule: 'diffusers',
        mode: 'balanced',
        resize: 'stretch',
      },
    ])
    expect(guideRules).toContain('comfy')
  })

  it('take curves, masks and factors of slots', () => {
    const [parsed] = parseGuides([
      {
        ...guide,
        weight: {
          keys: [
            { fraction: 0, weight: 1 },
            { step: 3, weight: 0 },
          ],
          shape: 'hold',
        },
        mask: { kind: 'rect', x: 0, y: 0, width: 0.5, height: 1 },
        slots: [1, 0.5, 0],
      },
    ])
    expect(parsed?.slots).toEqual([1, 0.5, 0])
    expect(JSON.parse(JSON.stringify(parsed))).toEqual(parsed)
  })

  it.each([
    [[{ ...guide, weight: 11 }], 'guides 1: weight'],
    [[{ ...guide, weight: Number.NaN }], 'guides 1: weight'],
    [[{ ...guide, weight: { keys: [] } }], 'guides 1: weight'],
    [[guide, { ...guide, start: 0.5, end: 0.5 }], 'guides 2 must end after it starts'],
    [[{ ...guide, end: 1.5 }], 'guides 1: end must be at most 1, but is 1.5'],
    [[{ ...guide, rule: 'forge' }], 'must be one of diffusers, webui, invoke, comfy, but is forge'],
    [[{ ...guide, mode: 'strong' }], 'must be one of balanced, prompt, control, unbalanced'],
    [[{ ...guide, resize: 'tile' }], 'must be one of stretch, crop, fill'],
    [[{ image: 'a' }], 'guides 1: model must be a name, but is missing'],
    [[{ ...guide, model: '' }], 'guides 1: model must not be empty'],
    [[{ ...guide, strength: 1 }], 'has no setting strength'],
    [[{ ...guide, slots: [] }], 'guides 1: slots'],
    [[{ ...guide, mask: { kind: 'bitmap', width: 2, height: 2, data: 'AAAA' } }], 'mask'],
    [Array.from({ length: 9 }, () => guide), 'guides must be at most 8'],
    ['canny', 'guides must be a list, but is canny'],
    [null, 'guides must be a list'],
  ])('%# are refused with the reason', (input, message) => {
    let error: unknown
    try {
      parseGuides(input)
    } catch (caught) {
      error = caught
    }
    expect(error).toBeInstanceOf(AttuneError)
    expect((error as AttuneError).code).toBe('bad-argument')
    expect((error as AttuneError).message).toContain(message)
  })
})
