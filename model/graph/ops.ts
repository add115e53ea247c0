/**
 * The operations of a recorded graph. Plain data: fusion passes rewrite it, the memory planner measures it, the
 * interpreter (the oracle), the WGSL kernels and the ONNX emitter each execute or translate it.
 *
 * Every tensor is dense and row-major with the axes named in `tensor/shape.ts`. Shapes are concrete: a graph is
 * recorded for one network and one set of shapes.
 */
import type { ByteSource } from '../contract/bytes.ts'
import { elementCount, type Shape } from '../tensor/shape.ts'

/** A value that flows through the graph. Identity is `id`; `label` is the path of the layer that made it. */
export interface Tensor {
  readonly id: number
  readonly shape: Shape
  readonly label: string
}

/**
 * Where the numbers of one weight lie. The path is the checkpoint's key and the layer's name everywhere (D6).
 * Shapes are PyTorch's: linear [N, K], conv [N, C, kh, kw], vectors [C].
 */
export interface WeightData {
  readonly path: string
  readonly dtype: 'F32' | 'F16' | 'BF16'
  readonly shape: Shape
  readonly source: ByteSource
  readonly byteOffset: number
  readonly byteLength: number
}

export type Activation = 'none' | 'silu' | 'gelu' | 'quick_gelu'

/** Zero padding of an image, in pixels. */
export interface Padding {
  readonly top: number
  readonly bottom: number
  readonly left: number
  readonly right: number
}

interface OpBase {
  /** The layer's weight path without the suffix, such as `down_blocks.0.resnets.0.conv1`. */
  readonly path: string
}

/**
 * y = activation(x · concat(weights)ᵀ + concat(biases)) + residual.
 * x [..., K], each weight [Ni, K] → y [..., ΣNi]. With `geglu` the columns are split in halves (value, gate) and
 * y = value · gelu(gate) has ΣNi / 2 columns.
 */
export interface LinearOp extends OpBase {
  readonly kind: 'linear'
  readonly inputs: { readonly x: Tensor; readonly residual?: Tensor }
  readonly outputs: { readonly y: Tensor }
  readonly weights: readonly WeightData[]
  /** One entry a weight; null where that product has no bias. */
  readonly biases: readonly (WeightData | null)[]
  readonly activation: Activation | 'geglu'
}

/**
 * y = activation(conv(upsample(x)) + bias + batchBias) + residual + linear(shortcut).
 * x [B, H, W, C], weight [N, C, kh, kw], batchBias [1 or B, N], shortcut [B, H', W', C'] → y [B, H', W', N]. Padding
 * is applied after the nearest-neighbour up-sampling by `upsample`.
 */
export interface Conv2dOp extends OpBase {
  readonly kind: 'conv2d'
  readonly inputs: {
    readonly x: Tensor
    readonly residual?: Tensor
    readonly batchBias?: Tensor
    /** What `conv_shortcut` reads; present with the field `shortcut`, and then `activation` is 'none'. */
    readonly shortcut?: Tensor
  }
  readonly outputs: { readonly y: Tensor }
  readonly weight: WeightData
  readonly bias: WeightData | null
  readonly stride: number
  readonly padding: Padding
  readonly upsample: 1 | 2
  readonly activation: Activation
  /** A residual block's 1×1 shortcut, computed into the same sums: weight [N, C'], bias [N]. */
  readonly shortcut?: { readonly path: string; readonly weight: WeightData; readonly bias: WeightData | null }
}

/** Group normalisation over [B, ..., C] with biased variance, then the activation (Wu & He 2018). */
export interface GroupNormOp extends OpBase {
  readonly kind: 'groupNorm'
  readonly inputs: { readonly x: Tensor }
  readonly outputs: { readonly y: Tensor }
  readonly weight: WeightData
  readonly bias: WeightData
  readonly groups: number
  readonly eps: number
  readonly activation: 'none' | 'silu'
}

/**
 * Mean and biased variance of each group of channels over every row of an image: what a group norm of a picture in
 * tiles is put together from. x [B, H, W, C], columnWeights [W, 1] → y [B, H, 2G], the means and then the variances of
 * the G groups over the W · C/G elements of a row, each column with its weight. y is f32 on every device.
 */
