/** Image prompts beside everything else that asks: capture, meter, regions, edits, curves; what costs nothing; refusals. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openNodeOnnxRuntime } from '../../host/onnxruntime.ts'
import { OnnxBackend } from '../../model/backend/onnx-backend.ts'
import { type Controls, controlsSchema } from '../../model/contract/controls.ts'
import { parseImagePrompts } from '../../model/contract/image-prompts.ts'
import type { Backend } from '../../model/graph/program.ts'
import type { ImagePromptInputs } from '../../model/pipeline/image-prompts.ts'
import { expectedTensor, promptedCase, type PromptedPicture, runPrompted } from '../support/ipadapter.ts'
import { relativeL2 } from '../support/parity.ts'

let backend: Backend

beforeAll(async () => {
  backend = OnnxBackend.open(await openNodeOnnxRuntime('wasm', { threads: 1 }))
})
afterAll(() => backend.dispose())

const short = { ...promptedCase('sd1-base'), steps: 2 }
type Changes = NonNullable<Parameters<typeof runPrompted>[2]>

const draw = (changes: Changes = {}, theCase = short): Promise<PromptedPicture> =>
  runPrompted(theCase, backend, changes)

/** The case's inputs with some fields of each prompt changed. */
const changed =
  (fields: object) =>
  (given: ImagePromptInputs): ImagePromptInputs => ({
    ...given,
    prompts: given.prompts.map(prompt => ({ ...prompt, ...fields })),
  })

const controls = (input: object): Controls => controlsSchema.parse(input)
const left = { kind: 'rect', x: 0, y: 0, width: 0.5, height: 1 } as const

describe('a prompt that does not act', () => {
  it('leaves every bit, and says so', async () => {
    const plain = await draw({ prompts: () => undefined })
    const never = await draw({ prompts: changed({ start: 0.1, end: 0.2 }) })
    expect(never.latents.data).toEqual(plain.latents.data)
    expect(never.notices.join()).toContain('does nothing: its window 0.1-0.2')
  })

  it('with the scale 0 at some steps is the text alone there', async () => {
    const window = await draw({ prompts: changed({ end: 0.5 }) })
    const curve = {
      keys: [
        { fraction: 0, weight: 1 },
        { fraction: 0.5, weight: 0 },
      ],
      shape: 'hold',
    }
    // A curve that holds 1 and then 0 is a window.
    const held = await draw({ prompts: changed({ scale: curve }) })
    expect(relativeL2(held.latents.data, window.latents.data)).toBeLessThan(1e-6)
    expect(relativeL2(held.latents.data, (await draw()).latents.data)).toBeGreaterThan(1e-3)
  })
})

describe('layers', () => {
  it('style is the scales that diffusers has for it', async () => {
    const theCase = promptedCase('sd1-style')
    const { latents } = await draw({ prompts: changed({ layers: 'style' }) }, theCase)
    expect(relativeL2(latents.data, expectedTensor('latents', 'sd1-style'))).toBeLessThan(1e-3)
  })

  it('composition is another part of the network', async () => {
    const composition = await draw({ prompts: changed({ layers: 'composition' }) })
    const same = await draw({ prompts: changed({ layers: { down: { block_2: 1 }, mid: 1 } }) })
    expect(composition.latents.data).toEqual(same.latents.data)
    const style = await draw({ prompts: changed({ layers: 'style' }) })
    expect(relativeL2(style.latents.data, composition.latents.data)).toBeGreaterThan(1e-3)
  })

  it('refuses blocks that are not there', async () => {
    await expect(draw({ prompts: changed({ layers: { up: { block_0: 1 } } }) })).rejects.toThrow(
      'no up.block_0',
    )
    await expect(draw({ prompts: changed({ layers: { down: { block_2: [1, 1, 1] } } }) })).rejects.toThrow(
      'is given 3 scales',
    )
  })
})

describe('what is seen of image prompts', () => {
  it('captures their tokens as those of words; the picture keeps every bit', async () => {
    const plain = await draw()
    const watched = await draw({ inputs: { capture: { words: ['car'], images: true } } })
    expect(watched.latents.data).toEqual(plain.latents.data)
    const { words, layers, tokens, steps } = watched.attention as NonNullable<PromptedPicture['attention']>
    expect(words.map(({ text }) => text)).toEqual(['car', ...[1, 2, 3, 4].map(i => `image 1 token ${i}`)])
    const first = words[0]?.columns.length ?? 0
    for (const { sums, numHeads, height, width } of layers) {
      const rows = numHeads * height * width
      for (let row = 0; row < rows; row++) {
        // A softmax of its own: the image's four tokens share 1 at each step.
        let sum = 0
        for (let t = first; t < tokens.length; t++) sum += sums[row * tokens.length + t] as number
        expect(sum).toBeCloseTo(steps, 4)
      }
    }
  })

  it('the meter shows text against images, each by its scale', async () => {
    const theCase = { ...promptedCase('sd1-two'), steps: 2 }
    const { meter } = await draw({ inputs: { meterAt: 0 } }, theCase)
    expect(meter?.sources).toEqual([
      { kind: 'own' },
      { kind: 'image', image: 0 },
      { kind: 'image', image: 1 },
    ])
    expect(meter?.shares.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 5)
    const half = await draw({ inputs: { meterAt: 0 }, prompts: changed({ scale: 0.25 }) }, theCase)
    const sizeOf = (reading: typeof meter, source: number): number => {
      const sizes = reading?.layers[0]?.sizes[source] ?? new Float32Array()
      return sizes.reduce((a, b) => a + b, 0)
    }
    // In the first layer nothing else has changed: 0.25 of 0.6, and the text as it was.
    expect(sizeOf(half.meter, 1) / sizeOf(meter, 1)).toBeCloseTo(0.25 / 0.6, 4)
    expect(sizeOf(half.meter, 0)).toBeCloseTo(sizeOf(meter, 0), 3)
  })

  it('the meter sees a mask: nothing outside', async () => {
    const { meter } = await draw({ inputs: { meterAt: 0 }, prompts: changed({ mask: left }) })
    const { sizes, width, height } = meter?.layers[0] ?? { sizes: [], width: 0, height: 0 }
    const at = (x: number): number => sizes[1]?.[Math.floor(height / 2) * width + x] ?? Number.NaN
    expect(at(0)).toBeGreaterThan(0)
    expect(at(width - 1)).toBe(0)
  })
})

