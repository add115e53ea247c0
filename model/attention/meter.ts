/**
 * The cross-path meter: how much of what a layer takes from the text side each source has brought (the row's own text, a
 * region's, an edit's borrowed text, image prompts), by position. It is a graph of its own, recorded beside the
 * denoiser and evaluated once: the drawing path pays nothing.
 *
 * The size of a part is its root mean square over channels and heads before the output projection, mask included. Parts
 * are vectors and can cancel out, so their shares are of the sum of sizes, not of the size of the sum.
 */
import { memorySource } from '../contract/bytes.ts'
import { invariant } from '../contract/errors.ts'
import type { GraphBuilder } from '../graph/builder.ts'
import type { Tensor, WeightData } from '../graph/ops.ts'
import type { AttentionGrid } from '../nn/transformer.ts'
import type { AttentionControls, CrossAttentionLayer } from '../unet/unet-2d-condition-model.ts'
import type { SeamLayout, SeamSource } from './layout.ts'

/** What one layer takes from each source. */
export interface MeteredLayer {
  readonly path: string
  readonly height: number
  readonly width: number
  /** [G][L]: root mean squares of the metered row. */
  readonly sizes: readonly Float32Array[]
  /** [G]: of the sum over sources of the mean sizes. */
  readonly shares: readonly number[]
}

export interface MeterReading {
  readonly sources: readonly Pick<SeamSource, 'kind' | 'region' | 'image'>[]
  /** The evaluation that was metered, from 1. */
  readonly step: number
  readonly layers: readonly MeteredLayer[]
  /** [G]: the mean of the layers' shares. */
  readonly shares: readonly number[]
}

const maskInput = (source: number, { height, width }: AttentionGrid): string =>
  `attention.meter.${source}.${height}x${width}`
const output = (path: string, source: number): string => `${path}.source.${source}`

export class MeterPlan {
  readonly #layout: SeamLayout
  readonly #imageIndices: readonly number[]
  readonly #layers = new Map<string, AttentionGrid>()

  /** @param imageIndices of the image prompts that act: their places in the request */
  constructor(layout: SeamLayout, imageIndices: readonly number[] = []) {
    this.#layout = layout
    this.#imageIndices = imageIndices
  }

  /**
   * What the metered graph records; for one graph only.
   * @param others the controls of the run
   */
  controls(others: AttentionControls = {}): AttentionControls {
    const { rows, softmaxes: sources } = this.#layout
    const declared = new Map<string, Tensor>()
    this.#layers.clear()
    return {
      ...others,
      cross: (layer: CrossAttentionLayer, b: GraphBuilder, grid: AttentionGrid) => {
        this.#layers.set(layer.path, grid)
        const masks = sources.map((_, source) => {
          const name = maskInput(source, grid)
          const shape = [rows.length, grid.height * grid.width, sources.length]
          const tensor = declared.get(name) ?? b.input(name, shape)
          declared.set(name, tensor)
          return tensor
        })
        const ones = mean(layer.numHeads * layer.headDim)
        return {
          ...others.cross?.(layer, b, grid),
          meter: {
            masks,
            onSquares: (source, squares) => {
              const path = output(layer.path, source)
              b.output(path, b.linear(path, squares, ones, null))
            },
          },
        }
      },
    }
  }

  /**
   * The masks that leave each source alone.
   * @param maskAt of the run, [B, L, G]; undefined where every source counts wholly
   */
  inputs(maskAt: (grid: AttentionGrid) => Float32Array | undefined): Record<string, Float32Array> {
    const { rows, softmaxes: sources } = this.#layout
    const inputs: Record<string, Float32Array> = {}
    for (const grid of this.#layers.values()) {
      const size = rows.length * grid.height * grid.width * sources.length
      const all = maskAt(grid) ?? new Float32Array(size).fill(1)
      invariant(all.length === size, 'masks of the layout')
      for (const source of sources.keys()) {
        inputs[maskInput(source, grid)] ??= all.map((value, i) => (i % sources.length === source ? value : 0))
      }
    }
    return inputs
  }

  /**
   * @param outputs of a run of the metered graph
   * @param row of the batch
   */
  read(outputs: Readonly<Record<string, Float32Array>>, row: number, step: number): MeterReading {
    // Texts that share a softmax cannot be told apart: the first stands for all.
    const { sources: all, isOneSoftmax } = this.#layout
    const sources = isOneSoftmax ? all.filter(({ kind }) => kind === 'own' || kind === 'image') : all
    const layers = [...this.#layers].map(([path, { height, width }]): MeteredLayer => {
      const positions = height * width
      const sizes = sources.map((_, source) => {
        const squares = outputs[output(path, source)]
        invariant(squares, `${path} was metered`)
        return squares.slice(row * positions, (row + 1) * positions).map(Math.sqrt)
      })
      return { path, height, width, sizes, shares: sharesOf(sizes.map(average)) }
    })
    const shares = sources.map((_, g) => average(layers.map(layer => layer.shares[g] ?? 0)))
    return {
      sources: sources.map(({ kind, region, image }) => ({
        kind,
        ...(region !== undefined && { region }),
        ...(image !== undefined && { image: this.#imageIndices[image] ?? image }),
      })),
      step,
      layers,
      shares,
    }
  }
}

function average(values: ArrayLike<number>): number {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i] as number
  return values.length > 0 ? sum / values.length : 0
}

function sharesOf(sizes: readonly number[]): number[] {
  const total = sizes.reduce((sum, size) => sum + size, 0)
  return sizes.map(size => (total > 0 ? size / total : 0))
}

/** A matrix [1, C] that takes the mean. */
function mean(columns: number): WeightData {
  const bytes = new Uint8Array(new Float32Array(columns).fill(1 / columns).buffer)
  const path = `attention.meter.mean${columns}`
  return {
    path,
    dtype: 'F32',
    shape: [1, columns],
    source: memorySource(path, bytes),
    byteOffset: 0,
    byteLength: bytes.byteLength,
  }
}
