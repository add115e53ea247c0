/**
 * Rewrites a recorded graph so that a kernel's epilogue does what several operations did: normalisation + SiLU,
 * up-sampling into the convolution, time bias, activation, GEGLU and residual into the product before them, a
 * residual block's shortcut into its last convolution. The result computes the same function; `test/graph/fusion.test.ts` holds fused against unfused on the oracle.
 */
import { elementCount, lastAxis, sameShape } from '../tensor/shape.ts'
import { inputsOf, outputsOf, type Conv2dOp, type Graph, type LinearOp, type Op, type Tensor } from './ops.ts'

type Product = LinearOp | Conv2dOp

/** Applies every rewrite once, in an order in which each sees the results of the one before. */
export function fuse(graph: Graph): Graph {
  const editor = new Editor(graph)
  fuseNormActivation(editor)
  fuseUpsample(editor)
  fuseGeglu(editor)
  fuseBatchBias(editor)
  fuseActivation(editor)
  fuseResidual(editor)
  fuseShortcut(editor)
  return { ...graph, ops: editor.ops() }
}

/** The graph under edit: who makes a tensor, who reads it. */
class Editor {
  readonly #slots: (Op | null)[]
  readonly #producer = new Map<number, number>()
  readonly #readers = new Map<number, number[]>()
  readonly #kept: Set<number>

  constructor(graph: Graph) {
    this.#slots = [...graph.ops]
    this.#kept = new Set([...graph.outputs.values()].map(tensor => tensor.id))
    for (const { after } of graph.states?.values() ?? []) this.#kept.add(after.id)
    for (const [index, op] of graph.ops.entries()) {
      for (const tensor of outputsOf(op)) this.#producer.set(tensor.id, index)
      for (const tensor of inputsOf(op)) {
        this.#readers.set(tensor.id, [...(this.#readers.get(tensor.id) ?? []), index])
      }
    }
  }

  ops(): Op[] {
    return this.#slots.filter(op => op !== null)
  }

  *indexed(): Generator<[number, Op]> {
    for (let index = 0; index < this.#slots.length; index++) {
      const op = this.#slots[index]
      if (op) yield [index, op]
    }
  }

