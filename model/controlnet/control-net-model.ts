/**
 * ControlNet (Zhang et al. 2023; diffusers/models/controlnets/controlnet.py): a copy of the UNet's encoder and middle
 * that also sees a picture, and says what to add to each of the tensors that the decoder asks for. Recorded as four
 * graphs, as the UNet is as three (D5):
 *
 *   time projections        once a schedule   timeSinusoid [T, C0]          → timeProjections [T, ΣC]
 *   text keys/values        once a prompt     encoderHiddenStates [B, S, E] → textKeyValues [B, S, Σ2C]
 *   conditioning embedding  once a picture    hint [1, f·H, f·W, 3]         → hintEmbedding [1, H, W, C0]
 *   denoise                 every step        sample [B, H, W, Cin]         → a residual for each slot
 *
 * Slots are numbered from the first layer to the middle. Their tensors have the names of the UNet's inputs.
 */
import { invariant } from '../contract/errors.ts'
import { GraphBuilder } from '../graph/builder.ts'
import type { Graph, Tensor } from '../graph/ops.ts'
import { Conv2d } from '../nn/conv.ts'
import { JoinedLinear, Linear } from '../nn/linear.ts'
import type { WeightCursor } from '../nn/reader.ts'
import type { TransformerInputs } from '../nn/transformer.ts'
import { ConditioningEmbedding, hintChannels } from './conditioning-embedding.ts'
import type { ControlNetFacts } from './config.ts'

/** What is asked of the configuration of an encoder: the UNet's has it. */
export interface EncoderConfig {
  readonly inChannels: number
  readonly timeEmbedDim: number
  readonly crossAttentionDim: number
  readonly convInKernel: number
  readonly levels: readonly { readonly channels: number; readonly layersPerBlock: number }[]
  readonly flipSinToCos: boolean
  readonly freqShift: number
}

/** What the blocks of one net share while it is built. */
export interface EncoderShared<C extends EncoderConfig> {
  readonly config: C
  readonly timeProjections: JoinedLinear
  readonly textKeyValues: JoinedLinear
}

export interface EncoderInputs extends TransformerInputs {
  readonly timeProjections: Tensor
}

export interface EncoderBlock {
  readonly forward: (b: GraphBuilder, x: Tensor, inputs: EncoderInputs, residuals: Tensor[]) => Tensor
}

/** The UNet's own blocks, which a net shares: handed in, since rooms on one floor do not know each other. */
export interface EncoderModules<C extends EncoderConfig> {
  readonly DownBlock: new (
    weights: WeightCursor,
    shared: EncoderShared<C>,
    level: C['levels'][number],
    inChannels: number,
    downsamples: boolean,
  ) => EncoderBlock
  readonly MidBlock: new (
    weights: WeightCursor,
    shared: EncoderShared<C>,
    level: C['levels'][number],
  ) => EncoderBlock
}

export interface ControlDenoiseOptions {
  /** B: the rows that the guide acts on. */
  readonly batch: number
  /** Of the latents. */
  readonly height: number
  readonly width: number
  /** S */
  readonly textTokens: number
}

/** The name of a slot's residual, as an output here and an input of the UNet. */
export function slotName(slot: number, count: number): string {
  return slot === count - 1 ? 'midBlockResidualSample' : `downBlockResidualSamples.${slot}`
}

export class ControlNetModel {
  /** What messages call it. */
  readonly name: string
  readonly config: EncoderConfig
  readonly facts: ControlNetFacts
  /** C of each slot. */
  readonly slotChannels: readonly number[]
  readonly #timeLinear1: Linear
  readonly #timeLinear2: Linear
  readonly #timeProjections = new JoinedLinear('time_emb_proj')
  readonly #textKeyValues = new JoinedLinear('attn2.to_kv')
  readonly #embedding: ConditioningEmbedding
  readonly #convIn: Conv2d
  readonly #downBlocks: readonly EncoderBlock[]
  readonly #midBlock: EncoderBlock
  /** The "zero convolutions". */
  readonly #taps: readonly Linear[]

  /** Asks `weights` for everything; the caller lets the reader report what did not fit. */
  static create<C extends EncoderConfig>(
    name: string,
    config: C,
    facts: ControlNetFacts,
    weights: WeightCursor,
    modules: EncoderModules<C>,
  ): ControlNetModel {
    return new ControlNetModel(name, config, facts, weights, modules as EncoderModules<EncoderConfig>)
  }

