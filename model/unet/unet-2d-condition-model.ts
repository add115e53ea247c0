/**
 * The denoising network of Stable Diffusion 1.x and 2.x (Rombach et al. 2022;
 * diffusers/models/unets/unet_2d_condition.py), recorded as three graphs, because most of what depends on the time or
 * on the text alone does not change while a picture is made (D5):
 *
 *   time projections   once a schedule      timeSinusoid [T, C0]          → timeProjections [T, ΣC]
 *   text keys/values   once a prompt        encoderHiddenStates [B, S, E] → textKeyValues [B, S, Σ2C]
 *   denoise            every step           sample [B, H, W, C]           → modelOutput [B, H, W, C']
 *
 * The columns of the two joined products follow the order down_blocks, mid_block, up_blocks; within a block its
 * resnets in order, or its attn2 layers in order, each with its keys before its values.
 */
import { AttuneError, invariant } from '../contract/errors.ts'
import { GraphBuilder } from '../graph/builder.ts'
import type { Graph, Tensor } from '../graph/ops.ts'
import type { AttentionExtras, CrossAttention, SelfAttentionExtras } from '../nn/attention.ts'
import { Conv2d } from '../nn/conv.ts'
import { JoinedLinear, Linear } from '../nn/linear.ts'
import { GroupNorm } from '../nn/norm.ts'
import type { WeightCursor } from '../nn/reader.ts'
import type { AttentionGrid } from '../nn/transformer.ts'
import {
  crossAttentionsOf,
  DownBlock2D,
  UNetMidBlock2DCrossAttn,
  type UNetInputs,
  UpBlock2D,
} from './blocks.ts'
import type { UNet2DConditionConfig } from './config.ts'

/** A layer in which the picture asks the text. */
export interface CrossAttentionLayer {
  /** Such as `down_blocks.0.attentions.0.transformer_blocks.0.attn2`. */
  readonly path: string
  readonly numHeads: number
  readonly headDim: number
  /** The first column of the layer's keys in `textKeyValues`; there are numHeads · headDim of them. */
  readonly keyOffset: number
  /** The first column of its values. */
  readonly valueOffset: number
  /** The level's factor: at a latent of H×W the layer has H/factor × W/factor positions. */
  readonly downsampleFactor: number
}

/** What is recorded beside the attention of the layers, into the graph that the builder makes. */
export interface AttentionControls {
  /** Of a layer that asks the text. */
  readonly cross?: (layer: CrossAttentionLayer, b: GraphBuilder, grid: AttentionGrid) => AttentionExtras
  /** Of the picture's attention to itself; `path` is the layer's, ending in `attn1`. */
  readonly self?: (path: string, b: GraphBuilder, grid: AttentionGrid) => SelfAttentionExtras
  /** Receives a layer's running sums [C, N, L, T], where `cross` asked for them. */
  readonly captured?: (layer: CrossAttentionLayer, b: GraphBuilder, sums: Tensor, grid: AttentionGrid) => void
  /** Called behind the last layer, to declare outputs. */
  readonly finish?: (b: GraphBuilder) => void
}

export interface DenoiseOptions {
  /** B: 2 for classifier-free guidance in one pass. */
  readonly batch: number
  /** Of the latent. */
  readonly height: number
  readonly width: number
  /** S, the tokens of the text. */
  readonly textTokens: number
  /** Rows of the input `timeProjections`: 1 (the default) or B. */
  readonly timeBatch?: number
  /** Samples of the input `textKeyValues`: B (the default) or 1. */
  readonly textBatch?: number
  /** Layers whose probabilities [B, N, L, S] become outputs, named `${path}.probabilities`. */
  readonly capture?: (path: string) => boolean
  /** Declares further inputs of the layers' attention, such as a bias, and what is captured. */
  readonly attentionControls?: AttentionControls
  /**
   * Declares the inputs `downBlockResidualSamples.0` … and `midBlockResidualSample`, which a ControlNet adds
   * (Zhang et al. 2023).
   */
  readonly controlNetResiduals?: boolean
  /**
   * Accept H and W that are not multiples of `sizeFactor`, as diffusers does. The graph then has `upsample` operations
   * whose result is one less than double, which not every executor has.
   */
  readonly unevenSizes?: boolean
  /** Adds an output after `conv_in` and after every block, named by its path. */
  readonly taps?: boolean
}

