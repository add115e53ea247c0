/**
 * Records a network's forward pass as a `Graph`. Modules call it as they would call torch.nn.functional; shapes are
 * checked while recording, and an error names the layer's weight path and both shapes.
 */
import { AttuneError } from '../contract/errors.ts'
import { elementCount, formatShape, lastAxis, sameShape, type Shape } from '../tensor/shape.ts'
import type { Activation, Graph, Op, Padding, Tensor, WeightData } from './ops.ts'

const noPadding: Padding = { top: 0, bottom: 0, left: 0, right: 0 }

export interface Conv2dOptions {
  readonly stride?: number
  /** The same padding on all sides, or diffusers' asymmetric one (0,1,0,1) of down-samplers. */
  readonly padding?: number | Padding
}

export interface AttentionOptions {
  readonly numHeads: number
  /** Factor on query·key; 1/√D when absent. */
  readonly softmaxScale?: number
  readonly causal?: boolean
  readonly logitBias?: Tensor
  readonly tokenScale?: Tensor
  readonly valueGain?: Tensor
  /** Also return the probabilities [B, N, L, S]. */
  readonly captureProbabilities?: boolean
}

export class GraphBuilder {
  readonly name: string
  #ops: Op[] = []
  #inputs = new Map<string, Tensor>()
  #outputs = new Map<string, Tensor>()
  #nextId = 0

  constructor(name: string) {
    this.name = name
  }

  /** Declares a value that the caller provides before each run. */
  input(name: string, shape: Shape): Tensor {
    if (this.#inputs.has(name)) throw new AttuneError('internal', `Graph input "${name}" was declared twice`)
    const tensor = this.#tensor(shape, name)
    this.#inputs.set(name, tensor)
    return tensor
  }

  /** Declares that the caller reads `tensor` after each run. */
  output(name: string, tensor: Tensor): void {
    if (this.#outputs.has(name))
      throw new AttuneError('internal', `Graph output "${name}" was declared twice`)
    this.#outputs.set(name, tensor)
  }

  /** x [..., K] · weight [N, K]ᵀ + bias [N] → [..., N]. */
  linear(path: string, x: Tensor, weight: WeightData, bias: WeightData | null): Tensor {
    return this.linearJoined(path, x, [weight], [bias])
  }

  /** Several linear layers of one input as one product: x [..., K], weights [Ni, K] → [..., ΣNi]. */
  linearJoined(
    path: string,
    x: Tensor,
    weights: readonly WeightData[],
    biases: readonly (WeightData | null)[],
  ): Tensor {
    const k = lastAxis(x.shape)
    let n = 0
    for (const [index, weight] of weights.entries()) {
      const columns = weight.shape[0] ?? 0
      if (weight.shape.length !== 2 || weight.shape[1] !== k) {
        this.#mismatch(path, `linear weight ${weight.path} ${formatShape(weight.shape)}`, x)
      }
      const bias = biases[index]
      if (bias && !sameShape(bias.shape, [columns])) {
        this.#mismatch(path, `bias ${bias.path} ${formatShape(bias.shape)} for ${columns} columns`, x)
      }
      n += columns
    }
    const y = this.#tensor([...x.shape.slice(0, -1), n], path)
    this.#ops.push({
      kind: 'linear',
      path,
      inputs: { x },
      outputs: { y },
      weights,
      biases,
      activation: 'none',
    })
    return y
  }