export interface RowMomentsOp extends OpBase {
  readonly kind: 'rowMoments'
  readonly inputs: { readonly x: Tensor; readonly columnWeights: Tensor }
  readonly outputs: { readonly y: Tensor }
  readonly groups: number
}

/** Layer normalisation over the last axis (Ba et al. 2016). */
export interface LayerNormOp extends OpBase {
  readonly kind: 'layerNorm'
  readonly inputs: { readonly x: Tensor }
  readonly outputs: { readonly y: Tensor }
  readonly weight: WeightData
  readonly bias: WeightData
  readonly eps: number
}

/** Root-mean-square normalisation over the last axis, without centring (Zhang & Sennrich 2019). */
export interface RmsNormOp extends OpBase {
  readonly kind: 'rmsNorm'
  readonly inputs: { readonly x: Tensor }
  readonly outputs: { readonly y: Tensor }
  readonly weight: WeightData
  readonly eps: number
}

/**
 * Scaled dot-product attention (Vaswani et al. 2017), the one seam where Attune listens and steers (D4).
 *
 *   logits   = softmaxScale · query · keyᵀ + biasScale · logitBias    [B, N, L, S]
 *   P        = softmax over each source's own tokens (causal: keys after the query's position are left out)
 *   P'       = P · tokenScale                                         (prompt-to-prompt's reweighting, not renormalised)
 *   output   = Σ_sources outputMask · P' · (valueGain · value)
 *   captured = accumulated + P'[chosen samples, all heads, all positions, chosen tokens]
 *
 * Every input but query, key and value is optional data. One that is absent costs nothing, neutral data (0, 1, 1, 1)
 * changes no bit, and the masks of padding and isolation are large negative numbers in `logitBias`.
 */
export interface AttentionOp extends OpBase {
  readonly kind: 'attention'
  readonly inputs: AttentionInputs
  readonly outputs: {
    /** [B, L, N·D]. */
    readonly y: Tensor
    /** P' of all sources, [B, N, L, S]; present when everything is to be seen. */
    readonly probabilities?: Tensor
    /** [C, N, L, T]; present with `inputs.accumulated`. */
    readonly captured?: Tensor
  }
  readonly numHeads: number
  readonly softmaxScale: number
  readonly causal: boolean
  /**
   * Runs of tokens with a softmax of their own: texts of regions, image prompts, a coupled prompt. Tokens between runs
   * are nobody's. One run over all tokens when absent.
   */
  readonly sources?: readonly AttentionSource[]
  /** With `querySample`: the keys, too, are those of the other sample. Self-attention, where both are the picture's. */
  readonly keysFollowQuery?: boolean
  /** The samples that `captured` holds, in order. */
  readonly captureSamples?: readonly number[]
}

export interface AttentionSource {
  /** The first token; a multiple of 4, for tokens are moved as vec4s. */
  readonly start: number
  readonly length: number
}

export interface AttentionInputs {
  /** [B, L, N·D]. */
  readonly query: Tensor
  /** [B or 1, S, N·D]. */
  readonly key: Tensor
  /** [B or 1, S, N·D]. */
  readonly value: Tensor
  /** Added to the logits after the softmax scale: [B or 1, L or 1, S]. */
  readonly logitBias?: Tensor
  /** Factor on a sample's logitBias: [B, 1]. */
  readonly biasScale?: Tensor
  /** Factor on each token's probability after the softmax: [B or 1, S]. */
  readonly tokenScale?: Tensor
  /** Factor on each token's value vector: [B or 1, S]. */
  readonly valueGain?: Tensor
  /** Factor on what each of G sources brings to a position: [B or 1, L or 1, G]. */
  readonly outputMask?: Tensor
  /** The sample whose queries a sample asks each of G sources with: [B, G], whole numbers. Its own when absent. */
  readonly querySample?: Tensor
  /** The T tokens that are captured: [1, T], whole numbers; a negative one captures nothing. */
  readonly captureTokens?: Tensor
  /** What was captured before: [C, N, L, T]. */
  readonly accumulated?: Tensor
}

