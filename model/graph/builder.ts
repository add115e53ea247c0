/**
 * Records a network's forward pass as a `Graph`. Modules call it as they would call torch.nn.functional; shapes are
 * checked while recording, and an error names the layer's weight path and both shapes.
 */
import { AttuneError } from '../contract/errors.ts'
import { elementCount, formatShape, lastAxis, sameShape, type Shape } from '../tensor/shape.ts'
import {
  type AttentionOptions,
  type AttentionResult,
  attentionInputs,
  canCapture,
} from './attention-options.ts'
import {
  type Activation,
  type AttentionOp,
  type AttentionSource,
  type Graph,
  type GraphState,
  type Op,
  opsLeadingTo,
  type Padding,
  type Tensor,
  type WeightData,
} from './ops.ts'

export interface Conv2dOptions {
  readonly stride?: number
  /** The same padding on all sides, or diffusers' asymmetric one (0,1,0,1) of down-samplers. */
  readonly padding?: number | Padding
}

export class GraphBuilder {
  readonly name: string
  #ops: Op[] = []
  #inputs = new Map<string, Tensor>()
  #outputs = new Map<string, Tensor>()
  #states = new Map<string, GraphState>()
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

  /** Declares a value that stays with the program, zero at first: `next` makes its new value from the one before. */
  state(name: string, shape: Shape, next: (before: Tensor) => Tensor): Tensor {
    if (this.#states.has(name)) throw new AttuneError('internal', `Graph state "${name}" was declared twice`)
    const before = this.#tensor(shape, name)
    const after = next(before)
    if (!sameShape(after.shape, shape)) this.#mismatch(name, `a state of ${formatShape(shape)}`, after)
    this.#states.set(name, { before, after })
    return after
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

  /**
   * Mean and variance of `groups` groups of channels over every row: x [B, H, W, C], columnWeights [W, 1] →
   * [B, H, 2 · groups]; see `RowMomentsOp`.
   */
  rowMoments(path: string, x: Tensor, columnWeights: Tensor, groups: number): Tensor {
    const [batch, height, width, channels] = this.#image(path, x)
    if (channels % groups !== 0) {
      this.#mismatch(path, `${groups} groups that do not divide ${channels} channels`, x)
    }
    if (!sameShape(columnWeights.shape, [width, 1])) {
      this.#mismatch(path, `weights ${formatShape(columnWeights.shape)} for ${width} columns`, x)
    }
    const y = this.#tensor([batch, height, 2 * groups], path)
    this.#ops.push({ kind: 'rowMoments', path, inputs: { x, columnWeights }, outputs: { y }, groups })
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
  ): AttentionResult {
    const [batch = 0, length = 0, width = 0] = query.shape
    const [, keyLength = 0] = key.shape
    const inputs = attentionInputs(query, key, value, options, (what, tensor) =>
      this.#mismatch(path, what, tensor),
    )
    const { numHeads, sources, capture } = options
    const y = this.#tensor(query.shape, path)
    const probabilities = options.captureProbabilities
      ? this.#tensor([batch, numHeads, length, keyLength], `${path}.probabilities`)
      : undefined
    const record = (captured: AttentionOp['outputs']['captured']): void => {
      this.#ops.push({
        kind: 'attention',
        path,
        inputs,
        outputs: { y, ...(probabilities && { probabilities }), ...(captured && { captured }) },
        numHeads,
        softmaxScale: options.softmaxScale ?? 1 / Math.sqrt(width / numHeads),
        causal: options.causal ?? false,
        ...(sources && { sources }),
        ...(options.keysFollowQuery && { keysFollowQuery: true }),
        ...(capture && { captureSamples: capture.samples }),
      })
    }
    if (!capture) {
      record(undefined)
      return probabilities ? { y, probabilities } : { y }
    }
    const { tokens, samples } = capture
    if (!canCapture(capture, batch)) {
      const what = `capture of ${formatShape(tokens.shape)} tokens of samples ${samples.join(', ')}`
      this.#mismatch(path, what, query)
    }
    const shape = [samples.length, numHeads, length, lastAxis(tokens.shape)]
    const captured = this.state(`${path}.captured`, shape, before => {
      inputs.captureTokens = tokens
      inputs.accumulated = before
      const after = this.#tensor(shape, `${path}.captured`)
      record(after)
      return after
    })
    return { y, captured, ...(probabilities && { probabilities }) }
  }

  /** The largest logit of each sample: see `AttentionPeakOp`. query [B, L, N·D], key [B or 1, S, N·D] → [B, 1]. */
  attentionPeak(
    path: string,
    query: Tensor,
    key: Tensor,
    options: { readonly numHeads: number; readonly softmaxScale?: number; readonly source?: AttentionSource },
  ): Tensor {
    const [batch = 0, , width = 0] = query.shape
    const y = this.#tensor([batch, 1], `${path}.peak`)
    this.#ops.push({
      kind: 'attentionPeak',
      path,
      inputs: { query, key },
      outputs: { y },
      numHeads: options.numHeads,
      softmaxScale: options.softmaxScale ?? 1 / Math.sqrt(width / options.numHeads),
      source: options.source ?? { start: 0, length: key.shape[1] ?? 0 },
    })
    return y
  }

  /** What one position looks at: see `AttentionRowOp`. query [B, L, N·D], key [B, S, N·D], position [1, 1] → [1, S]. */
  attentionRow(
    path: string,
    query: Tensor,
    key: Tensor,
    position: Tensor,
    options: { readonly numHeads: number; readonly softmaxScale?: number; readonly sample: number },
  ): Tensor {
    const [, , width = 0] = query.shape
    const y = this.#tensor([1, key.shape[1] ?? 0], `${path}.row`)
    this.#ops.push({
      kind: 'attentionRow',
      path,
      inputs: { query, key, position },
      outputs: { y },
      numHeads: options.numHeads,
      softmaxScale: options.softmaxScale ?? 1 / Math.sqrt(width / options.numHeads),
      sample: options.sample,
    })
    return y
  }

  /** addend + mean over the second axis: [C, N, L, T] → [C, L, T]. */
  headMean(path: string, x: Tensor, addend?: Tensor): Tensor {
    const [samples = 0, , length = 0, tokens = 0] = x.shape
    const shape = [samples, length, tokens]
    if (x.shape.length !== 4 || (addend && !sameShape(addend.shape, shape))) {
      this.#mismatch(path, `headMean with ${addend ? formatShape(addend.shape) : 'nothing'}`, x)
    }
    const y = this.#tensor(shape, path)
    this.#ops.push({ kind: 'headMean', path, inputs: { x, ...(addend && { addend }) }, outputs: { y } })
    return y
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

  /** Ends the recording. Operations that lead to no output and no state are left out. */
  build(): Graph {
    if (this.#outputs.size === 0) throw new AttuneError('internal', `Graph "${this.name}" has no output`)
    const kept = [...this.#outputs.values(), ...[...this.#states.values()].map(state => state.after)]
    return {
      name: this.name,
      ops: opsLeadingTo(kept, this.#ops),
      inputs: this.#inputs,
      outputs: this.#outputs,
      ...(this.#states.size > 0 && { states: this.#states }),
    }
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
