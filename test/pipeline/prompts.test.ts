/** Dialects, schedules, AND, weight laws and curves, from the request to the latents. */
import { beforeAll, describe, expect, it } from 'vitest'
import { openNodeOnnxRuntime } from '../../host/onnxruntime.ts'
import { OnnxBackend } from '../../model/backend/onnx-backend.ts'
import { weightLaws } from '../../model/contract/prompt.ts'
import type { ResolvedRequest } from '../../model/contract/request.ts'
import type { Backend } from '../../model/graph/program.ts'
import { Conditioning } from '../../model/pipeline/conditioning.ts'
import type { DiffusionModel } from '../../model/pipeline/diffusion-model.ts'
import { generate } from '../../model/pipeline/generate.ts'
import { openTinyModel } from '../support/run-case.ts'

let model: DiffusionModel
let backend: Backend

beforeAll(async () => {
  model = await openTinyModel('sd1')
  backend = OnnxBackend.open(await openNodeOnnxRuntime('wasm', { threads: 1 }))
})

const request: ResolvedRequest = {
  prompt: 'a red car',
  negativePrompt: '',
  width: 64,
  height: 64,
  steps: 4,
  guidanceScale: 5,
  guidanceRescale: 0,
  seed: '7',
  rng: 'cpu',
  sampler: 'ddim',
  precision: 'f32',
  clipSkip: 1,
  dialect: 'a1111',
}

async function draw(words: Partial<ResolvedRequest>): Promise<Float32Array> {
  const { sizeFactor } = model
  const run = generate(model, backend, {
    ...request,
    width: 2 * sizeFactor,
    height: 2 * sizeFactor,
    ...words,
  })
  for (;;) {
    const next = await run.next()
    if (next.done) return next.value.latents.data
  }
}

async function latents(words: Partial<ResolvedRequest>): Promise<Float32Array> {
  const data = await draw(words)
  expect(data.every(Number.isFinite)).toBe(true)
  return data
}

const most = (list: Float32Array): number => list.reduce((max, each) => Math.max(max, Math.abs(each)), 0)

/** Largest difference, against the largest value. */
function distance(a: Float32Array, b: Float32Array): number {
  expect(a.length).toBe(b.length)
  return most(a.map((value, i) => value - (b[i] as number))) / most(b)
}

/** Programs of another batch add in another order. */
const near = 1e-4

describe('words without weights', () => {
  it.each(['a1111', 'comfy', 'compel'] as const)('%s: the bits of plain text', async dialect => {
    const plain = await latents({ dialect: 'plain' })
    expect(await latents({ dialect })).toEqual(plain)
    expect(await latents({ dialect, emphasis: 'logit-bias' })).toEqual(plain)
  })

  it('is plain text where no dialect is named, brackets and all', async () => {
    const prompt = 'a (red:1.5) car'
    const plain = await latents({ prompt, dialect: 'plain' })
    // As records from before there were dialects have it.
    const none = { prompt, dialect: undefined } as unknown as Partial<ResolvedRequest>
    expect(await latents(none)).toEqual(plain)
    expect(distance(await latents({ prompt }), plain)).toBeGreaterThan(near)
  })

  it('takes a weight of 1 for none', async () => {
    expect(await latents({ prompt: 'a (red:1.0) car' })).toEqual(await latents({}))
  })
})

describe('weights', () => {
  it.each(weightLaws.filter(law => law !== 'ignore'))('%s changes the picture', async emphasis => {
    const changed = await latents({ prompt: 'a (red:1.5) car', emphasis })
    expect(distance(changed, await latents({}))).toBeGreaterThan(near)
  })

  it.each(['ignore', 'value-gain', 'logit-bias'] as const)(
    '%s: is near plain where it should be',
    async emphasis => {
      const prompt = emphasis === 'ignore' ? 'a (red:1.5) car' : 'a (red:1.000001) car'
      expect(distance(await latents({ prompt, emphasis }), await latents({}))).toBeLessThan(near)
    },
  )

  it('refuses a negative weight under logit-bias, and lets a weight of 0 silence a word', async () => {
    await expect(draw({ prompt: 'a (red:-1) car', emphasis: 'logit-bias' })).rejects.toThrow(/logit-bias/)
    await latents({ prompt: 'a (red:0) car', emphasis: 'logit-bias' })
  })

  it('weighs the negative prompt as well', async () => {
    const plain = await latents({ negativePrompt: 'blue sky' })
    for (const emphasis of ['a1111', 'value-gain'] as const) {
      const changed = await latents({ negativePrompt: '(blue:1.5) sky', emphasis })
      expect(distance(changed, plain)).toBeGreaterThan(near)
    }
  })

  it('refuses blends for laws inside attention', async () => {
    const prompt = '("a car", "a ball+").blend(1, 1)'
    await latents({ prompt, dialect: 'compel' })
    await expect(draw({ prompt, dialect: 'compel', emphasis: 'value-gain' })).rejects.toThrow(/blend/)
  })
})

