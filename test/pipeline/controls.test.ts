/** Controls from the request to the latents: neutral data, what each does, checkpoints, and effects that are told. */
import { beforeAll, describe, expect, it } from 'vitest'
import { openNodeOnnxRuntime } from '../../host/onnxruntime.ts'
import { OnnxBackend } from '../../model/backend/onnx-backend.ts'
import { type Controls, type ControlsInput, controlsSchema } from '../../model/contract/controls.ts'
import { type ResolvedRequest, samplers } from '../../model/contract/request.ts'
import type { Backend } from '../../model/graph/program.ts'
import type { DiffusionModel } from '../../model/pipeline/diffusion-model.ts'
import { type GeneratedPicture, type GenerateInputs, generate } from '../../model/pipeline/generate.ts'
import { noEffect } from '../../model/pipeline/seam.ts'
import { openTinyModel } from '../support/run-case.ts'

let model: DiffusionModel
let backend: Backend
let request: ResolvedRequest

beforeAll(async () => {
  model = await openTinyModel('sd1')
  backend = OnnxBackend.open(await openNodeOnnxRuntime('wasm', { threads: 1 }))
  request = {
    prompt: 'a red car',
    negativePrompt: '',
    // 8 and 4 latents: three of the levels have positions of their own.
    width: 8 * model.sizeFactor,
    height: 4 * model.sizeFactor,
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
})

const controls = (input: ControlsInput): { controls: Controls } => ({ controls: controlsSchema.parse(input) })

async function draw(
  words: Partial<ResolvedRequest> = {},
  inputs: GenerateInputs = {},
): Promise<GeneratedPicture & { notices: string[] }> {
  const notices: string[] = []
  const run = generate(model, backend, { ...request, ...words }, inputs)
  for (;;) {
    const next = await run.next()
    if (next.done) return { ...next.value, notices }
    if (next.value.notice !== undefined) notices.push(next.value.notice)
  }
}

async function latents(words: Partial<ResolvedRequest> = {}, inputs: GenerateInputs = {}) {
  return (await draw(words, inputs)).latents.data
}

const norm = (values: Float32Array): number => Math.hypot(...values)

/** ‖a − b‖ / ‖b‖ */
function distance(a: Float32Array, b: Float32Array): number {
  expect(a.length).toBe(b.length)
  return norm(a.map((value, i) => value - (b[i] as number))) / norm(b)
}

/** Programs of another batch and of other sources add in another order. */
const near = 1e-4
const rect = (x: number, y: number, width: number, height: number) => ({
  kind: 'rect' as const,
  x,
  y,
  width,
  height,
})
const all = rect(0, 0, 1, 1)
const left = rect(0, 0, 0.5, 1)

const redWithin = (start: number, end: number) =>
  controls({ paint: [{ phrase: 'red', mask: all, strength: 4, window: { start, end } }] })

describe('painted words', () => {
  it.each(['constant', 'paint-with-words'] as const)('%s: strength 0 leaves every bit', async law => {
    const neutral = controls({ paint: [{ phrase: 'red', mask: left, strength: 0, law }] })
    expect(await latents(neutral)).toEqual(await latents())
  })

  it.each(['constant', 'paint-with-words'] as const)(
    '%s: changes the picture, and says how much',
    async law => {
      const painted = controls({ paint: [{ phrase: 'red car', mask: left, strength: 3, law }] })
      const { latents: own, effects } = await draw(painted, { measureEffects: true })
      expect(distance(own.data, await latents())).toBeGreaterThan(noEffect)
      expect(effects).toEqual([{ control: 'paint', change: expect.any(Number), step: 1 }])
      expect(effects?.[0]?.change).toBeGreaterThan(noEffect)
      // Looking costs an evaluation, and no bit.
      expect(await latents(painted)).toEqual(own.data)
    },
  )

  it('acts within its window only', async () => {
    const { latents: late, checkpoints } = await draw(redWithin(0.5, 1), { keep: 'all' })
    const plain = await draw({}, { keep: 'all' })
    expect(checkpoints?.[2]?.pictures[0]?.latents).toEqual(plain.checkpoints?.[2]?.pictures[0]?.latents)
    expect(distance(late.data, plain.latents.data)).toBeGreaterThan(noEffect)
    const { notices, latents: never } = await draw(redWithin(0.1, 0.2))
    expect(notices.join()).toMatch(/red.*window|window.*red/i)
    expect(never.data).toEqual(plain.latents.data)
  })

  it('refuses words that are not there and laws that cannot meet', async () => {
    const paint = { phrase: 'dog', mask: all, strength: 1 }
    await expect(draw(controls({ paint: [paint] }))).rejects.toThrow(/dog.*not in the prompt/)
    const words = { ...controls({ paint: [{ ...paint, phrase: 'red', law: 'paint-with-words' }] }) }
    await expect(draw({ ...words, prompt: 'a (red:1.2) car', emphasis: 'logit-bias' })).rejects.toThrow(
      /logit-bias/,
    )
    await expect(draw({ ...controls({ paint: [paint] }), prompt: 'a [dog:cat:1]' })).rejects.toThrow(
      /stays the same/,
    )
  })
})

describe('regions', () => {
  it('draws the text of a region that is everywhere, and nothing of the base without weight', async () => {
    const whole = controls({ regions: { regions: [{ prompt: 'a blue sky', mask: all }], baseWeight: 0 } })
    expect(distance(await latents(whole), await latents({ prompt: 'a blue sky' }))).toBeLessThan(near)
  })

  it('isolates: a region of the same text as the base changes where it lies', async () => {
    const isolated = controls({
      regions: { regions: [{ prompt: 'a blue sky', mask: left }], law: 'isolate' },
    })
    const { latents: own, effects } = await draw(isolated, { measureEffects: true })
    expect(effects?.map(({ control }) => control)).toEqual(['regions'])
    expect(distance(own.data, await latents())).toBeGreaterThan(noEffect)
  })

  it('takes a negative text of its own', async () => {
    const region = { prompt: 'a blue sky', mask: left }
    const plain = await latents(controls({ regions: { regions: [region] } }))
    const same = await latents(controls({ regions: { regions: [{ ...region, negativePrompt: '' }] } }))
    expect(distance(same, plain)).toBeLessThan(near)
    const other = await latents(controls({ regions: { regions: [{ ...region, negativePrompt: 'a car' }] } }))
    expect(distance(other, plain)).toBeGreaterThan(noEffect)
  })

  it('ends with its window: then the base is alone', async () => {
    const never = controls({
      regions: { regions: [{ prompt: 'a blue sky', mask: left }], window: { start: 0, end: 0 } },
    })
    expect(distance(await latents(never), await latents())).toBeLessThan(near)
  })

  it('goes with weights inside attention, several chunks, AND, and word maps', async () => {
    const regions = controls({
      regions: { regions: [{ prompt: 'a (blue:1.4) sky', mask: left }], baseWeight: 0.3 },
    })
    for (const emphasis of ['logit-bias', 'value-gain', 'a1111'] as const)
      await latents({ ...regions, emphasis })
    await latents({ ...regions, prompt: `a red car ${'and a blue sky '.repeat(20)}` })
    await latents({ ...regions, prompt: 'a red car AND a blue sky :0.5' })
    const { attention } = await draw(regions, { capture: {} })
    expect(attention?.words.map(({ text }) => text)).toEqual(['a', 'red', 'car'])
  })
})

describe('hidden padding', () => {
  it('changes the picture, on every chunk', async () => {
    const { effects } = await draw(controls({ hidePadding: true }), { measureEffects: true })
    expect(effects?.[0]?.change).toBeGreaterThan(noEffect)
  })
})

const edit = (more: Partial<ControlsInput['edit']> = {}) =>
  controls({
    edit: { sourcePrompt: 'a red car', cross: { start: 0, end: 1 }, self: { start: 0, end: 0.5 }, ...more },
  })

describe('an edit', () => {
  it('of the same words draws the same picture twice', async () => {
    const { latents: own, source, notices, effects } = await draw(edit())
    const plain = await latents()
    expect(distance(own.data, plain)).toBeLessThan(near)
    expect(distance(source?.latents.data as Float32Array, plain)).toBeLessThan(near)
    expect(notices.join()).toMatch(/changes nothing/)
    expect(effects?.[0]).toMatchObject({ control: 'edit' })
    expect(effects?.[0]?.change).toBeLessThan(noEffect)
  })

  it('without windows is a picture of its own', async () => {
    const none = { start: 0, end: 0 }
    const { latents: own, source } = await draw({
      ...edit({ cross: none, self: none }),
      prompt: 'a blue car',
    })
    expect(distance(own.data, await latents({ prompt: 'a blue car' }))).toBeLessThan(near)
    expect(distance(source?.latents.data as Float32Array, await latents())).toBeLessThan(near)
  })

  it('keeps nearer to its source than a picture of its own', async () => {
    const [own, free, source] = [
      await latents({ ...edit(), prompt: 'a blue car' }),
      await latents({ prompt: 'a blue car' }),
      await latents(),
    ]
    expect(distance(own, source)).toBeLessThan(distance(free, source))
    expect(distance(own, source)).toBeGreaterThan(noEffect)
  })

  it('weighs words, blends locally, and goes with guidance 1, schedules of steps, long prompts and capture', async () => {
    const heavier = await latents(edit({ reweight: [{ phrase: 'red', factor: 3 }] }))
    expect(distance(heavier, await latents())).toBeGreaterThan(noEffect)
    // Maps are above 0 everywhere: the edit is everywhere, or nowhere where a word is kept out.
    const blend = { source: ['red'], target: ['blue'], threshold: 0, start: 0.25 }
    const everywhere = await draw(
      { ...edit({ blend }), prompt: 'a blue car' },
      { capture: { words: ['blue'] }, keep: [2] },
    )
    expect(everywhere.latents.data).toEqual(await latents({ ...edit(), prompt: 'a blue car' }))
    expect(everywhere.attention?.words.map(({ text }) => text)).toEqual(['blue'])
    const nowhere = await draw({
      ...edit({ blend: { ...blend, subtract: ['car'] } }),
      prompt: 'a blue car',
    })
    expect(nowhere.latents.data).toEqual(nowhere.source?.latents.data)
    await latents({ ...edit(), prompt: 'a blue car', guidanceScale: 1 })
    const long = `a red car ${'and a sky '.repeat(30)}`
    await latents({
      ...edit({ sourcePrompt: long }),
      prompt: long.replace('red', 'blue'),
      sampler: 'dpmpp_2m',
    })
  })

  it('shows the maps that it drew with: those of the source for a replaced word', async () => {
    const { attention } = await draw(
      { ...edit({ self: { start: 0, end: 0 } }), prompt: 'a blue car' },
      { capture: { words: ['blue'] } },
    )
    const { attention: before } = await draw({}, { capture: { words: ['red'] } })
    // The words have other numbers of tokens: what is spread over them is the same in sum.
    const sums = (captured: typeof attention, i: number): Float32Array => {
      const all = captured?.layers[i]?.sums ?? new Float32Array()
      const tokens = captured?.tokens.length ?? 1
      return Float32Array.from({ length: all.length / tokens }, (_, row) =>
        all.subarray(row * tokens, (row + 1) * tokens).reduce((a, b) => a + b, 0),
      )
    }
    expect(attention?.layers.length).toBeGreaterThan(3)
    for (const i of attention?.layers.keys() ?? []) {
      expect(distance(sums(attention, i), sums(before, i))).toBeLessThan(near)
    }
  })

  it('begins with the picture that was: painted, and with its curves', async () => {
    const paint = [{ phrase: 'car', mask: left, strength: 3 }]
    const weightCurves = [{ phrase: 'red', keys: [{ step: 1, weight: 1.5 }], shape: 'hold' as const }]
    const had = await latents({ ...controls({ paint }), weightCurves })
    const { controls: edited } = edit()
    const { source } = await draw({
      controls: { ...edited, ...controls({ paint }).controls },
      weightCurves: [...weightCurves],
      prompt: 'a red car under a blue sky',
    })
    expect(distance(source?.latents.data as Float32Array, had)).toBeLessThan(near)
  })

  it('is what .swap() of compel means', async () => {
    const swapped = await draw({ prompt: 'a red.swap(blue, s_end=0.5, t_start=0) car', dialect: 'compel' })
    const plain = await draw({ ...edit(), prompt: 'a blue car', dialect: 'compel' })
    expect(swapped.latents.data).toEqual(plain.latents.data)
  })

  it('refuses what it cannot compare', async () => {
    await expect(draw({ ...edit(), prompt: 'a car AND a sky' })).rejects.toThrow(/AND/)
    await expect(draw({ ...edit({ reweight: [{ phrase: 'dog', factor: 2 }] }) })).rejects.toThrow(/dog/)
  })
})

describe('a run taken up again', () => {
  it.each(samplers)('%s: equals the whole run bit for bit', async sampler => {
    const words = { sampler, steps: 6 }
    const whole = await draw(words, { keep: 'all', capture: {} })
    const calls = whole.checkpoints?.length ?? 0
    expect(calls).toBe(sampler === 'heun' ? 11 : 6)
    for (const call of [0, 3, calls - 1]) {
      const resume = structuredClone(whole.checkpoints?.[call])
      const rest = await draw(words, { ...(resume && { resume }), capture: {} })
      expect(rest.latents.data).toEqual(whole.latents.data)
      expect(rest.picture.data).toEqual(whole.picture.data)
      expect(rest.attention).toEqual(whole.attention)
    }
  })

  it('goes on with other words and controls', async () => {
    const whole = await draw({}, { keep: [2] })
    expect(whole.checkpoints?.length).toBe(1)
    const resume = whole.checkpoints?.[0]
    expect(resume?.call).toBe(2)
    const painted = controls({ paint: [{ phrase: 'red', mask: left, strength: 4 }] })
    const rest = await latents(painted, { ...(resume && { resume }) })
    const late = controls({
      paint: [{ phrase: 'red', mask: left, strength: 4, window: { start: 0.5, end: 1 } }],
    })
    expect(rest).toEqual(await latents(late))
  })

  it('refuses a step of another run', async () => {
    const resume = (await draw({}, { keep: [1] })).checkpoints?.[0]
    await expect(draw({ steps: 5 }, { ...(resume && { resume }) })).rejects.toThrow(/another size, sampler/)
  })
})

describe('the meter of sources', () => {
  it('knows one text as all of it, and leaves every bit of the picture', async () => {
    const { meter, latents: own } = await draw({}, { meterAt: 1 })
    expect(meter).toMatchObject({ step: 2, sources: [{ kind: 'own' }], shares: [1] })
    expect(meter?.layers.length).toBe(model.unet.crossAttentionLayers.length)
    expect(own.data).toEqual(await latents())
  })

  it('tells the share of each region where it lies', async () => {
    const regions = { regions: [{ prompt: 'a blue sky', mask: left }], baseWeight: 0 }
    const { meter } = await draw(controls({ regions }), { meterAt: 0, capture: {} })
    expect(meter?.sources).toEqual([{ kind: 'own' }, { kind: 'region', region: 0 }])
    expect(meter?.shares.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 6)
    for (const { width, sizes } of meter?.layers ?? []) {
      if (width % 2) continue
      for (const [at, size] of (sizes[1] ?? []).entries()) {
        const isInside = at % width < width / 2
        expect(size > 0).toBe(isInside)
        expect((sizes[0]?.[at] ?? 0) > 0).toBe(!isInside)
      }
    }
  })
})

describe('a spot', () => {
  it('tells what a point looks at, over the whole run, and leaves every bit of the picture', async () => {
    const { spot, latents: own } = await draw({}, { spot: { x: 0.9, y: 0.1 } })
    expect(own.data).toEqual(await latents())
    expect(spot).toMatchObject({ point: { x: 0.9, y: 0.1 }, width: 8, height: 4 })
    // Rows of probabilities against an even look: 1 in the mean, up to what resizing rounds.
    const mean = (spot?.data.reduce((a, b) => a + b, 0) ?? 0) / 32
    expect(mean).toBeGreaterThan(0.9)
    expect(mean).toBeLessThan(1.1)
    const { spot: other } = await draw({}, { spot: { x: 0.1, y: 0.9 } })
    expect(distance(other?.data as Float32Array, spot?.data as Float32Array)).toBeGreaterThan(noEffect)
    await expect(draw({}, { spot: { x: 2, y: 0 } })).rejects.toThrow(/not in the picture/)
  })
})
