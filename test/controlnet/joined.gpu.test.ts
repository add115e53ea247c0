/** On a GPU nets that act on all rows are a part of the UNet's program: the same picture, and nothing else changes. */
import { expect, it } from 'vitest'
import { controlsSchema } from '../../model/contract/controls.ts'
import { guidedCase, runGuided } from '../support/controlnet.ts'
import { testBackend } from '../support/gpu.ts'
import { relativeL2 } from '../support/parity.ts'

it('within a window, with word maps, effects and the meter', async () => {
  const backend = await testBackend('f32')
  const theCase = guidedCase('story-one')
  const guides = [{ model: 'story-a', image: 'a.png', start: 0.25, end: 0.75 }] as const
  const controls = controlsSchema.parse({
    paint: [{ phrase: 'car', strength: 1, mask: { kind: 'rect', x: 0, y: 0, width: 0.5, height: 1 } }],
  })
  const draw = (watch?: 'norms') =>
    runGuided({ ...theCase, steps: 4, guides }, backend, {
      request: { controls },
      inputs: { capture: {}, meterAt: 2, measureEffects: true },
      guides: watch ? { watch } : {},
    })
  const [joined, apart] = [await draw(), await draw('norms')]
  expect(joined.guides).toBeUndefined()
  expect(apart.guides?.map(each => each.step)).toEqual([2, 3])
  expect(relativeL2(joined.latents.data, apart.latents.data)).toBeLessThan(1e-5)
  const maps = (result: typeof joined) => result.attention?.layers.map(({ sums }) => sums) ?? []
  for (const [i, sums] of maps(joined).entries()) {
    expect(relativeL2(sums, maps(apart)[i] as Float32Array)).toBeLessThan(1e-4)
  }
  expect(joined.effects?.[0]?.change).toBeCloseTo(apart.effects?.[0]?.change as number, 4)
  expect(joined.meter).toBeDefined()
})

it('two nets with windows of their own', async () => {
  const backend = await testBackend('f32')
  const theCase = guidedCase('story-one')
  const guides = [
    { model: 'story-a', image: 'a.png', end: 0.5, weight: 0.8 },
    { model: 'story-a', image: 'b.png', start: 0.25, end: 0.75, weight: 0.6, mode: 'prompt' },
  ] as const
  const draw = (watch?: 'norms') =>
    runGuided({ ...theCase, steps: 4, guides }, backend, { guides: watch ? { watch } : {} })
  const [joined, apart] = [await draw(), await draw('norms')]
  expect(apart.guides?.map(({ guide, step }) => [guide, step])).toEqual([
    [0, 1],
    [0, 2],
    [1, 2],
    [1, 3],
  ])
  expect(joined.guides).toBeUndefined()
  expect(relativeL2(joined.latents.data, apart.latents.data)).toBeLessThan(1e-5)
})