export class UNet2DConditionModel {
  readonly config: UNet2DConditionConfig
  /** All layers that ask the text, in the order of their columns in `textKeyValues`. */
  readonly crossAttentionLayers: readonly CrossAttentionLayer[]
  readonly #layers: ReadonlyMap<CrossAttention, CrossAttentionLayer>
  readonly #timeLinear1: Linear
  readonly #timeLinear2: Linear
  readonly #timeProjections: JoinedLinear
  readonly #textKeyValues: JoinedLinear
  readonly #convIn: Conv2d
  readonly #downBlocks: DownBlock2D[]
  readonly #midBlock: UNetMidBlock2DCrossAttn | undefined
  readonly #upBlocks: UpBlock2D[]
  readonly #convNormOut: GroupNorm
  readonly #convOut: Conv2d

  /** Asks `weights` for everything that `config` needs; the caller lets the reader report what did not fit. */
  static create(config: UNet2DConditionConfig, weights: WeightCursor): UNet2DConditionModel {
    return new UNet2DConditionModel(config, weights)
  }

  private constructor(config: UNet2DConditionConfig, weights: WeightCursor) {
    const { levels, timeEmbedDim } = config
    const finest = levels[0]
    const coarsest = levels.at(-1)
    invariant(finest && coarsest, 'A UNet without levels')
    this.config = config
    this.#timeProjections = new JoinedLinear('time_emb_proj')
    this.#textKeyValues = new JoinedLinear('attn2.to_kv')
    const shared = { config, timeProjections: this.#timeProjections, textKeyValues: this.#textKeyValues }

    this.#convIn = new Conv2d(weights, 'conv_in', config.inChannels, finest.channels, config.convInKernel)
    this.#timeLinear1 = new Linear(weights, 'time_embedding.linear_1', finest.channels, timeEmbedDim)
    this.#timeLinear2 = new Linear(weights, 'time_embedding.linear_2', timeEmbedDim, timeEmbedDim)
    this.#downBlocks = levels.map((level, i) => {
      const inChannels = (levels[i - 1] ?? finest).channels
      return new DownBlock2D(
        weights.at('down_blocks').at(i),
        shared,
        level,
        inChannels,
        i < levels.length - 1,
      )
    })
    this.#midBlock = config.midBlock
      ? new UNetMidBlock2DCrossAttn(weights.at('mid_block'), shared, coarsest)
      : undefined
    this.#upBlocks = levels.toReversed().map((level, i) => {
      const inChannels = (levels[levels.length - i] ?? coarsest).channels
      const skipChannels = (levels[levels.length - 2 - i] ?? finest).channels
      const upsamples = i < levels.length - 1
      return new UpBlock2D(weights.at('up_blocks').at(i), shared, level, inChannels, skipChannels, upsamples)
    })
    this.#convNormOut = new GroupNorm(
      weights,
      'conv_norm_out',
      finest.channels,
      config.normNumGroups,
      config.normEps,
    )
    this.#convOut = new Conv2d(weights, 'conv_out', finest.channels, config.outChannels, config.convOutKernel)
    this.#layers = this.#describeLayers()
    this.crossAttentionLayers = [...this.#layers.values()]
  }

  /** Height and width of a latent must be multiples of this. */
  get sizeFactor(): number {
    return 2 ** (this.config.levels.length - 1)
  }

  /** ΣC: the columns of `timeProjections`. */
  get timeProjectionWidth(): number {
    return this.#timeProjections.width
  }

  /** Σ2C: the columns of `textKeyValues`. */
  get textKeyValueWidth(): number {
    return this.#textKeyValues.width
  }

  /** timeSinusoid [T, C0] (see `timestepSinusoid`) → timeProjections [T, ΣC]. */
  recordTimeProjections(steps: number): Graph {
    const b = new GraphBuilder('unet.timeProjections')
    const sinusoid = b.input('timeSinusoid', [steps, this.config.levels[0]?.channels ?? 0])
    let temb = this.#timeLinear1.forward(b, sinusoid)
    temb = b.silu('time_embedding.linear_1', temb)
    temb = this.#timeLinear2.forward(b, temb)
    // Each resnet of diffusers applies this SiLU itself, to the same values.
    temb = b.silu('time_embedding.linear_2', temb)
    b.output('timeProjections', this.#timeProjections.forward(b, temb))
    return b.build()
  }

  /** encoderHiddenStates [B, S, E] → textKeyValues [B, S, Σ2C]. */
  recordTextKeyValues(batch: number, textTokens: number): Graph {
    invariant(this.#textKeyValues.width > 0, 'This UNet has no layer that asks the text')
    const b = new GraphBuilder('unet.textKeyValues')
    const text = b.input('encoderHiddenStates', [batch, textTokens, this.config.crossAttentionDim])
    b.output('textKeyValues', this.#textKeyValues.forward(b, text))
    return b.build()
  }

  /**
   * sample [B, H, W, Cin], timeProjections [timeBatch, ΣC], textKeyValues [textBatch, S, Σ2C] → modelOutput
   * [B, H, W, Cout].
   * @throws AttuneError `bad-argument` when H or W is not a multiple of `sizeFactor` and `unevenSizes` is not set
   */
  recordDenoise(options: DenoiseOptions): Graph {
    const { batch, height, width, textTokens, capture, attentionControls, taps = false } = options
    const factor = this.sizeFactor
    // Without padding, diffusers' down-samplers lose an odd row, which doubling does not bring back.
    const uneven = options.unevenSizes === true && this.config.downsamplePadding > 0
    if (!uneven && (height % factor !== 0 || width % factor !== 0)) {
      throw new AttuneError(
        'bad-argument',
        `A latent of ${width}x${height} cannot be halved ${Math.log2(factor)} times evenly, as this model does.`,
        `Choose a width and height whose latent sizes are multiples of ${factor}.`,
      )
    }
    const b = new GraphBuilder('unet.denoise')
    const sample = b.input('sample', [batch, height, width, this.config.inChannels])
    const inputs: UNetInputs = {
      timeProjections: b.input('timeProjections', [options.timeBatch ?? 1, this.#timeProjections.width]),
      textKeyValues: b.input('textKeyValues', [
        options.textBatch ?? batch,
        textTokens,
        this.#textKeyValues.width,
      ]),
      extras: (attention, grid) => {
        const layer = this.#layerOf(attention)
        const extras = attentionControls?.cross?.(layer, b, grid) ?? {}
        return capture?.(layer.path) ? { ...extras, captureProbabilities: true } : extras
      },
      selfExtras: (attention, grid) => attentionControls?.self?.(attention.path, b, grid) ?? {},
      onCaptured: (attention, sums, grid) =>
        attentionControls?.captured?.(this.#layerOf(attention), b, sums, grid),
      onProbabilities: (attention, probabilities) =>
        b.output(`${attention.path}.probabilities`, probabilities),
    }
    const tap = (path: string, value: Tensor): void => {
      if (taps) b.output(path, value)
    }

    let hidden = this.#convIn.forward(b, sample)
    tap('conv_in', hidden)
    let residuals = [hidden]
    for (const block of this.#downBlocks) {
      hidden = block.forward(b, hidden, inputs, residuals)
      tap(block.path, hidden)
    }
    if (options.controlNetResiduals) residuals = residuals.map((each, i) => addResidual(b, each, i))
    if (this.#midBlock) {
      hidden = this.#midBlock.forward(b, hidden, inputs)
      tap(this.#midBlock.path, hidden)
    }
    if (options.controlNetResiduals) {
      hidden = b.add('mid_block', hidden, b.input('midBlockResidualSample', hidden.shape))
    }
    for (const block of this.#upBlocks) {
      hidden = block.forward(b, hidden, inputs, residuals)
      tap(block.path, hidden)
    }
    hidden = b.silu(this.#convNormOut.path, this.#convNormOut.forward(b, hidden))
    b.output('modelOutput', this.#convOut.forward(b, hidden))
    attentionControls?.finish?.(b)
    return b.build()
  }

  #layerOf(attention: CrossAttention): CrossAttentionLayer {
    const layer = this.#layers.get(attention)
    invariant(layer, `${attention.path} is not a layer of this UNet`)
    return layer
  }

  #describeLayers(): Map<CrossAttention, CrossAttentionLayer> {
    const layers = new Map<CrossAttention, CrossAttentionLayer>()
    const describe = (block: DownBlock2D | UNetMidBlock2DCrossAttn | UpBlock2D, level: number): void => {
      for (const attention of crossAttentionsOf(block)) {
        const { path, numHeads, headDim, keyColumns, valueColumns } = attention
        layers.set(attention, {
          path,
          numHeads,
          headDim,
          keyOffset: keyColumns.start,
          valueOffset: valueColumns.start,
          downsampleFactor: 2 ** level,
        })
      }
    }
    const coarsest = this.#downBlocks.length - 1
    for (const [i, block] of this.#downBlocks.entries()) describe(block, i)
    if (this.#midBlock) describe(this.#midBlock, coarsest)
    for (const [i, block] of this.#upBlocks.entries()) describe(block, coarsest - i)
    return layers
  }
}

function addResidual(b: GraphBuilder, residual: Tensor, index: number): Tensor {
  const name = `downBlockResidualSamples.${index}`
  return b.add(name, residual, b.input(name, residual.shape))
}