  /** The operation that makes `tensor`, if `tensor` has exactly one reader and is no output of the graph. */
  soleProducer(tensor: Tensor): [number, Op] | undefined {
    if (this.#kept.has(tensor.id) || this.#readers.get(tensor.id)?.length !== 1) return undefined
    const index = this.#producer.get(tensor.id)
    const op = index === undefined ? undefined : this.#slots[index]
    return op ? [index as number, op] : undefined
  }

  /**
   * Puts `merged` where the last of `replaced` stood, the one place where all its inputs exist and no reader of its
   * output has run, and drops the others.
   */
  merge(replaced: readonly number[], merged: Op): void {
    const place = Math.max(...replaced)
    for (const index of replaced) {
      const op = this.#slots[index]
      if (!op) continue
      for (const tensor of inputsOf(op)) {
        const rest = (this.#readers.get(tensor.id) ?? []).filter(reader => reader !== index)
        this.#readers.set(tensor.id, rest)
      }
      this.#slots[index] = null
    }
    this.#slots[place] = merged
    for (const tensor of outputsOf(merged)) this.#producer.set(tensor.id, place)
    for (const tensor of inputsOf(merged)) {
      this.#readers.set(tensor.id, [...(this.#readers.get(tensor.id) ?? []), place])
    }
  }
}

const isProduct = (op: Op): op is Product => op.kind === 'linear' || op.kind === 'conv2d'

/** groupNorm → silu. */
function fuseNormActivation(editor: Editor): void {
  for (const [index, op] of editor.indexed()) {
    if (op.kind !== 'unary' || op.activation !== 'silu') continue
    const found = editor.soleProducer(op.inputs.x)
    if (found?.[1].kind !== 'groupNorm' || found[1].activation !== 'none') continue
    editor.merge([found[0], index], { ...found[1], outputs: op.outputs, activation: 'silu' })
  }
}

/** upsample → conv2d: the convolution reads each source pixel where the larger image would hold a copy of it. */
function fuseUpsample(editor: Editor): void {
  for (const [index, op] of editor.indexed()) {
    if (op.kind !== 'conv2d' || op.upsample !== 1) continue
    const found = editor.soleProducer(op.inputs.x)
    if (found?.[1].kind !== 'upsample') continue
    // An up-sampling to 2H - 1 drops a row, which index arithmetic in the convolution does not know.
    const [, height = 0, width = 0] = found[1].inputs.x.shape
    const [, outHeight, outWidth] = found[1].outputs.y.shape
    if (outHeight !== 2 * height || outWidth !== 2 * width) continue
    editor.merge([found[0], index], { ...op, inputs: { ...op.inputs, x: found[1].inputs.x }, upsample: 2 })
  }
}

/** linear → geglu. Halves that are not whole vec4s stay apart: the kernel pairs value and gate by vec4. */
function fuseGeglu(editor: Editor): void {
  for (const [index, op] of editor.indexed()) {
    if (op.kind !== 'geglu' || lastAxis(op.outputs.y.shape) % 4 !== 0) continue
    const found = editor.soleProducer(op.inputs.x)
    if (found?.[1].kind !== 'linear' || found[1].activation !== 'none' || found[1].inputs.residual) continue
    editor.merge([found[0], index], { ...found[1], outputs: op.outputs, activation: 'geglu' })
  }
}

/** conv2d → + [1 or B, C] repeated over positions (the time embedding of a residual block). */
function fuseBatchBias(editor: Editor): void {
  for (const [index, op] of editor.indexed()) {
    if (op.kind !== 'binary' || op.operator !== 'add') continue
    const { a, b } = op.inputs
    if (b.shape.length !== 2 || sameShape(a.shape, b.shape)) continue
    const found = editor.soleProducer(a)
    if (found?.[1].kind !== 'conv2d') continue
    const conv = found[1]
    if (conv.activation !== 'none' || conv.inputs.residual || conv.inputs.batchBias) continue
    editor.merge([found[0], index], {
      ...conv,
      inputs: { ...conv.inputs, batchBias: b },
      outputs: op.outputs,
    })
  }
}

/** product → activation. */
function fuseActivation(editor: Editor): void {
  for (const [index, op] of editor.indexed()) {
    if (op.kind !== 'unary') continue
    const found = editor.soleProducer(op.inputs.x)
    if (!found || !isProduct(found[1])) continue
    const product = found[1]
    if (product.activation !== 'none' || product.inputs.residual) continue
    editor.merge([found[0], index], { ...product, outputs: op.outputs, activation: op.activation })
  }
}

/** product (→ reshape) → + a tensor of the same elements. */
function fuseResidual(editor: Editor): void {
  for (const [index, op] of editor.indexed()) {
    if (op.kind !== 'binary' || op.operator !== 'add' || !sameShape(op.inputs.a.shape, op.inputs.b.shape))
      continue
    // The later product takes the sum: its operand `b` in resnets and transformers alike.
    for (const [own, other] of [
      [op.inputs.b, op.inputs.a],
      [op.inputs.a, op.inputs.b],
    ] as const) {
      if (own.id === other.id) continue
      const path: number[] = [index]
      let found = editor.soleProducer(own)
      if (found?.[1].kind === 'reshape') {
        path.push(found[0])
        found = editor.soleProducer(found[1].inputs.x)
      }
      if (!found || !isProduct(found[1]) || found[1].inputs.residual) continue
      const product = found[1]
      if (elementCount(product.outputs.y.shape) !== elementCount(other.shape)) continue
      path.push(found[0])
      editor.merge(path, {
        ...product,
        inputs: { ...product.inputs, residual: other },
        outputs: { y: op.outputs.y },
      } as Op)
      break
    }
  }
}

/** conv2d → linear's residual (the 1×1 shortcut of a residual block): more depth of the convolution's sums. */
function fuseShortcut(editor: Editor): void {
  for (const [index, op] of editor.indexed()) {
    if (op.kind !== 'linear' || op.activation !== 'none' || !op.inputs.residual) continue
    const [weight, ...others] = op.weights
    if (!weight || others.length > 0) continue
    const found = editor.soleProducer(op.inputs.residual)
    if (found?.[1].kind !== 'conv2d') continue
    const conv = found[1]
    if (conv.activation !== 'none' || conv.inputs.residual || conv.inputs.shortcut) continue
    // `residual` may carry the same rows under other axes; the shortcut's rows must be these pixels.
    if (!sameShape(conv.outputs.y.shape, op.outputs.y.shape)) continue
    editor.merge([found[0], index], {
      ...conv,
      inputs: { ...conv.inputs, shortcut: op.inputs.x },
      outputs: op.outputs,
      shortcut: { path: op.path, weight, bias: op.biases[0] ?? null },
    })
  }
}
