/** Reading unet/config.json: diffusers' naming quirk, defaults, and refusals by name; counts of the full-size networks. */
import { describe, expect, test } from 'vitest'
import { multiplyAccumulates, type Graph } from '../../model/graph/ops.ts'
import { parseUNetConfig } from '../../model/unet/config.ts'
import { timestepSinusoid } from '../../model/unet/timestep.ts'
import { UNet2DConditionModel } from '../../model/unet/unet-2d-condition-model.ts'
import { parameterCount, shapeWeights } from '../support/shape-weights.ts'

const gigaMacs = (graph: Graph): number =>
  graph.ops.reduce((sum, op) => sum + multiplyAccumulates(op), 0) / 1e9

const heads = (json: object): [number, number][] =>
  parseUNetConfig(json).levels.map(({ numHeads, headDim }) => [numHeads, headDim])

describe('parseUNetConfig', () => {
  test('attention_head_dim is the number of heads, for all levels or one a level', () => {
    const eight = [
      [8, 40],
      [8, 80],
      [8, 160],
      [8, 160],
    ]
    expect(heads({})).toEqual(eight)
    expect(heads({ attention_head_dim: [5, 10, 20, 20] })).toEqual([
      [5, 64],
      [10, 64],
      [20, 64],
      [20, 64],
    ])
    expect(heads({ attention_head_dim: [5, 10, 20, 20], num_attention_heads: 8 })).toEqual(eight)
    expect(heads({ attention_head_dim: 8, num_attention_heads: null })).toEqual(eight)
  })

  test('up blocks are listed from the coarsest level', () => {
    const { levels } = parseUNetConfig({})
    expect(levels.map(level => [level.downCrossAttention, level.upCrossAttention])).toEqual([
      [true, true],
      [true, true],
      [true, true],
      [false, false],
    ])
  })

  test.each([
    [{ addition_embed_type: 'text_time' }, /addition_embed_type "text_time"/],
    [{ class_embed_type: 'timestep' }, /class_embed_type "timestep"/],
    [{ num_class_embeds: 1000 }, /num_class_embeds 1000/],
    [{ dual_cross_attention: true }, /dual_cross_attention true/],
    [{ resnet_time_scale_shift: 'scale_shift' }, /resnet_time_scale_shift "scale_shift"/],
    [{ time_cond_proj_dim: 256 }, /time_cond_proj_dim 256/],
    [{ encoder_hid_dim: 4096 }, /encoder_hid_dim 4096/],
    [{ only_cross_attention: [true, true, true, false] }, /only_cross_attention/],
    [{ mid_block_type: 'UNetMidBlock2DSimpleCrossAttn' }, /mid_block_type "UNetMidBlock2DSimpleCrossAttn"/],
    [
      { down_block_types: ['DownBlock2D', 'DownBlock2D', 'AttnDownBlock2D', 'DownBlock2D'] },
      /down_block_types "AttnDownBlock2D"/,
    ],
    [{ act_fn: 'mish' }, /act_fn "mish"/],
    [{ center_input_sample: true }, /center_input_sample true/],
    [{ attention_type: 'gated' }, /attention_type "gated"/],
  ])('%j is refused by name as unsupported', (json, message) => {
    expect(() => parseUNetConfig(json, 'the file')).toThrow(message)
    expect(() => parseUNetConfig(json)).toThrow(expect.objectContaining({ code: 'unsupported' }) as Error)
  })

  test.each([
    [{ block_out_channels: [320, 640] }, /down_block_types has 4 entries for 2 levels/],
    [{ attention_head_dim: [5, 10] }, /attention_head_dim has 2 entries for 4 levels/],
    [{ attention_head_dim: 7 }, /7 attention heads do not divide the 320 channels of level 0/],
    [{ norm_num_groups: 48 }, /norm_num_groups 48/],
    [{ cross_attention_dim: [1, 2, 3, 4] }, /cross_attention_dim differs/],
    [{ in_channels: '4' }, /in_channels/],
    [{ layers_per_block: 0 }, /layers_per_block/],
    [null, /unet\/config.json/],
  ])('%j is refused as damaged', (json, message) => {
    expect(() => parseUNetConfig(json)).toThrow(message)
    expect(() => parseUNetConfig(json)).toThrow(expect.objectContaining({ code: 'bad-model' }) as Error)
  })
})

