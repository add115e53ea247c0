/**
 * Word maps while a picture is drawn, at the size of a preview. Each step brings, per grid of the network, the mean
 * over the layers and heads of that grid; here they are kept as sums per grid and merged when somebody looks.
 *
 * The merged map is the mean over layers (each grid counts as many times as it has layers), as `wordMaps` has it
 * when heads and layers are all taken and count alike.
 *
 * Axis letters: C samples, L = H·W positions, T captured tokens.
 */
import { AttuneError, invariant } from '../contract/errors.ts'
import type { CapturedWord } from './captured.ts'
import type { WordMap } from './maps.ts'
import { checkGrid, type Grid, resizeBilinear } from './resize.ts'

/** The means of one grid. */
export interface GridMeans extends Grid {
  /** How many layers have this grid. */
  readonly layers: number
  /** [C, L, T]: means over those layers and their heads. */
  readonly data: Float32Array
}

export class LiveWordMaps {
  readonly #words: readonly CapturedWord[]
  readonly #tokens: number
  readonly #size: Grid
  readonly #grids = new Map<string, { grid: Grid; layers: number; sums: Float64Array }>()
  #steps = 0

  /**
   * @param tokens T
   * @param size of the maps
   * @throws AttuneError `bad-argument` for a size that is none
   */
  constructor(words: readonly CapturedWord[], tokens: number, size: Grid) {
    checkGrid(size)
    this.#words = words
    this.#tokens = tokens
    this.#size = { width: size.width, height: size.height }
  }

  /** Evaluations so far. */
  get steps(): number {
    return this.#steps
  }

  /**
   * Takes in one step.
   * @param sample which of the C
   * @throws AttuneError `non-finite` when a mean is no number
   */
  add(grids: readonly GridMeans[], sample = 0): void {
    this.#checkAll(grids, sample)
    for (const means of grids) {
      const sums = this.#entry(means).sums
      const start = sample * sums.length
      for (let at = 0; at < sums.length; at++) {
        sums[at] = (sums[at] as number) + (means.data[start + at] as number)
      }
    }
    this.#steps++
  }

  /**
   * Takes in what the network has summed itself, in place of all steps before (`CapturePlan.liveMaps`).
   * @param grids sums of the means over `steps` evaluations
   */
  replace(grids: readonly GridMeans[], steps: number, sample = 0): void {
    invariant(Number.isInteger(steps) && steps > 0, 'sums are over whole steps')
    this.#checkAll(grids, sample)
    this.#grids.clear()
    this.#steps = 0
    this.add(grids, sample)
    this.#steps = steps
  }

  /** Forgets all steps: a new picture begins. */
  clear(): void {
    this.#grids.clear()
    this.#steps = 0
  }

  /** The maps so far, in probabilities; none before the first step. */
  maps(): WordMap[] {
    const grids = [...this.#grids.values()]
    const layers = grids.reduce((sum, each) => sum + each.layers, 0)
    if (this.#steps === 0 || layers === 0) return []
    const { width, height } = this.#size
    return this.#words.map(({ text, columns }, index) => {
      const merged = new Float64Array(width * height)
      for (const { grid, layers: weight, sums } of grids) {
        const word = new Float64Array(grid.width * grid.height)
        for (let at = 0; at < word.length; at++) {
          let sum = 0
          for (const column of columns) sum += sums[at * this.#tokens + column] as number
          word[at] = sum * weight
        }
        const resized = resizeBilinear(word, grid, this.#size)
        for (let at = 0; at < merged.length; at++) {
          merged[at] = (merged[at] as number) + (resized[at] as number)
        }
      }
      const scale = 1 / (layers * this.#steps)
      return { word: text, index, width, height, data: Float32Array.from(merged, value => value * scale) }
    })
  }

  /** Before anything is added, so that a step counts as a whole or not at all. */
  #checkAll(grids: readonly GridMeans[], sample: number): void {
    for (const { width, height, data } of grids) {
      const size = width * height * this.#tokens
      const samples = data.length / size
      invariant(
        Number.isInteger(samples) && Number.isInteger(sample) && sample >= 0 && sample < samples,
        `the means of ${width}×${height} hold sample ${sample} of ${this.#tokens} tokens`,
      )
      for (let at = sample * size; at < (sample + 1) * size; at++) {
        if (Number.isFinite(data[at])) continue
        throw new AttuneError(
          'non-finite',
          `The attention at ${width}×${height} holds values that are no numbers.`,
          'Draw the picture again; if it happens again, please report it.',
        )
      }
    }
  }

  #entry({ width, height, layers }: GridMeans): { sums: Float64Array } {
    const key = `${height}x${width}`
    const known = this.#grids.get(key)
    if (known) {
      invariant(known.layers === layers, 'a grid keeps its layers from step to step')
      return known
    }
    const entry = { grid: { width, height }, layers, sums: new Float64Array(width * height * this.#tokens) }
    this.#grids.set(key, entry)
    return entry
  }
}