  private constructor(
    name: string,
    config: EncoderConfig,
    facts: ControlNetFacts,
    weights: WeightCursor,
    { DownBlock, MidBlock }: EncoderModules<EncoderConfig>,
  ) {
    const { levels, timeEmbedDim } = config
    const [finest, coarsest] = [levels[0], levels.at(-1)]
    invariant(finest && coarsest, 'A ControlNet without levels')
    this.name = name
    this.config = config
    this.facts = facts
    const shared = { config, timeProjections: this.#timeProjections, textKeyValues: this.#textKeyValues }
    this.#convIn = new Conv2d(weights, 'conv_in', config.inChannels, finest.channels, config.convInKernel)
    this.#timeLinear1 = new Linear(weights, 'time_embedding.linear_1', finest.channels, timeEmbedDim)
    this.#timeLinear2 = new Linear(weights, 'time_embedding.linear_2', timeEmbedDim, timeEmbedDim)
    this.#embedding = new ConditioningEmbedding(
      weights.at('controlnet_cond_embedding'),
      facts.embeddingChannels,
      finest.channels,
    )
    this.#downBlocks = levels.map((level, i) => {
      const inChannels = (levels[i - 1] ?? finest).channels
      return new DownBlock(weights.at('down_blocks').at(i), shared, level, inChannels, i < levels.length - 1)
    })
    this.#midBlock = new MidBlock(weights.at('mid_block'), shared, coarsest)
    this.slotChannels = slotChannelsOf(levels)
    const down = this.slotChannels.slice(0, -1)
    this.#taps = [
      ...down.map((channels, i) => new Linear(weights, `controlnet_down_blocks.${i}`, channels, channels)),
      new Linear(weights, 'controlnet_mid_block', coarsest.channels, coarsest.channels),
    ]
  }

  /** Pixels of the hint to one latent, along a side. */
  get hintFactor(): number {
    return 2 ** (this.facts.embeddingChannels.length - 1)
  }

  /** ΣC: the columns of `timeProjections`. */
  get timeProjectionWidth(): number {
    return this.#timeProjections.width
  }

  /** timeSinusoid [T, C0] → timeProjections [T, ΣC]. */
  recordTimeProjections(steps: number): Graph {
    const b = new GraphBuilder('controlnet.timeProjections')
    const sinusoid = b.input('timeSinusoid', [steps, this.config.levels[0]?.channels ?? 0])
    let temb = b.silu('time_embedding.linear_1', this.#timeLinear1.forward(b, sinusoid))
    temb = b.silu('time_embedding.linear_2', this.#timeLinear2.forward(b, temb))
    b.output('timeProjections', this.#timeProjections.forward(b, temb))
    return b.build()
  }

  /** encoderHiddenStates [B, S, E] → textKeyValues [B, S, Σ2C]. */
  recordTextKeyValues(batch: number, textTokens: number): Graph {
    const b = new GraphBuilder('controlnet.textKeyValues')
    const text = b.input('encoderHiddenStates', [batch, textTokens, this.config.crossAttentionDim])
    b.output('textKeyValues', this.#textKeyValues.forward(b, text))
    return b.build()
  }

  /** hint [1, f·H, f·W, 3], 0 to 1 → hintEmbedding [1, H, W, C0]. */
  recordHint(height: number, width: number): Graph {
    const b = new GraphBuilder('controlnet.hint')
    const factor = this.hintFactor
    const hint = b.input('hint', [1, height * factor, width * factor, hintChannels])
    b.output('hintEmbedding', this.#embedding.forward(b, hint))
    return b.build()
  }

  /**
   * sample [B, H, W, Cin], hintEmbedding [B, H, W, C0], timeProjections [1, ΣC], textKeyValues [B, S, Σ2C], slotScales
   * [1, ΣC of the slots] → `slotName(i)` [B, h, w, C] for each slot. Odd sizes are halved up, as the UNet's.
   */
  recordDenoise({ batch, height, width, textTokens }: ControlDenoiseOptions): Graph {
    const { levels, inChannels } = this.config
    const b = new GraphBuilder('controlnet.denoise')
    const sample = b.input('sample', [batch, height, width, inChannels])
    const hint = b.input('hintEmbedding', [batch, height, width, levels[0]?.channels ?? 0])
    const total = this.slotChannels.reduce((sum, each) => sum + each, 0)
    const scales = b.input('slotScales', [1, total])
    const inputs: EncoderInputs = {
      timeProjections: b.input('timeProjections', [1, this.#timeProjections.width]),
      textKeyValues: b.input('textKeyValues', [batch, textTokens, this.#textKeyValues.width]),
    }
    let hidden = b.add('conv_in', this.#convIn.forward(b, sample), hint)
    const slots = [hidden]
    for (const block of this.#downBlocks) hidden = block.forward(b, hidden, inputs, slots)
    slots.push(this.#midBlock.forward(b, hidden, inputs, []))
    let column = 0
    for (const [i, tap] of this.#taps.entries()) {
      const channels = this.slotChannels[i] ?? 0
      const slot = slots[i]
      invariant(slot, `slot ${i} of the ControlNet`)
      const name = slotName(i, this.#taps.length)
      const scale = b.slice(`${name}.scale`, scales, column, channels)
      b.output(name, b.mul(name, tap.forward(b, slot), scale))
      column += channels
    }
    return b.build()
  }

  /** The factors of the slots as `slotScales`, [1, ΣC]. */
  slotScales(factors: readonly number[]): Float32Array {
    return Float32Array.from(
      this.slotChannels.flatMap((channels, i) => Array<number>(channels).fill(factors[i] ?? 1)),
    )
  }
}

/** C of each slot: the first layer, each resnet and down-sampler, the middle. */
export function slotChannelsOf(levels: EncoderConfig['levels']): number[] {
  const down = levels.flatMap(({ channels, layersPerBlock }, i) =>
    Array<number>(layersPerBlock + (i < levels.length - 1 ? 1 : 0)).fill(channels),
  )
  return [levels[0]?.channels ?? 0, ...down, levels.at(-1)?.channels ?? 0]
}
