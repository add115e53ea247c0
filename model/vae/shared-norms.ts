/**
 * Group norms of a picture in tiles. A group norm's mean and variance are of the whole picture; taken from a tile they
 * differ from tile to tile, which is where the seams of tiled decoding come from (80/255 with the embedded model and
 * diffusers' `enable_tiling`). Here the statistics are given from outside, the same for all tiles, and every tile
 * reports its share of the true ones.
 */
import { invariant } from '../contract/errors.ts'
import { loadWeight } from '../graph/load-weight.ts'
import type { BinaryOp, Graph, GroupNormOp, Op, RowMomentsOp, Tensor } from '../graph/ops.ts'
import { lastAxis } from '../tensor/shape.ts'

/** One group norm of a graph that was rewritten. */
export interface SharedNorm {
  readonly op: GroupNormOp
  /** Of the normalised image. */
  readonly height: number
  readonly width: number
  /** Names of inputs [1, C] and of the output [1, H, 2G]. */
  readonly scale: string
  readonly shift: string
  readonly moments: string
}

export interface SharedGraph {
  readonly graph: Graph
  readonly norms: readonly SharedNorm[]
  /** Inputs [W, 1], by the width of the images that they weigh. */
  readonly columnInputs: ReadonlyMap<number, string>
}

/**
 * @param statistics `given`: every norm becomes x · scale + shift, with both as inputs. `own`: the norms stay.
 *   Either way the moments of what they normalise become outputs.
 */
export function shareNorms(graph: Graph, statistics: 'given' | 'own'): SharedGraph {
  let nextId = 1 + Math.max(...graph.ops.flatMap(op => Object.values(op.outputs as object).map(idOf)), 0)
  nextId = Math.max(nextId, ...[...graph.inputs.values()].map(tensor => tensor.id + 1))
  const fresh = (shape: readonly number[], label: string): Tensor => ({ id: nextId++, shape, label })
  const inputs = new Map(graph.inputs)
  const outputs = new Map(graph.outputs)
  const columnInputs = new Map<number, string>()
  const norms: SharedNorm[] = []
  const input = (name: string, shape: readonly number[]): Tensor => {
    const known = inputs.get(name)
    if (known) return known
    const tensor = fresh(shape, name)
    inputs.set(name, tensor)
    return tensor
  }
  const rewrite = (op: Op): Op[] => {
    if (op.kind !== 'groupNorm') return [op]
    const { path, groups } = op
    const { x } = op.inputs
    const [batch = 1, height = 1, width = 1, channels = 1] = x.shape
    invariant(batch === 1 && x.shape.length === 4, `${path}: tiles are single images`)
    const norm = { scale: `scale:${path}`, shift: `shift:${path}`, moments: `moments:${path}` }
    norms.push({ op, height, width, ...norm })
    columnInputs.set(width, `columns:${width}`)
    const moments: RowMomentsOp = {
      kind: 'rowMoments',
      path: `${path}.moments`,
      inputs: { x, columnWeights: input(`columns:${width}`, [width, 1]) },
      outputs: { y: fresh([1, height, 2 * groups], norm.moments) },
      groups,
    }
    outputs.set(norm.moments, moments.outputs.y)
    if (statistics === 'own') return [moments, op]
    const scaled: BinaryOp = {
      kind: 'binary',
      path,
      operator: 'mul',
      inputs: { a: x, b: input(norm.scale, [1, channels]) },
      outputs: { y: fresh(x.shape, path) },
    }
    const shifted: BinaryOp = {
      kind: 'binary',
      path,
      operator: 'add',
      inputs: { a: scaled.outputs.y, b: input(norm.shift, [1, channels]) },
      outputs: op.outputs,
    }
    return [moments, scaled, shifted]
  }
  const ops = graph.ops.flatMap(rewrite)
  return { graph: { ...graph, ops, inputs, outputs }, norms, columnInputs }
}

function idOf(tensor: Tensor): number {
  return tensor.id
}

/** Mean and variance of each group over positions that were counted so far. */
export class Moments {
  readonly means: Float64Array
  /** Sums of squared differences from the mean. */
  readonly #squares: Float64Array
  #count = 0

  constructor(groups: number) {
    this.means = new Float64Array(groups)
    this.#squares = new Float64Array(groups)
  }

  /** Adds one row of `rowMoments`, means and then variances, which stands for `count` positions (Chan et al. 1983). */
  addRow(row: Float32Array, count: number): void {
    const groups = this.means.length
    const total = this.#count + count
    for (let g = 0; g < groups; g++) {
      const difference = (row[g] as number) - (this.means[g] as number)
      this.means[g] = (this.means[g] as number) + (difference * count) / total
      this.#squares[g] =
        (this.#squares[g] as number) +
        (row[groups + g] as number) * count +
        (difference * difference * this.#count * count) / total
    }
    this.#count = total
  }

  variance(group: number): number {
    return (this.#squares[group] as number) / this.#count
  }

  /** The largest difference from `other`, in standard deviations of this. */
  changeFrom(other: Moments, eps: number): number {
    let largest = 0
    for (const [group, mean] of this.means.entries()) {
      const deviation = Math.sqrt(this.variance(group) + eps)
      const otherDeviation = Math.sqrt(other.variance(group) + eps)
      const change = Math.max(
        Math.abs(mean - (other.means[group] as number)) / deviation,
        Math.abs(otherDeviation / deviation - 1),
      )
      // Not Math.max, which would pass NaN over.
      if (!(change <= largest)) largest = Number.isNaN(change) ? Infinity : change
    }
    return largest
  }
}

/** What a norm with these statistics does to a channel: x · scale + shift, [1, C] each. */
export async function affineOf(
  { op }: SharedNorm,
  moments: Moments,
): Promise<{ scale: Float32Array; shift: Float32Array }> {
  const [weight, bias] = await Promise.all([loadWeight(op.weight), loadWeight(op.bias)])
  const channels = lastAxis(op.inputs.x.shape)
  const size = channels / op.groups
  const scale = new Float32Array(channels)
  const shift = new Float32Array(channels)
  for (let c = 0; c < channels; c++) {
    const group = Math.floor(c / size)
    const factor = (weight[c] as number) / Math.sqrt(moments.variance(group) + op.eps)
    scale[c] = factor
    shift[c] = (bias[c] as number) - (moments.means[group] as number) * factor
  }
  return { scale, shift }
}