describe('full size', () => {
  test('the UNet of Stable Diffusion 1.5 has its parameters and its work', () => {
    const weights = shapeWeights()
    const unet = UNet2DConditionModel.create(parseUNetConfig({ cross_attention_dim: 768 }), weights)
    expect(weights.asked.size).toBe(686)
    expect(parameterCount(weights)).toBe(859_520_964)
    const denoise = unet.recordDenoise({ batch: 1, height: 64, width: 64, textTokens: 77 })
    const cached = [unet.recordTimeProjections(1), unet.recordTextKeyValues(1, 77)]
    // 401.6 GMAC in all (reference/performance.md 1.1), of which 1.5 are computed once.
    expect(gigaMacs(denoise)).toBeCloseTo(400.13, 2)
    expect(cached.reduce((sum, graph) => sum + gigaMacs(graph), gigaMacs(denoise))).toBeCloseTo(401.64, 2)
    expect(unet.crossAttentionLayers.length).toBe(16)
    expect(unet.textKeyValueWidth).toBe(24_960)
    expect(unet.timeProjectionWidth).toBe(20_160)
  })

  test('the UNet of Stable Diffusion 2.1 too', () => {
    const weights = shapeWeights()
    const config = {
      attention_head_dim: [5, 10, 20, 20],
      cross_attention_dim: 1024,
      use_linear_projection: true,
    }
    const unet = UNet2DConditionModel.create(parseUNetConfig(config), weights)
    expect(parameterCount(weights)).toBe(865_910_724)
    expect(gigaMacs(unet.recordDenoise({ batch: 1, height: 64, width: 64, textTokens: 77 }))).toBeCloseTo(
      400.13,
      2,
    )
  })
})

describe('recordDenoise', () => {
  const unet = UNet2DConditionModel.create(
    parseUNetConfig({ block_out_channels: [32, 64, 64, 64], cross_attention_dim: 16 }),
    shapeWeights(),
  )
  const size = { batch: 2, height: 8, width: 16, textTokens: 7 }

  test('captures the layers that are asked for', () => {
    const path = 'up_blocks.1.attentions.2.transformer_blocks.0.attn2'
    const graph = unet.recordDenoise({ ...size, capture: each => each === path })
    expect([...graph.outputs.keys()]).toEqual([`${path}.probabilities`, 'modelOutput'])
    expect(graph.outputs.get(`${path}.probabilities`)?.shape).toEqual([2, 8, 8, 7])
    expect(unet.crossAttentionLayers.find(layer => layer.path === path)?.downsampleFactor).toBe(4)
  })

  test('controls become inputs of the graph', () => {
    const seen: number[] = []
    const graph = unet.recordDenoise({
      ...size,
      textBatch: 1,
      attentionControls: {
        cross: (layer, b, { height, width }) => {
          const length = height * width
          seen.push(length * layer.downsampleFactor ** 2)
          return layer.path.startsWith('mid_block') ? { logitBias: b.input('bias', [1, length, 7]) } : {}
        },
      },
    })
    expect(seen).toEqual(unet.crossAttentionLayers.map(() => 8 * 16))
    expect(graph.inputs.get('bias')?.shape).toEqual([1, 2, 7])
    expect(graph.inputs.get('textKeyValues')?.shape).toEqual([1, 7, unet.textKeyValueWidth])
  })

  test("declares a ControlNet's residuals", () => {
    const { inputs } = unet.recordDenoise({ ...size, controlNetResiduals: true })
    expect([...inputs.keys()].filter(name => name.startsWith('downBlock')).length).toBe(12)
    expect(inputs.get('downBlockResidualSamples.11')?.shape).toEqual([2, 1, 2, 64])
    expect(inputs.get('midBlockResidualSample')?.shape).toEqual([2, 1, 2, 64])
  })

  test('columns of the text do not overlap and fill the whole', () => {
    const ranges = unet.crossAttentionLayers.flatMap(({ keyOffset, valueOffset, numHeads, headDim }) => [
      [keyOffset, numHeads * headDim],
      [valueOffset, numHeads * headDim],
    ])
    let end = 0
    for (const [start = 0, width = 0] of ranges) {
      expect(start).toBe(end)
      end += width
    }
    expect(end).toBe(unet.textKeyValueWidth)
  })
})

test('timestepSinusoid puts cosines first when flipped', () => {
  const flipped = timestepSinusoid([0, 10], 4, true, 0)
  expect([...flipped.subarray(0, 4)]).toEqual([1, 1, 0, 0])
  const expected = [Math.cos(10), Math.cos(0.1), Math.sin(10), Math.sin(0.1)]
  for (const [i, value] of expected.entries()) expect(flipped[4 + i]).toBeCloseTo(value, 6)
  const plain = timestepSinusoid([10], 4, false, 1)
  // With a shift of 1 the second of two frequencies is 1/10000.
  expect(plain[1]).toBeCloseTo(Math.sin(0.001), 7)
  expect(plain[2]).toBeCloseTo(Math.cos(10), 6)
})
