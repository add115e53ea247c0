/**
 * The picture that guides, brought to the latents' size by convolutions (`ControlNetConditioningEmbedding` of
 * diffusers/models/controlnets/controlnet.py): any number of sizes, each after the first half of the one before.
 */
import type { GraphBuilder } from '../graph/builder.ts'
import type { Tensor } from '../graph/ops.ts'
import { Conv2d } from '../nn/conv.ts'
import type { WeightCursor } from '../nn/reader.ts'

/** RGB. */
export const hintChannels = 3

export class ConditioningEmbedding {
  readonly #convs: Conv2d[]
  readonly #convOut: Conv2d

  /**
   * @param channels of each size, from the picture's own
   * @param outChannels of the net's first layer
   */
  constructor(weights: WeightCursor, channels: readonly number[], outChannels: number) {
    const [first = 0] = channels
    const blocks = weights.at('blocks')
    this.#convs = [
      new Conv2d(weights, 'conv_in', hintChannels, first, 3),
      ...channels.slice(1).flatMap((wider, i) => {
        const narrower = channels[i] ?? first
        return [
          new Conv2d(blocks, String(2 * i), narrower, narrower, 3),
          new Conv2d(blocks, String(2 * i + 1), narrower, wider, 3, { stride: 2 }),
        ]
      }),
    ]
    this.#convOut = new Conv2d(weights, 'conv_out', channels.at(-1) ?? first, outChannels, 3)
  }

  /** hint [1, f·H, f·W, 3] → [1, H, W, C0]. */
  forward(b: GraphBuilder, hint: Tensor): Tensor {
    let hidden = hint
    for (const conv of this.#convs) hidden = b.silu(conv.path, conv.forward(b, hidden))
    return this.#convOut.forward(b, hidden)
  }
}
