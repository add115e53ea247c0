/** The autoencoder through the interpreter against diffusers' numbers (test/fixtures/parity). */
import { beforeAll, describe, expect, test } from 'vitest'
import { interpret } from '../../model/graph/interpreter.ts'
import { multiplyAccumulates, type Graph } from '../../model/graph/ops.ts'
import { elementCount, type Shape } from '../../model/tensor/shape.ts'
import {
  AutoencoderKL,
  latentsFromMoments,
  latentsFromVae,
  latentsToVae,
} from '../../model/vae/autoencoder-kl.ts'
import { parseVaeConfig } from '../../model/vae/config.ts'
import { forwardArray, loadForward, relativeL2, toChannelsFirst, toChannelsLast } from '../support/parity.ts'
import { parameterCount, shapeWeights } from '../support/shape-weights.ts'
import { tinyKinds, type TinyKind } from '../support/tiny-models.ts'
import { tinyNetworks } from '../support/tiny-networks.ts'

/** What of diffusers' single-precision arithmetic may differ from ours. */
const tolerance = 1e-5

/** Runs a graph of one input and one output; NCHW in and out. */
async function run(
  graph: Graph,
  input: string,
  output: string,
  given: { readonly shape: Shape; readonly data: Float32Array },
): Promise<Float32Array> {
  const { outputs } = await interpret(graph, { [input]: toChannelsLast(given.shape, given.data) })
  return toChannelsFirst(graph.outputs.get(output)?.shape ?? [], Float32Array.from(outputs[output] ?? []))
}

describe.each([...tinyKinds])('%s', (kind: TinyKind) => {
  const arrays = loadForward(kind)
  let vae: AutoencoderKL
  beforeAll(async () => {
    vae = (await tinyNetworks(kind)).vae
  })

  test('decodes what diffusers decodes', async () => {
    const latents = forwardArray(arrays, 'vae.latents')
    const [batch = 0, , height = 0, width = 0] = latents.shape
    const image = await run(vae.recordDecode({ batch, height, width }), 'latents', 'image', latents)
    expect(relativeL2(image, forwardArray(arrays, 'vae.decoded').data)).toBeLessThan(tolerance)
  })

  test('encodes what diffusers encodes', async () => {
    const image = forwardArray(arrays, 'vae.image')
    const [batch = 0, , height = 0, width = 0] = image.shape
    const moments = await run(vae.recordEncode({ batch, height, width }), 'image', 'moments', image)
    expect(relativeL2(moments, forwardArray(arrays, 'vae.moments').data)).toBeLessThan(tolerance)
  })
})

const gigaMacs = (graph: Graph): number =>
  graph.ops.reduce((sum, op) => sum + multiplyAccumulates(op), 0) / 1e9

describe('the VAE of Stable Diffusion 1.5', () => {
  const weights = shapeWeights()
  const vae = AutoencoderKL.create(
    parseVaeConfig({
      block_out_channels: [128, 256, 512, 512],
      down_block_types: Array<string>(4).fill('DownEncoderBlock2D'),
      layers_per_block: 2,
      up_block_types: Array<string>(4).fill('UpDecoderBlock2D'),
    }),
    weights,
  )

  test('has its parameters and its work', () => {
    expect(parameterCount(weights)).toBe(83_653_863)
    expect(gigaMacs(vae.recordDecode({ batch: 1, height: 64, width: 64 }))).toBeCloseTo(1257.26, 2)
    expect(gigaMacs(vae.recordEncode({ batch: 1, height: 512, width: 512 }))).toBeCloseTo(558.33, 2)
  })

  test('refuses pictures that have no whole number of latents', () => {
    expect(vae.sizeFactor).toBe(8)
    expect(() => vae.recordEncode({ batch: 1, height: 512, width: 500 })).toThrow(/500x512/)
  })
})

describe('around the networks', () => {
  test('scaling and shift undo each other', () => {
    const config = { ...parseVaeConfig({}), scalingFactor: 0.5, shiftFactor: 0.25 }
    const latents = Float32Array.of(1, -2, 0)
    expect([...latentsToVae(latents, config)]).toEqual([2.25, -3.75, 0.25])
    expect([...latentsFromVae(latentsToVae(latents, config), config)]).toEqual([...latents])
  })

  test('moments give the mean, or with noise a sample with the clamped variance', () => {
    // Two positions of two channels: means, then log variances.
    const moments = Float32Array.of(1, 2, 0, Math.log(4), 3, 4, -100, 100)
    expect([...latentsFromMoments(moments, 2)]).toEqual([1, 2, 3, 4])
    const noise = Float32Array.of(1, 1, 1, 1)
    const sample = latentsFromMoments(moments, 2, noise)
    expect(elementCount([2, 2])).toBe(sample.length)
    const expected = [2, 4, 3 + Math.exp(-15), 4 + Math.exp(10)]
    for (const [i, value] of expected.entries()) expect(sample[i]).toBeCloseTo(value, 2)
    expect(() => latentsFromMoments(moments, 2, noise.slice(1))).toThrow(/noise/)
  })

  test('configurations that are not an AutoencoderKL of this kind are refused by name', () => {
    expect(() => parseVaeConfig({ latents_mean: [0, 0, 0, 0] })).toThrow(/latents_mean/)
    expect(() => parseVaeConfig({ block_out_channels: [64, 64] })).toThrow(
      /down_block_types has 1 entries for 2/,
    )
    expect(() => parseVaeConfig({ block_out_channels: [48] })).toThrow(/norm_num_groups 32.*48/)
    expect(() => parseVaeConfig({ up_block_types: ['AttnUpDecoderBlock2D'] })).toThrow(/up_block_types/)
    expect(() => parseVaeConfig('no')).toThrow(/vae\/config.json/)
  })
})
