/** The UNet through the interpreter against diffusers' numbers (test/fixtures/parity). */
import { beforeAll, describe, expect, test } from 'vitest'
import { interpret } from '../../model/graph/interpreter.ts'
import type { DenoiseOptions, UNet2DConditionModel } from '../../model/unet/unet-2d-condition-model.ts'
import { timestepSinusoid } from '../../model/unet/timestep.ts'
import { elementCount, type Shape } from '../../model/tensor/shape.ts'
import { forwardArray, loadForward, relativeL2, toChannelsFirst, toChannelsLast } from '../support/parity.ts'
import { tinyKinds, type TinyKind } from '../support/tiny-models.ts'
import { tinyNetworks } from '../support/tiny-networks.ts'

/** What of diffusers' single-precision arithmetic may differ from ours. */
const tolerance = 1e-5

interface Forward {
  readonly outputs: Readonly<Record<string, Float64Array>>
  readonly shapeOf: (name: string) => readonly number[]
}

/** One forward pass through all three graphs, NCHW in, channels-last out. */
async function forward(
  unet: UNet2DConditionModel,
  timesteps: readonly number[],
  text: { shape: Shape; data: Float32Array },
  sample: { shape: Shape; data: Float32Array },
  options: Partial<DenoiseOptions> = {},
): Promise<Forward> {
  const { config } = unet
  const [batch = 0, , height = 0, width = 0] = sample.shape
  const [, textTokens = 0] = text.shape
  const channels = config.levels[0]?.channels ?? 0
  const timeSinusoid = timestepSinusoid(timesteps, channels, config.flipSinToCos, config.freqShift)
  const time = await interpret(unet.recordTimeProjections(timesteps.length), { timeSinusoid })
  const keyValues = await interpret(unet.recordTextKeyValues(batch, textTokens), {
    encoderHiddenStates: text.data,
  })
  const graph = unet.recordDenoise({
    batch,
    height,
    width,
    textTokens,
    timeBatch: timesteps.length,
    ...options,
  })
  const { outputs } = await interpret(graph, {
    sample: toChannelsLast(sample.shape, sample.data),
    timeProjections: time.outputs['timeProjections'] ?? new Float64Array(),
    textKeyValues: keyValues.outputs['textKeyValues'] ?? new Float64Array(),
  })
  return { outputs, shapeOf: name => graph.outputs.get(name)?.shape ?? [] }
}

/** A channels-last output as diffusers lays it out. */
function channelsFirst({ outputs, shapeOf }: Forward, name: string): Float32Array {
  return toChannelsFirst(shapeOf(name), Float32Array.from(outputs[name] ?? []))
}

describe.each([...tinyKinds])('%s', (kind: TinyKind) => {
  const arrays = loadForward(kind)
  const text = forwardArray(arrays, 'text.hidden')
  const sample = forwardArray(arrays, 'unet.sample')
  let unet: UNet2DConditionModel
  beforeAll(async () => {
    unet = (await tinyNetworks(kind)).unet
  })

  test('predicts what diffusers predicts, after every block', async () => {
    const result = await forward(unet, [601], text, sample, { taps: true })
    const errors: Record<string, number> = {}
    for (const name of Object.keys(result.outputs)) {
      if (!arrays.has(`unet.${name}`)) continue
      // Taps hold the second sample only.
      const expected = forwardArray(arrays, `unet.${name}`)
      errors[name] = relativeL2(
        channelsFirst(result, name).slice(elementCount(expected.shape)),
        expected.data,
      )
    }
    const expected = forwardArray(arrays, 'unet.out.601')
    errors['modelOutput'] = relativeL2(channelsFirst(result, 'modelOutput'), expected.data)
    expect(Object.entries(errors).filter(([, error]) => !(error < tolerance))).toEqual([])
    if (kind !== 'inpaint9') expect(Object.keys(errors).length).toBe(3 + 2 * unet.config.levels.length)
  })

  test('hears the timestep, given once a sample', async () => {
    const result = await forward(unet, [21, 21], text, sample)
    const expected = forwardArray(arrays, 'unet.out.21')
    expect(relativeL2(channelsFirst(result, 'modelOutput'), expected.data)).toBeLessThan(tolerance)
  })

  test('takes sizes that do not halve evenly, when asked to', async () => {
    const odd = forwardArray(arrays, 'unet.odd.sample')
    const second = { shape: [1, ...text.shape.slice(1)], data: text.data.slice(text.data.length / 2) }
    const result = await forward(unet, [301], second, odd, { unevenSizes: true })
    const expected = forwardArray(arrays, 'unet.odd.out')
    expect(relativeL2(channelsFirst(result, 'modelOutput'), expected.data)).toBeLessThan(tolerance)
    await expect(forward(unet, [301], second, odd)).rejects.toThrow(/cannot be halved/)
  })
})