describe('schedules', () => {
  // A1111 compares a counter that begins at 0: "2" holds for three calls.
  it('switches where A1111 does', async () => {
    const before = await latents({ prompt: 'a red car' })
    const after = await latents({ prompt: 'a blue car' })
    expect(distance(await latents({ prompt: 'a [red:blue:4] car' }), before)).toBeLessThan(near)
    expect(distance(await latents({ prompt: 'a [red:blue:0] car' }), after)).toBeLessThan(near)
    const switched = [
      await latents({ prompt: 'a [red:blue:1] car' }),
      await latents({ prompt: 'a [red:blue:2] car' }),
    ]
    for (const each of switched) {
      expect(distance(each, before)).toBeGreaterThan(near)
      expect(distance(each, after)).toBeGreaterThan(near)
    }
    expect(distance(switched[0] as Float32Array, switched[1] as Float32Array)).toBeGreaterThan(near)
    // 0.5 of 4 steps, and 2 of them, are one.
    expect(await latents({ prompt: 'a [red:blue:0.5] car' })).toEqual(switched[1])
  })

  it('reads numbers as before A1111 1.6 where asked', async () => {
    const prompt = 'a [red:blue:1.0] car'
    const old = await latents({ prompt, oldTimeline: true })
    expect(old).toEqual(await latents({ prompt: 'a [red:blue:1] car' }))
    expect(distance(old, await latents({ prompt }))).toBeGreaterThan(near)
  })

  it('alternates, for samplers with two calls a step as well', async () => {
    const still = await latents({ sampler: 'heun' })
    expect(distance(await latents({ prompt: 'a [red|blue] car', sampler: 'heun' }), still)).toBeGreaterThan(
      near,
    )
    expect(distance(await latents({ prompt: 'a [red|red] car', sampler: 'heun' }), still)).toBeLessThan(near)
  })

  it('draws laws inside attention over a schedule', async () => {
    const plain = await latents({ prompt: 'a [red:blue:2] car' })
    for (const emphasis of ['logit-bias', 'value-gain'] as const) {
      const changed = await latents({ prompt: 'a [(red:1.5):blue:2] car', emphasis })
      expect(distance(changed, plain)).toBeGreaterThan(near)
    }
  })
})

/** The calls before which the words are given to the network. */
const changes = async (words: Partial<ResolvedRequest>, calls: number): Promise<number[]> => {
  const all = new Conditioning(model, { ...request, ...words }, calls)
  await all.encode()
  all.useProgram(await backend.compile(all.recordKeyValues()))
  const found: number[] = []
  for (let call = 0; call < calls; call++) {
    if (await all.changesAt(call)) found.push(call)
  }
  return found
}

describe('Conditioning', () => {
  it('gives words to the network only when they change, at the calls of A1111', async () => {
    expect(await changes({}, 4)).toEqual([0])
    expect(await changes({ prompt: 'a [red:blue:1] car' }, 4)).toEqual([0, 2])
    expect(await changes({ prompt: 'a [red:blue:2] car' }, 4)).toEqual([0, 3])
    expect(await changes({ prompt: 'a [red:blue:0.25] car' }, 4)).toEqual([0, 2])
    // Two calls a step: half of 4 steps are 4 of 8 calls.
    expect(await changes({ prompt: 'a [red:blue:0.5] car', sampler: 'heun' }, 8)).toEqual([0, 5])
    expect(await changes({ negativePrompt: '[red:blue:1] car' }, 4)).toEqual([0, 2])
    const red = { phrase: 'red', shape: 'linear' as const }
    const weightCurves = [
      {
        ...red,
        keys: [
          { step: 1, weight: 1 },
          { step: 2, weight: 2 },
        ],
      },
    ]
    expect(await changes({ weightCurves }, 4)).toEqual([0, 2])
    expect(await changes({ weightCurves, sampler: 'heun' }, 8)).toEqual([0, 4])
  })
})

describe('AND', () => {
  it('leaves a part of weight 0 out', async () => {
    expect(await latents({ prompt: 'a red car AND a blue sky :0' })).toEqual(await latents({}))
  })

  it('adds differences: two halves are one whole', async () => {
    const halves = await latents({ prompt: 'a red car :0.5 AND a red car :0.5' })
    expect(distance(halves, await latents({}))).toBeLessThan(near)
  })

  it('needs the unconditional text for itself, at guidance 1 as well', async () => {
    const words = { prompt: 'a red car AND a blue sky :0.5', guidanceScale: 1 }
    const joined = await latents(words)
    expect(distance(joined, await latents({ guidanceScale: 1 }))).toBeGreaterThan(near)
    expect(distance(joined, await latents({ ...words, negativePrompt: 'red' }))).toBeGreaterThan(near)
  })

  it('rescales the deviation of the sum', async () => {
    const words = { prompt: 'a red car :0.5 AND a red car :0.5', guidanceRescale: 0.7 }
    expect(distance(await latents(words), await latents({ guidanceRescale: 0.7 }))).toBeLessThan(near)
  })
})

const at = (...weights: number[]) => [
  {
    phrase: 'red',
    shape: 'linear' as const,
    keys: weights.map((weight, i) => ({
      fraction: weights.length > 1 ? i / (weights.length - 1) : 0,
      weight,
    })),
  },
]

describe('weight curves', () => {
  it.each(weightLaws.filter(law => law !== 'ignore'))('%s: a level curve is the constant', async emphasis => {
    const constant = await latents({ prompt: 'a (red:1.5) car', emphasis })
    const level = await latents({ prompt: 'a red car', emphasis, weightCurves: at(1.5, 1.5) })
    expect(distance(level, constant)).toBeLessThan(near)
    const moving = await latents({ prompt: 'a red car', emphasis, weightCurves: at(0.5, 1.5) })
    expect(distance(moving, constant)).toBeGreaterThan(near)
  })

  it('refuses a curve whose words are not there', async () => {
    await expect(
      draw({ weightCurves: [{ phrase: 'zebra', shape: 'linear', keys: [{ step: 0, weight: 1 }] }] }),
    ).rejects.toThrow(/zebra/)
  })
})
