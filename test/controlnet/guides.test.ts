/** Guides within a run: what is computed when, where they act, and how they go together with all else. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openNodeOnnxRuntime } from '../../host/onnxruntime.ts'
import { OnnxBackend } from '../../model/backend/onnx-backend.ts'
import type { ControlGuideInput } from '../../model/contract/guides.ts'
import { controlsSchema } from '../../model/contract/controls.ts'
import type { ResolvedRequest } from '../../model/contract/request.ts'
import type { Graph } from '../../model/graph/ops.ts'
import type { Backend, Program } from '../../model/graph/program.ts'
import type { GenerateInputs } from '../../model/pipeline/generate.ts'
import type { GuideInputs } from '../../model/pipeline/guides.ts'
import { type GuidedCase, runGuided } from '../support/controlnet.ts'
import { relativeL2 } from '../support/parity.ts'

let backend: Backend

beforeAll(async () => {
  backend = OnnxBackend.open(await openNodeOnnxRuntime('wasm', { threads: 1 }))
})
afterAll(() => backend.dispose())

type Guide = ControlGuideInput & { readonly model: 'story-a' }

const guide: Guide = { model: 'story-a', image: 'a.png' }

/** Four steps with the smallest model. */
function run(
  guides: readonly Guide[],
  request: Partial<ResolvedRequest> = {},
  inputs: GenerateInputs = {},
  on: Backend = backend,
  changes: Partial<GuideInputs> = { watch: 'norms' },
) {
  const theCase: GuidedCase = {
    id: 'here',
    kind: 'story',
    task: 'txt2img',
    sampler: 'ddim',
    steps: 4,
    guidance: 5,
    guides,
    prompt: 'a red car',
    negative: '',
    width: 128,
    height: 64,
    change: 0,
  }
  return runGuided(theCase, on, { request, inputs, guides: changes })
}

interface Run {
  readonly graph: string
  readonly given: readonly string[]
  readonly batch: number | undefined
}

/** A backend that writes down what is compiled and run. */
function watched(): { readonly on: Backend; readonly compiled: string[]; readonly runs: Run[] } {
  const compiled: string[] = []
  const runs: Run[] = []
  const watch = (program: Program): Program => ({
    graph: program.graph,
    stats: program.stats,
    run(values) {
      const batch = program.graph.inputs.get('sample')?.shape[0]
      runs.push({ graph: program.graph.name, given: Object.keys(values), batch })
      return program.run(values)
    },
    readStates: () => program.readStates(),
    writeStates: states => program.writeStates(states),
    clearStates: () => program.clearStates(),
    dispose: () => program.dispose(),
  })
  const on: Backend = {
    name: backend.name,
    description: backend.description,
    async compile(graph: Graph) {
      compiled.push(graph.name)
      return watch(await backend.compile(graph))
    },
    dispose: () => Promise.resolve(),
  }
  return { on, compiled, runs }
}

const residuals = (given: readonly string[]) => given.filter(name => name.includes('BlockResidual')).length