/** The sources of an attention, also where there is only the one. */
export function sourcesOf(op: AttentionOp): readonly AttentionSource[] {
  return op.sources ?? [{ start: 0, length: op.inputs.key.shape[1] ?? 0 }]
}

/**
 * y[b] = max over heads, queries and keys of softmaxScale · query · keyᵀ: [B, 1]. What paint-with-words measures its
 * bias in. query [B, L, N·D], key [B or 1, S, N·D]; the keys of `source` only.
 */
export interface AttentionPeakOp extends OpBase {
  readonly kind: 'attentionPeak'
  readonly inputs: { readonly query: Tensor; readonly key: Tensor }
  readonly outputs: { readonly y: Tensor }
  readonly numHeads: number
  readonly softmaxScale: number
  readonly source: AttentionSource
}

/**
 * One row of an attention's probabilities, averaged over heads: y[0, s] = mean_n softmax_s(softmaxScale ·
 * query[sample, position, n] · key[sample, s, n]ᵀ), [1, S]. "What does this spot look at."
 * `position` is [1, 1], a whole number.
 */
export interface AttentionRowOp extends OpBase {
  readonly kind: 'attentionRow'
  readonly inputs: { readonly query: Tensor; readonly key: Tensor; readonly position: Tensor }
  readonly outputs: { readonly y: Tensor }
  readonly numHeads: number
  readonly softmaxScale: number
  readonly sample: number
}

/** y = addend + mean over heads of x: [C, N, L, T] → [C, L, T]. Running maps of several layers of one grid. */
export interface HeadMeanOp extends OpBase {
  readonly kind: 'headMean'
  readonly inputs: { readonly x: Tensor; readonly addend?: Tensor }
  readonly outputs: { readonly y: Tensor }
}

/** y = activation(x), same shape. */
export interface UnaryOp extends OpBase {
  readonly kind: 'unary'
  readonly inputs: { readonly x: Tensor }
  readonly outputs: { readonly y: Tensor }
  readonly activation: Exclude<Activation, 'none'>
}

/**
 * y = a + b or a · b. b has a's shape, or [1 or B, C] against a [B, ..., C] and is then repeated over positions.
 */
export interface BinaryOp extends OpBase {
  readonly kind: 'binary'
  readonly inputs: { readonly a: Tensor; readonly b: Tensor }
  readonly outputs: { readonly y: Tensor }
  readonly operator: 'add' | 'mul'
}

/** y = value · gelu(gate) for x = [value | gate] along the last axis: [..., 2C] → [..., C] (Shazeer 2020). */
export interface GegluOp extends OpBase {
  readonly kind: 'geglu'
  readonly inputs: { readonly x: Tensor }
  readonly outputs: { readonly y: Tensor }
}

/** Joins tensors along the last axis: inputs are part0, part1, … */
export interface ConcatOp extends OpBase {
  readonly kind: 'concat'
  readonly inputs: Readonly<Record<string, Tensor>>
  readonly outputs: { readonly y: Tensor }
}

/** A range of the last axis: y = x[..., start : start + y.shape[-1]]. Free: a view. */
export interface SliceOp extends OpBase {
  readonly kind: 'slice'
  readonly inputs: { readonly x: Tensor }
  readonly outputs: { readonly y: Tensor }
  readonly start: number
}

/** The same elements under other leading axes; the last axis stays. Free: a view. */
export interface ReshapeOp extends OpBase {
  readonly kind: 'reshape'
  readonly inputs: { readonly x: Tensor }
  readonly outputs: { readonly y: Tensor }
}

/**
 * Nearest-neighbour up-sampling by two: [B, H, W, C] → [B, 2H, 2W, C]. Either side of the result may be one less, for
 * images that did not halve evenly: y[i, j] = x[floor(i / 2), floor(j / 2)], which is what PyTorch's interpolation to
 * that size gives.
 */
