/** Convolutions over channels-last images, and the down- and up-samplers made of them (diffusers/models/resnet.py). */
import type { GraphBuilder } from '../graph/builder.ts'
import type { Padding, Tensor, WeightData } from '../graph/ops.ts'
import { pathOf, type WeightCursor } from './reader.ts'

export interface Conv2dLayerOptions {
  readonly stride?: number
  /** "Same" padding, (kernel - 1) / 2 on every side, when absent. */
  readonly padding?: number | Padding
}

/** x [B, H, W, C] → [B, H', W', N] with a square kernel. */
export class Conv2d {
  readonly path: string
  readonly weight: WeightData
  readonly bias: WeightData
  readonly #options: { readonly stride: number; readonly padding: number | Padding }

  constructor(
    weights: WeightCursor,
    name: string,
    inChannels: number,
    outChannels: number,
    kernelSize: number,
    options: Conv2dLayerOptions = {},
  ) {
    this.path = pathOf(weights, name)
    this.weight = weights.tensor(`${name}.weight`, [outChannels, inChannels, kernelSize, kernelSize])
    this.bias = weights.tensor(`${name}.bias`, [outChannels])
    this.#options = {
      stride: options.stride ?? 1,
      padding: options.padding ?? Math.floor((kernelSize - 1) / 2),
    }
  }

  forward(b: GraphBuilder, x: Tensor): Tensor {
    return b.conv2d(this.path, x, this.weight, this.bias, this.#options)
  }
}

/** diffusers pads only below and to the right where a down-sampler's configured padding is 0. */
const asymmetric: Padding = { top: 0, bottom: 1, left: 0, right: 1 }

/** Halves an image with a 3×3 convolution of stride 2: [B, H, W, C] → [B, H/2, W/2, C]. */
export class Downsample2D {
  readonly #conv: Conv2d

  constructor(weights: WeightCursor, channels: number, padding: number) {
    this.#conv = new Conv2d(weights, 'conv', channels, channels, 3, {
      stride: 2,
      padding: padding === 0 ? asymmetric : padding,
    })
  }

  forward(b: GraphBuilder, x: Tensor): Tensor {
    return this.#conv.forward(b, x)
  }
}

/**
 * Doubles an image by repeating pixels, then a 3×3 convolution: [B, H, W, C] → [B, 2H, 2W, C], or the given size, which
 * may be one less a side where the image had not halved evenly.
 */
export class Upsample2D {
  readonly #path: string
  readonly #conv: Conv2d

  constructor(weights: WeightCursor, channels: number) {
    this.#path = weights.path
    this.#conv = new Conv2d(weights, 'conv', channels, channels, 3)
  }

  forward(b: GraphBuilder, x: Tensor, size?: { readonly height: number; readonly width: number }): Tensor {
    return this.#conv.forward(b, b.upsample(this.#path, x, size))
  }
}