  /** x [B, H, W, C] ∗ weight [N, C, kh, kw] + bias [N] → [B, H', W', N]. */
  conv2d(
    path: string,
    x: Tensor,
    weight: WeightData,
    bias: WeightData | null,
    options: Conv2dOptions = {},
  ): Tensor {
    const stride = options.stride ?? 1
    const given = options.padding ?? 0
    const padding =
      typeof given === 'number' ? { top: given, bottom: given, left: given, right: given } : given
    const [batch, height, width, channels] = this.#image(path, x)
    const [n = 0, c, kh = 0, kw = 0] = weight.shape
    if (weight.shape.length !== 4 || c !== channels) {
      this.#mismatch(path, `conv weight ${weight.path} ${formatShape(weight.shape)}`, x)
    }
    if (bias && !sameShape(bias.shape, [n])) {
      this.#mismatch(path, `bias ${bias.path} ${formatShape(bias.shape)} for ${n} channels`, x)
    }
    const outHeight = Math.floor((height + padding.top + padding.bottom - kh) / stride) + 1
    const outWidth = Math.floor((width + padding.left + padding.right - kw) / stride) + 1
    if (outHeight < 1 || outWidth < 1) this.#mismatch(path, `a ${kh}x${kw} kernel that does not fit`, x)
    const y = this.#tensor([batch, outHeight, outWidth, n], path)
    this.#ops.push({
      kind: 'conv2d',
      path,
      inputs: { x },
      outputs: { y },
      weight,
      bias,
      stride,
      padding,
      upsample: 1,
      activation: 'none',
    })
    return y
  }

  /** x [B, ..., C] normalised in `groups` groups of channels over all positions. */
  groupNorm(
    path: string,
    x: Tensor,
    weight: WeightData,
    bias: WeightData,
    groups: number,
    eps: number,
  ): Tensor {
    const channels = lastAxis(x.shape)
    this.#vector(path, x, weight)
    this.#vector(path, x, bias)
    if (channels % groups !== 0) {
      this.#mismatch(path, `${groups} groups that do not divide ${channels} channels`, x)
    }
    const y = this.#tensor(x.shape, path)
    this.#ops.push({
      kind: 'groupNorm',
      path,
      inputs: { x },
      outputs: { y },
      weight,
      bias,
      groups,
      eps,
      activation: 'none',
    })
    return y
  }

  /** x [..., C] normalised over the last axis. */
  layerNorm(path: string, x: Tensor, weight: WeightData, bias: WeightData, eps: number): Tensor {
    this.#vector(path, x, weight)
    this.#vector(path, x, bias)
    const y = this.#tensor(x.shape, path)
    this.#ops.push({ kind: 'layerNorm', path, inputs: { x }, outputs: { y }, weight, bias, eps })
    return y
  }

  /** x [..., C] divided by its root mean square over the last axis. */
  rmsNorm(path: string, x: Tensor, weight: WeightData, eps: number): Tensor {
    this.#vector(path, x, weight)
    const y = this.#tensor(x.shape, path)
    this.#ops.push({ kind: 'rmsNorm', path, inputs: { x }, outputs: { y }, weight, eps })
    return y
  }

  /** The attention seam; see `AttentionOp`. query [B, L, N·D], key and value [B or 1, S, N·D] → [B, L, N·D]. */
  attention(
    path: string,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    options: AttentionOptions,
  ): { y: Tensor; probabilities?: Tensor } {
    const [batch = 0, length = 0, width = 0] = query.shape
    const [keyBatch = 0, keyLength = 0] = key.shape
    const fits =
      query.shape.length === 3 &&
      sameShape(key.shape, value.shape) &&
      key.shape[2] === width &&
      (keyBatch === batch || keyBatch === 1) &&
      width % options.numHeads === 0
    if (!fits) {
      this.#mismatch(
        path,
        `key ${formatShape(key.shape)}, value ${formatShape(value.shape)}, ${options.numHeads} heads`,
        query,
      )
    }
    const { logitBias, tokenScale, valueGain } = options
    const allow = (tensor: Tensor | undefined, role: string, shape: Shape): void => {
      if (!tensor) return
      const ok =
        tensor.shape.length === shape.length &&
        tensor.shape.every((size, axis) => size === shape[axis] || (size === 1 && axis < shape.length - 1))
      if (!ok)
        this.#mismatch(path, `${role} ${formatShape(tensor.shape)} instead of ${formatShape(shape)}`, query)
    }
    allow(logitBias, 'logitBias', [batch, length, keyLength])
    allow(tokenScale, 'tokenScale', [batch, keyLength])
    allow(valueGain, 'valueGain', [batch, keyLength])
    const y = this.#tensor(query.shape, path)
    const probabilities = options.captureProbabilities
      ? this.#tensor([batch, options.numHeads, length, keyLength], `${path}.probabilities`)
      : undefined
    this.#ops.push({
      kind: 'attention',
      path,
      inputs: {
        query,
        key,
        value,
        ...(logitBias && { logitBias }),
        ...(tokenScale && { tokenScale }),
        ...(valueGain && { valueGain }),
      },
      outputs: probabilities ? { y, probabilities } : { y },
      numHeads: options.numHeads,
      softmaxScale: options.softmaxScale ?? 1 / Math.sqrt(width / options.numHeads),
      causal: options.causal ?? false,
    })
    return probabilities ? { y, probabilities } : { y }
  }

  activation(path: string, x: Tensor, activation: Activation): Tensor {
    if (activation === 'none') return x
    const y = this.#tensor(x.shape, path)
    this.#ops.push({ kind: 'unary', path, inputs: { x }, outputs: { y }, activation })
    return y
  }

  silu(path: string, x: Tensor): Tensor {
    return this.activation(path, x, 'silu')
  }

  /** a + b; b has a's shape, or [1 or B, C] and is repeated over a's positions. */
  add(path: string, a: Tensor, b: Tensor): Tensor {
    return this.#binary(path, a, b, 'add')
  }

  /** a · b, element by element, with the broadcast of `add`. */
  mul(path: string, a: Tensor, b: Tensor): Tensor {
    return this.#binary(path, a, b, 'mul')
  }

  /** [..., 2C] → value · gelu(gate) [..., C]. */
  geglu(path: string, x: Tensor): Tensor {
    const columns = lastAxis(x.shape)
    if (columns % 2 !== 0) this.#mismatch(path, 'GEGLU, which needs an even number of columns', x)
    const y = this.#tensor([...x.shape.slice(0, -1), columns / 2], path)
    this.#ops.push({ kind: 'geglu', path, inputs: { x }, outputs: { y } })
    return y
  }

  /** Joins tensors of equal leading axes along the last axis. */
  concat(path: string, parts: readonly Tensor[]): Tensor {
    const first = parts[0]
    if (!first) throw new AttuneError('internal', `${path}: nothing to join`)
    const leading = first.shape.slice(0, -1)
    let channels = 0
    for (const part of parts) {
      if (!sameShape(part.shape.slice(0, -1), leading)) {
        this.#mismatch(path, `joining with ${formatShape(part.shape)}`, first)
      }
      channels += lastAxis(part.shape)
    }
    const y = this.#tensor([...leading, channels], path)
    const inputs = Object.fromEntries(parts.map((part, index) => [`part${index}`, part]))
    this.#ops.push({ kind: 'concat', path, inputs, outputs: { y } })
    return y
  }

  /** x[..., start : start + size]. */
  slice(path: string, x: Tensor, start: number, size: number): Tensor {
    if (start < 0 || size < 1 || start + size > lastAxis(x.shape)) {
      this.#mismatch(path, `the range ${start}..${start + size}`, x)
    }
    const y = this.#tensor([...x.shape.slice(0, -1), size], path)
    this.#ops.push({ kind: 'slice', path, inputs: { x }, outputs: { y }, start })
    return y
  }

  /** Other leading axes over the same rows: [B, H, W, C] ↔ [B, H·W, C]. */
  reshape(path: string, x: Tensor, shape: Shape): Tensor {
    if (elementCount(shape) !== elementCount(x.shape) || lastAxis(shape) !== lastAxis(x.shape)) {
      this.#mismatch(path, `the shape ${formatShape(shape)}`, x)
    }
    const y = this.#tensor(shape, path)
    this.#ops.push({ kind: 'reshape', path, inputs: { x }, outputs: { y } })
    return y
  }

  /**
   * Nearest neighbour: [B, H, W, C] → [B, 2H, 2W, C], or one less in either direction.
   * @param size of the result; twice that of x when absent
   */
  upsample(path: string, x: Tensor, size?: { readonly height: number; readonly width: number }): Tensor {
    const [batch, height, width, channels] = this.#image(path, x)
    const target = size ?? { height: 2 * height, width: 2 * width }
    if ((target.height + 1) >> 1 !== height || (target.width + 1) >> 1 !== width) {
      this.#mismatch(path, `doubling to ${target.height}x${target.width}`, x)
    }
    const y = this.#tensor([batch, target.height, target.width, channels], path)
    this.#ops.push({ kind: 'upsample', path, inputs: { x }, outputs: { y } })
    return y
  }

  /** Ends the recording. Operations that lead to no output are left out. */
  build(): Graph {
    if (this.#outputs.size === 0) throw new AttuneError('internal', `Graph "${this.name}" has no output`)
    const needed = new Set([...this.#outputs.values()].map(tensor => tensor.id))
    const ops: Op[] = []
    for (const op of this.#ops.toReversed()) {
      const outputs = Object.values(op.outputs as Record<string, Tensor>)
      if (!outputs.some(tensor => needed.has(tensor.id))) continue
      ops.push(op)
      for (const tensor of Object.values(op.inputs as Record<string, Tensor>)) needed.add(tensor.id)
    }
    return { name: this.name, ops: ops.toReversed(), inputs: this.#inputs, outputs: this.#outputs }
  }

  #binary(path: string, a: Tensor, b: Tensor, operator: 'add' | 'mul'): Tensor {
    const channels = lastAxis(a.shape)
    const broadcast =
      b.shape.length === 2 && b.shape[1] === channels && (b.shape[0] === 1 || b.shape[0] === a.shape[0])
    if (!sameShape(a.shape, b.shape) && !broadcast) {
      this.#mismatch(path, `${operator} with ${formatShape(b.shape)}`, a)
    }
    const y = this.#tensor(a.shape, path)
    this.#ops.push({ kind: 'binary', path, inputs: { a, b }, outputs: { y }, operator })
    return y
  }

  #tensor(shape: Shape, label: string): Tensor {
    return { id: this.#nextId++, shape, label }
  }

  #image(path: string, x: Tensor): [number, number, number, number] {
    const [batch, height, width, channels] = x.shape
    if (x.shape.length !== 4 || !batch || !height || !width || !channels) {
      this.#mismatch(path, 'an image operation, which needs [B, H, W, C]', x)
    }
    return [batch, height, width, channels]
  }

  #vector(path: string, x: Tensor, weight: WeightData): void {
    if (!sameShape(weight.shape, [lastAxis(x.shape)])) {
      this.#mismatch(path, `weight ${weight.path} ${formatShape(weight.shape)}`, x)
    }
  }

  #mismatch(path: string, what: string, x: Tensor): never {
    throw new AttuneError(
      'bad-model',
      `${path}: ${what} does not fit the input ${formatShape(x.shape)} from ${x.label}`,
      "The configuration and the weights do not belong together: check the model folder's config.json.",
    )
  }
}

export { noPadding }
