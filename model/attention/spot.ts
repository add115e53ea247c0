/**
 * "What does this spot look at": one row of the picture's attention to itself, of the position under a point, averaged
 * over heads, layers and steps. The rows leave the graph as outputs, [1, L] a layer and step.
 *
 * Layers of another grid have another position for the point. Rows count against an even look, so that those of few
 * positions and of many can be averaged, at the finest grid.
 */
import { AttuneError, invariant } from '../contract/errors.ts'
import type { GraphBuilder } from '../graph/builder.ts'
import type { Tensor } from '../graph/ops.ts'
import type { HeatMap } from '../image/heat.ts'
import type { AttentionGrid } from '../nn/transformer.ts'
import type { AttentionControls } from '../unet/unet-2d-condition-model.ts'
import { resizeBilinear } from './resize.ts'

/** A point of the picture in shares of its sides. */
export interface SpotPoint {
  readonly x: number
  readonly y: number
}

/** Where the spot looks: mean probabilities, times the number of positions: 1 is what an even look would give. */
export interface SpotMap extends HeatMap {
  readonly point: SpotPoint
  /** How many rows were averaged. */
  readonly rows: number
}

const positionInput = ({ height, width }: AttentionGrid): string => `attention.spot.${height}x${width}`
const rowOutput = (path: string): string => `${path}.spot`

const isShare = (value: number): boolean => value >= 0 && value <= 1
const cell = (share: number, cells: number): number => Math.min(cells - 1, Math.floor(share * cells))

export class SpotPlan {
  readonly #point: SpotPoint
  readonly #layers = new Map<string, AttentionGrid>()
  readonly #sums = new Map<string, { grid: AttentionGrid; sum: Float64Array; rows: number }>()

  /** @throws AttuneError `bad-argument` for a point outside of the picture */
  constructor(point: SpotPoint) {
    if (!isShare(point.x) || !isShare(point.y)) {
      throw new AttuneError(
        'bad-argument',
        `The spot ${point.x}, ${point.y} is not in the picture.`,
        'Give both as shares of its sides: 0 0 is the upper left corner, 1 1 the lower right one.',
      )
    }
    this.#point = point
  }

  /**
   * What a denoising graph records; for one graph only.
   * @param sample of the batch whose picture is looked at
   */
  controls(sample: number, others: AttentionControls = {}): AttentionControls {
    const declared = new Map<string, Tensor>()
    const rows = new Map<string, Tensor>()
    this.#layers.clear()
    this.#sums.clear()
    return {
      ...others,
      self: (path: string, b: GraphBuilder, grid: AttentionGrid) => {
        const name = positionInput(grid)
        const position = declared.get(name) ?? b.input(name, [1, 1])
        declared.set(name, position)
        this.#layers.set(path, grid)
        return {
          ...others.self?.(path, b, grid),
          watch: { position, sample, onRow: row => void rows.set(path, row) },
        }
      },
      finish: b => {
        others.finish?.(b)
        for (const [path, row] of rows) b.output(rowOutput(path), row)
      },
    }
  }

  /** The constant inputs of every run: the point's position at each grid. */
  get inputs(): Record<string, Float32Array> {
    const grids = [...this.#layers.values()]
    return Object.fromEntries(
      grids.map(grid => {
        const { x, y } = this.#point
        return [positionInput(grid), Float32Array.of(cell(y, grid.height) * grid.width + cell(x, grid.width))]
      }),
    )
  }

  /** Takes in the rows of one run. */
  take(outputs: Readonly<Record<string, Float32Array>>): void {
    for (const [path, grid] of this.#layers) {
      const row = outputs[rowOutput(path)]
      invariant(row, `${path} gives the row of the spot`)
      const key = `${grid.height}x${grid.width}`
      const entry = this.#sums.get(key) ?? { grid, sum: new Float64Array(row.length), rows: 0 }
      this.#sums.set(key, entry)
      for (const [at, value] of row.entries()) entry.sum[at] = (entry.sum[at] as number) + value
      entry.rows++
    }
  }

  /** The map so far, at the finest grid. */
  read(): SpotMap {
    const all = [...this.#sums.values()]
    const finest = all.reduce((a, b) => (b.sum.length > a.sum.length ? b : a))
    const { width, height } = finest.grid
    const total = new Float64Array(width * height)
    let rows = 0
    for (const { grid, sum, rows: count } of all) {
      // Against an even look, so that grids of other sizes can be averaged.
      const relative = sum.map(value => value * sum.length)
      const resized = resizeBilinear(relative, grid, { width, height })
      for (const [at, value] of resized.entries()) total[at] = (total[at] as number) + value
      rows += count
    }
    return { point: this.#point, rows, width, height, data: Float32Array.from(total, value => value / rows) }
  }
}
