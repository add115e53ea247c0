/** Whole networks as ONNX against the oracle: every graph of the tiny models, and what a program promises. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { UNet2DConditionModel } from '../../model/unet/unet-2d-condition-model.ts'
import type { AutoencoderKL } from '../../model/vae/autoencoder-kl.ts'
import { tinyNetworks } from '../support/tiny-networks.ts'
import { distanceFromOracle, testOnnxBackend } from './support.ts'

afterAll(async () => (await testOnnxBackend('wasm')).dispose())

// A few dozen layers of f32 rounding one after another, relative to the largest element.
const tolerance = 1e-4

describe.each(['sd1', 'sd2', 'story'] as const)('%s', kind => {
  let unet: UNet2DConditionModel
  let vae: AutoencoderKL
  beforeAll(async () => {
    ;({ unet, vae } = await tinyNetworks(kind))
  })

  const size = () => ({ height: 2 * unet.sizeFactor, width: unet.sizeFactor })

  it.each([
    ['time projections', () => unet.recordTimeProjections(3)],
    ["text's keys and values", () => unet.recordTextKeyValues(2, 7)],
    ['denoising', () => unet.recordDenoise({ batch: 2, ...size(), textTokens: 7 })],
    [
      'denoising with captured attention, text of one sample',
      () =>
        unet.recordDenoise({
          batch: 2,
          ...size(),
          textTokens: 5,
          textBatch: 1,
          timeBatch: 2,
          capture: () => true,
        }),
    ],
    ['encoding', () => vae.recordEncode({ batch: 1, height: 2 * vae.sizeFactor, width: vae.sizeFactor })],
    ['decoding', () => vae.recordDecode({ batch: 1, height: 3, width: 2 })],
  ])('%s', async (_, record) => {
    const result = await distanceFromOracle(await testOnnxBackend('wasm'), record())
    expect(result.spread).toBeGreaterThan(0.05)
    expect(result.difference, result.where).toBeLessThan(tolerance)
  })
})

it('takes sizes that do not halve evenly', async () => {
  const { unet } = await tinyNetworks('sd1')
  const graph = unet.recordDenoise({ batch: 1, height: 7, width: 9, textTokens: 4, unevenSizes: true })
  const result = await distanceFromOracle(await testOnnxBackend('wasm'), graph)
  expect(result.spread).toBeGreaterThan(0.05)
  expect(result.difference, result.where).toBeLessThan(tolerance)
})