describe('beside other controls', () => {
  it.each(['mix', 'isolate'] as const)('acts beside regions (%s), which act as before', async law => {
    const regions = controls({ regions: { law, regions: [{ prompt: 'a green house', mask: left }] } })
    const request = { controls: regions }
    const both = await draw({ request, inputs: { meterAt: 0 } })
    expect(both.meter?.sources.at(-1)).toEqual({ kind: 'image', image: 0 })
    const alone = await draw({ request, prompts: () => undefined })
    expect(relativeL2(both.latents.data, alone.latents.data)).toBeGreaterThan(0.01)
    // With the scale 0 in every layer only the regions are left.
    const silent = await draw({ request, prompts: changed({ layers: { up: 0 } }) })
    expect(relativeL2(silent.latents.data, alone.latents.data)).toBeLessThan(1e-5)
    expect(silent.notices.join()).toContain('all its layers have the scale 0')
  })

  it('acts in an edit on both pictures', async () => {
    const edit = controls({ edit: { sourcePrompt: short.prompt.replace('red', 'green') } })
    const request = { controls: edit }
    const both = await draw({ request })
    const alone = await draw({ request, prompts: () => undefined })
    const silent = await draw({ request, prompts: changed({ layers: { up: 0 } }) })
    expect(relativeL2(silent.latents.data, alone.latents.data)).toBeLessThan(1e-5)
    const own = { request: { prompt: short.prompt.replace('red', 'green') } }
    // The picture that it begins with is that of its words and the image.
    const before = await draw(own)
    expect(relativeL2(both.source?.latents.data as Float32Array, before.latents.data)).toBeLessThan(1e-5)
    expect(relativeL2(both.latents.data, alone.latents.data)).toBeGreaterThan(0.01)
  })

  it('acts beside painted words and weights inside attention', async () => {
    const paint = controls({ paint: [{ phrase: 'car', mask: left, strength: 2 }] })
    const request = { controls: paint }
    const alone = await draw({ request, prompts: () => undefined })
    const silent = await draw({ request, prompts: changed({ layers: { up: 0 } }) })
    expect(relativeL2(silent.latents.data, alone.latents.data)).toBeLessThan(1e-5)
  })
})

describe('notices and refusals', () => {
  it('tells how a picture that is not square is seen', async () => {
    const theCase = { ...promptedCase('sd1-scale'), steps: 1 }
    const { notices } = await draw({}, theCase)
    expect(notices.join()).toContain('wide.png (111x70) is seen by its middle square only (crop')
    const other = await draw({ prompts: changed({ fit: 'resize' }) }, theCase)
    expect(other.notices.join()).toContain('is squeezed to a square')
    expect((await draw()).notices).toEqual([])
  })

  it('refuses names that were not given', async () => {
    await expect(draw({ prompts: changed({ adapter: 'other' }) })).rejects.toThrow(
      'names the IP-Adapter "other"',
    )
    await expect(draw({ prompts: changed({ image: 'b' }) })).rejects.toThrow('names the picture "b"')
  })

  it.each([
    [{ adapter: 'a', image: 'b', scale: 11 }, 'x 1: scale must be'],
    [{ adapter: 'a', image: 'b', start: 0.5, end: 0.5 }, 'must end after it starts'],
    [{ adapter: 'a', image: 'b', layers: 'face' }, 'must be style, composition or scales'],
    [{ adapter: 'a', image: 'b', layers: { up: { block: 1 } } }, 'x 1: layers'],
    [{ adapter: 'a', image: 'b', fit: 'zoom' }, 'must be one of resize'],
    [{ adapter: 'a', image: 'b', weight: 1 }, 'has no setting weight'],
    [{ adapter: '', image: 'b' }, 'must not be empty'],
  ])('refuses %j', (prompt, message) => {
    expect(() => parseImagePrompts([prompt], 'x')).toThrow(message)
  })

  it('refuses more than there can be', () => {
    const many = Array.from({ length: 9 }, () => ({ adapter: 'a', image: 'b' }))
    expect(() => parseImagePrompts(many)).toThrow('must be at most 8')
  })
})
