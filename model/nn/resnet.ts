/** The residual block of UNet and VAE (diffusers/models/resnet.py, `ResnetBlock2D`). */
import type { GraphBuilder } from '../graph/builder.ts'
import type { Tensor } from '../graph/ops.ts'
import { Conv2d } from './conv.ts'
import { type ColumnRange, type JoinedLinear, Linear } from './linear.ts'
import { GroupNorm } from './norm.ts'
import type { WeightCursor } from './reader.ts'

export interface ResnetBlock2DOptions {
  readonly inChannels: number
  readonly outChannels: number
  readonly groups: number
  readonly eps: number
  /** For networks with a time embedding of `tembChannels`: where `time_emb_proj` joins those of the other blocks. */
  readonly time?: { readonly tembChannels: number; readonly projections: JoinedLinear }
}

/** x + conv(silu(norm(conv(silu(norm x)) + time))): [B, H, W, C] → [B, H, W, C']. */
export class ResnetBlock2D {
  readonly path: string
  readonly #norm1: GroupNorm
  readonly #conv1: Conv2d
  readonly #norm2: GroupNorm
  readonly #conv2: Conv2d
  readonly #convShortcut: Linear | undefined
  readonly #timeColumns: ColumnRange | undefined

  constructor(weights: WeightCursor, options: ResnetBlock2DOptions) {
    const { inChannels, outChannels, groups, eps, time } = options
    this.path = weights.path
    this.#norm1 = new GroupNorm(weights, 'norm1', inChannels, groups, eps)
    this.#conv1 = new Conv2d(weights, 'conv1', inChannels, outChannels, 3)
    this.#timeColumns = time?.projections.add(
      new Linear(weights, 'time_emb_proj', time.tembChannels, outChannels),
    )
    this.#norm2 = new GroupNorm(weights, 'norm2', outChannels, groups, eps)
    this.#conv2 = new Conv2d(weights, 'conv2', outChannels, outChannels, 3)
    // A 1×1 convolution, and only where the number of channels changes.
    this.#convShortcut =
      inChannels === outChannels ? undefined : new Linear(weights, 'conv_shortcut', inChannels, outChannels)
  }

  /**
   * @param x [B, H, W, C]
   * @param timeProjections [1 or B, ΣC'] of all blocks, for networks with a time embedding
   */
  forward(b: GraphBuilder, x: Tensor, timeProjections?: Tensor): Tensor {
    let hidden = b.silu(this.#norm1.path, this.#norm1.forward(b, x))
    hidden = this.#conv1.forward(b, hidden)
    if (this.#timeColumns && timeProjections) {
      const { start, size } = this.#timeColumns
      const time = b.slice(`${this.path}.time_emb_proj`, timeProjections, start, size)
      hidden = b.add(`${this.path}.conv1`, hidden, time)
    }
    hidden = b.silu(this.#norm2.path, this.#norm2.forward(b, hidden))
    hidden = this.#conv2.forward(b, hidden)
    return b.add(this.path, hidden, this.#convShortcut ? this.#convShortcut.forward(b, x) : x)
  }
}
