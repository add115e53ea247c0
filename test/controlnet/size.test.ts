/** Nets of true size have as many parameters as diffusers', and take the share of the products that C15 says. */
import { describe, expect, it } from 'vitest'
import { readControlNetConfig } from '../../model/controlnet/config.ts'
import { ControlNetModel } from '../../model/controlnet/control-net-model.ts'
import { type Graph, multiplyAccumulates } from '../../model/graph/ops.ts'
import { DownBlock2D, UNetMidBlock2DCrossAttn } from '../../model/unet/blocks.ts'
import { parseUNetConfig } from '../../model/unet/config.ts'
import { UNet2DConditionModel } from '../../model/unet/unet-2d-condition-model.ts'
import { parameterCount, shapeWeights } from '../support/shape-weights.ts'

const products = ({ ops }: Graph): number => ops.reduce((sum, op) => sum + multiplyAccumulates(op), 0)

describe.each([
  ['Stable Diffusion 1.5', { cross_attention_dim: 768, attention_head_dim: 8 }, 361_279_120],
  ['Stable Diffusion 2.1', { cross_attention_dim: 1024, attention_head_dim: [5, 10, 20, 20] }, 364_228_240],
] as const)('%s', (_, encoder, parameters) => {
  const { facts, encoderJson } = readControlNetConfig(
    { _class_name: 'ControlNetModel', ...encoder },
    'config',
  )
  const weights = shapeWeights()
  const net = ControlNetModel.create('net', parseUNetConfig(encoderJson), facts, weights, {
    DownBlock: DownBlock2D,
    MidBlock: UNetMidBlock2DCrossAttn,
  })

  it('has the parameters of diffusers’ model', () => {
    expect(parameterCount(weights)).toBe(parameters)
    expect(net.slotChannels).toEqual([320, 320, 320, 320, 640, 640, 640, 1280, 1280, 1280, 1280, 1280, 1280])
    expect(net.hintFactor).toBe(8)
  })

  it('takes about a third of the UNet’s products', () => {
    const size = { batch: 2, height: 64, width: 64, textTokens: 77 }
    const unet = UNet2DConditionModel.create(parseUNetConfig(encoder), shapeWeights())
    const share = products(net.recordDenoise(size)) / products(unet.recordDenoise(size))
    expect(share).toBeGreaterThan(0.3)
    expect(share).toBeLessThan(0.4)
  })
})