describe('steps without guides', () => {
  it('cost nothing: the net is not run, the UNet gets zeros once and keeps them', async () => {
    const { on, runs } = watched()
    const { guides } = await run([{ ...guide, start: 0.5, end: 0.75 }], {}, {}, on)
    expect(runs.filter(each => each.graph === 'controlnet.denoise')).toHaveLength(1)
    const unet = runs.filter(each => each.graph === 'unet.denoise')
    // Zeros, nothing, residuals, zeros again.
    expect(unet.map(each => residuals(each.given))).toEqual([7, 0, 7, 7])
    expect(guides?.map(each => each.step)).toEqual([3])
    expect(guides?.[0]?.slots).toHaveLength(7)
  })

  it('are the whole run where no window holds any: the same bits as without', async () => {
    const { on, compiled } = watched()
    const never = await run([{ ...guide, start: 0.3, end: 0.4 }], {}, {}, on)
    const plain = await run([])
    expect(never.latents.data).toEqual(plain.latents.data)
    expect(compiled.filter(name => name.startsWith('controlnet'))).toEqual([])
    expect(never.notices.join()).toContain('The guide story-a does nothing: its window 0.3-0.4')
    expect(plain.guides).toBeUndefined()
  })

  it('give what stays once: hint and text with the first run, weights when they change', async () => {
    const { on, runs } = watched()
    await run(
      [
        {
          ...guide,
          weight: {
            keys: [
              { step: 0, weight: 1 },
              { step: 3, weight: 0.5 },
            ],
            shape: 'hold',
          },
        },
      ],
      {},
      {},
      on,
    )
    const given = runs.filter(each => each.graph === 'controlnet.denoise').map(each => [...each.given].sort())
    expect(given[0]).toEqual(['hintEmbedding', 'sample', 'slotScales', 'textKeyValues', 'timeProjections'])
    expect(given.slice(1)).toEqual([
      ['sample', 'timeProjections'],
      ['sample', 'timeProjections'],
      ['sample', 'slotScales', 'timeProjections'],
    ])
    expect(runs.filter(each => each.graph === 'controlnet.hint')).toHaveLength(1)
    expect(runs.filter(each => each.graph === 'controlnet.textKeyValues')).toHaveLength(1)
  })
})

describe('weights', () => {
  it('of two guides add up', async () => {
    const one = await run([{ ...guide, weight: 0.8 }])
    const two = await run([
      { ...guide, weight: 0.5 },
      { ...guide, weight: 0.3 },
    ])
    expect(relativeL2(two.latents.data, one.latents.data)).toBeLessThan(1e-5)
    const without = await run([])
    expect(relativeL2(one.latents.data, without.latents.data)).toBeGreaterThan(0.05)
  })

  it('of slots: none is no guide, and the norms tell', async () => {
    const none = await run([{ ...guide, slots: Array<number>(7).fill(0) }])
    const without = await run([])
    expect(relativeL2(none.latents.data, without.latents.data)).toBeLessThan(1e-6)
    const some = await run([{ ...guide, slots: [1, 0, 0, 0, 0, 0, 2] }])
    const norms = some.guides?.[0]?.slots.map(({ norm }) => norm) ?? []
    expect(norms.slice(1, 6)).toEqual([0, 0, 0, 0, 0])
    const plain = (await run([guide])).guides?.[0]?.slots.map(({ norm }) => norm) ?? []
    expect(norms[0]).toBeCloseTo(plain[0] as number, 5)
    expect(norms[6]).toBeCloseTo(2 * (plain[6] as number), 4)
  })

  it('as a curve: held at 0 it is a window', async () => {
    const curve = await run([
      {
        ...guide,
        weight: {
          keys: [
            { step: 0, weight: 1 },
            { step: 2, weight: 0 },
          ],
          shape: 'hold',
        },
      },
    ])
    const window = await run([{ ...guide, end: 0.5 }])
    expect(curve.latents.data).toEqual(window.latents.data)
    expect(curve.guides?.map(each => each.step)).toEqual([1, 2])
  })
})

describe('modes', () => {
  it('the conditional half only: the net runs on one row', async () => {
    const { on, runs } = watched()
    const conditional = await run([{ ...guide, mode: 'unbalanced' }], {}, {}, on)
    expect(runs.find(each => each.graph === 'controlnet.denoise')?.batch).toBe(1)
    const balanced = await run([guide])
    expect(relativeL2(conditional.latents.data, balanced.latents.data)).toBeGreaterThan(0.02)
  })

  it('soft weights fall towards the first layer', async () => {
    const soft = (await run([{ ...guide, mode: 'prompt', rule: 'webui' }])).guides?.[0]?.slots ?? []
    const plain = (await run([guide])).guides?.[0]?.slots ?? []
    const ratios = soft.map(({ norm }, i) => norm / (plain[i]?.norm as number))
    for (const [i, ratio] of ratios.entries()) expect(ratio).toBeCloseTo(0.825 ** (6 - i), 4)
  })
})