export interface UpsampleOp extends OpBase {
  readonly kind: 'upsample'
  readonly inputs: { readonly x: Tensor }
  readonly outputs: { readonly y: Tensor }
}

export type Op =
  | LinearOp
  | Conv2dOp
  | GroupNormOp
  | RowMomentsOp
  | LayerNormOp
  | RmsNormOp
  | AttentionOp
  | AttentionPeakOp
  | AttentionRowOp
  | HeadMeanOp
  | UnaryOp
  | BinaryOp
  | GegluOp
  | ConcatOp
  | SliceOp
  | ReshapeOp
  | UpsampleOp

export type OpKind = Op['kind']

/** A recorded network: operations in execution order, with its named inputs and outputs. */
export interface Graph {
  readonly name: string
  readonly ops: readonly Op[]
  /** Values that the caller provides before each run. */
  readonly inputs: ReadonlyMap<string, Tensor>
  /** Values that the caller reads after each run. */
  readonly outputs: ReadonlyMap<string, Tensor>
  /** Values that stay with the program from run to run, zero at first: read as `before`, left as `after`. */
  readonly states?: ReadonlyMap<string, GraphState>
}

export interface GraphState {
  readonly before: Tensor
  readonly after: Tensor
}

/** The tensors that an operation reads. */
export function inputsOf(op: Op): Tensor[] {
  return Object.values(op.inputs as Readonly<Record<string, Tensor | undefined>>).filter(
    tensor => tensor !== undefined,
  )
}

/** The tensors that an operation writes. */
export function outputsOf(op: Op): Tensor[] {
  return Object.values(op.outputs as Readonly<Record<string, Tensor | undefined>>).filter(
    tensor => tensor !== undefined,
  )
}

/** The operations that the tensors are computed by, in order. */
export function opsLeadingTo(tensors: readonly Tensor[], ops: readonly Op[]): Op[] {
  const needed = new Set(tensors.map(tensor => tensor.id))
  const kept: Op[] = []
  for (const op of ops.toReversed()) {
    if (!outputsOf(op).some(tensor => needed.has(tensor.id))) continue
    kept.push(op)
    for (const tensor of inputsOf(op)) needed.add(tensor.id)
  }
  return kept.toReversed()
}

/** The weights that an operation reads, in a fixed order. */
export function weightsOf(op: Op): WeightData[] {
  switch (op.kind) {
    case 'linear':
      return [...op.weights, ...op.biases.filter(bias => bias !== null)]
    case 'conv2d':
      return [op.weight, op.bias, op.shortcut?.weight, op.shortcut?.bias].filter(weight => weight != null)
    case 'groupNorm':
    case 'layerNorm':
      return [op.weight, op.bias]
    case 'rmsNorm':
      return [op.weight]
    default:
      return []
  }
}

/** A copy of `op` whose inputs are replaced by `replace`. */
export function withInputs<T extends Op>(op: T, replace: (tensor: Tensor) => Tensor): T {
  const inputs: Record<string, Tensor> = {}
  for (const [role, tensor] of Object.entries(op.inputs as Readonly<Record<string, Tensor | undefined>>)) {
    if (tensor) inputs[role] = replace(tensor)
  }
  return { ...op, inputs }
}

/** Multiply-accumulates of an operation, attention products included; 0 for those without products. */
export function multiplyAccumulates(op: Op): number {
  switch (op.kind) {
    case 'linear': {
      const k = op.inputs.x.shape.at(-1) ?? 1
      const n = op.weights.reduce((sum, weight) => sum + (weight.shape[0] ?? 0), 0)
      return (elementCount(op.inputs.x.shape) / k) * k * n
    }
    case 'conv2d': {
      const [, c = 1, kh = 1, kw = 1] = op.weight.shape
      const shortcut = op.shortcut?.weight.shape[1] ?? 0
      return elementCount(op.outputs.y.shape) * (c * kh * kw + shortcut)
    }
    case 'attention': {
      const s = op.inputs.key.shape[1] ?? 1
      return 2 * elementCount(op.inputs.query.shape) * s
    }
    default:
      return 0
  }
}
