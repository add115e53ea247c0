/**
 * Maps of each step, out of the progress of a run. What a step brings is the sum over all steps so far (the network
 * adds up by itself); a step's own map is the difference to the sum before.
 */
import type { LiveMaps } from '../../model/attention/capture.ts'
import type { CapturedWord } from '../../model/attention/captured.ts'
import { LiveWordMaps } from '../../model/attention/live.ts'
import type { StepMaps } from '../../model/attention/recording.ts'

/** Numbers of one run's maps, 32 MiB: beyond, the grid is halved. */
const numberLimit = 1 << 23

/** What is needed of a step's progress. */
export interface StepProgress {
  /** From 1. */
  readonly step: number
  readonly steps: number
  readonly maps?: readonly LiveMaps[]
  readonly words?: readonly CapturedWord[]
}

export class StepMapsCollector {
  #live: LiveWordMaps | undefined
  #grid = { width: 0, height: 0 }
  #words = 0
  #before: Float32Array | undefined
  readonly #steps: number[] = []
  readonly #data: Float32Array[] = []

  /** Takes in a step; progress without maps is no step of ours. */
  take({ step, steps, maps = [], words = [] }: StepProgress): void {
    const finest = maps.reduce<LiveMaps | undefined>(
      (best, each) => (best && best.width * best.height >= each.width * each.height ? best : each),
      undefined,
    )
    if (!finest || words.length === 0) return
    this.#live ??= this.#begin(finest, words, steps)
    this.#live.replace(
      maps.map(({ sums, layers, ...grid }) => ({ ...grid, layers, data: sums.map(sum => sum / layers) })),
      step,
    )
    const size = this.#grid.width * this.#grid.height
    const sums = new Float32Array(this.#words * size)
    for (const [index, { data }] of this.#live.maps().entries())
      sums.set(
        data.map(value => value * step),
        index * size,
      )
    const before = this.#before
    // Rounding may leave a hair below zero, which no probability is.
    this.#data.push(before ? sums.map((sum, at) => Math.max(0, sum - (before[at] as number))) : sums)
    this.#before = sums
    this.#steps.push(step - 1)
  }

  /** What was taken in; undefined where nothing was. */
  read(): StepMaps | undefined {
    if (this.#data.length === 0) return undefined
    const length = this.#data[0]?.length ?? 0
    const data = new Float32Array(length * this.#data.length)
    for (const [index, step] of this.#data.entries()) data.set(step, index * length)
    return {
      ...this.#grid,
      steps: [...this.#steps],
      words: Array.from({ length: this.#words }, (_, word) => word),
      data,
    }
  }

  #begin(finest: LiveMaps, words: readonly CapturedWord[], steps: number): LiveWordMaps {
    let { width, height } = finest
    while (width * height * words.length * steps > numberLimit && width > 1 && height > 1) {
      width = Math.ceil(width / 2)
      height = Math.ceil(height / 2)
    }
    this.#grid = { width, height }
    this.#words = words.length
    const tokens = finest.sums.length / (finest.width * finest.height)
    return new LiveWordMaps(words, tokens, this.#grid)
  }
}