describe('an effective region', () => {
  it('that is everything changes no bit; outside of a half there is nothing', async () => {
    const all = await run([{ ...guide, mask: { kind: 'rect', x: 0, y: 0, width: 1, height: 1 } }])
    const plain = await run([guide])
    expect(all.latents.data).toEqual(plain.latents.data)
    const mask = { kind: 'rect', x: 0, y: 0, width: 0.5, height: 1 } as const
    const half = await run([{ ...guide, mask }], {}, {}, backend, { watch: 'maps' })
    expect(relativeL2(half.latents.data, plain.latents.data)).toBeGreaterThan(0.02)
    for (const { map, width } of half.guides?.[0]?.slots ?? []) {
      for (const [i, value] of (map as Float32Array).entries()) {
        if (i % width < width / 2) expect(value).toBeGreaterThan(0)
        else expect(value).toBe(0)
      }
    }
  })
})

describe('together with', () => {
  it('an edit: its source is the picture that the guide makes of the source prompt', async () => {
    const { on, runs } = watched()
    const controls = controlsSchema.parse({ edit: { sourcePrompt: 'a red house' } })
    const edited = await run([guide], { controls }, {}, on)
    expect(runs.find(each => each.graph === 'controlnet.denoise')?.batch).toBe(4)
    const source = await run([guide], { prompt: 'a red house' })
    expect(relativeL2(edited.source?.latents.data as Float32Array, source.latents.data)).toBeLessThan(1e-5)
    const unguided = await run([], { controls })
    expect(relativeL2(edited.latents.data, unguided.latents.data)).toBeGreaterThan(0.05)
  })

  it('regions, AND, measured effects and the meter', async () => {
    const controls = controlsSchema.parse({
      regions: {
        regions: [{ prompt: 'a cat', mask: { kind: 'rect', x: 0, y: 0, width: 0.5, height: 1 } }],
      },
    })
    const { on, runs } = watched()
    const mixed = await run(
      [{ ...guide, mode: 'unbalanced' }],
      { controls, prompt: 'a red car AND a house', dialect: 'a1111' },
      { measureEffects: true, meterAt: 1 },
      on,
    )
    expect(runs.find(each => each.graph === 'controlnet.denoise')?.batch).toBe(2)
    expect(mixed.effects?.length).toBeGreaterThan(0)
    expect(mixed.meter).toBeDefined()
  })

  it('a prompt that changes: the net hears the new words', async () => {
    const { on, runs } = watched()
    await run([guide], { prompt: 'a red [car:house:0.5]', dialect: 'a1111' }, {}, on)
    expect(runs.filter(each => each.graph === 'controlnet.textKeyValues')).toHaveLength(2)
  })

  it('a kept step: the rest repeats bit for bit', async () => {
    const whole = await run([{ ...guide, end: 0.75 }], {}, { keep: [2] })
    const rest = await run([{ ...guide, end: 0.75 }], {}, { resume: whole.checkpoints?.[0] as never })
    expect(rest.latents.data).toEqual(whole.latents.data)
  })
})

describe('refused before the run', () => {
  it('nets and pictures that were not given, and wrong numbers of slots', async () => {
    const { on, compiled } = watched()
    const missing = (guides: readonly Guide[]) =>
      run(guides, {}, { guides: { guides: guides as never, nets: new Map(), pictures: new Map() } }, on)
    await expect(missing([guide])).rejects.toThrow('Guide 1 names the ControlNet "story-a"')
    await expect(run([{ ...guide, slots: [1, 2] }], {}, {}, on)).rejects.toThrow(
      'has 2 factors of slots; this model has 7',
    )
    await expect(
      run([{ ...guide, mask: { kind: 'rect', x: 0, y: 0, width: 0, height: 1 } }], {}, {}, on),
    ).rejects.toThrow('The mask of the guide story-a is empty')
    expect(compiled).toEqual([])
  })
})
