import { readFileSync } from 'node:fs'
import { expect } from 'vitest'
import type { SamplerId, Scheduler } from '../../model/schedulers/index.ts'
import { parseSchedulerConfig } from '../../model/schedulers/index.ts'

/** A file that test/fixtures/make/schedulers.py wrote. */
export function fixture<T>(name: string): T {
  const url = new URL(`../fixtures/schedulers/${name}.json`, import.meta.url)
  return JSON.parse(readFileSync(url, 'utf8')) as T
}

const { configs } = fixture<{ configs: Record<string, unknown> }>('configs')

export function config(name: string) {
  return parseSchedulerConfig(configs[name])
}

export interface Case {
  readonly config: string
  readonly sampler: SamplerId
  readonly steps: number
}

const size = 24

/** Array `number` of noise-like values: `wave` of schedulers.py. */
export function wave(number: number): Float32Array {
  return Float32Array.from({ length: size }, (_, i) => 1.7 * Math.sin(12.9898 * (number * size + i + 1)))
}

/** The toy network of schedulers.py. */
export function network(scaled: Float32Array, timestep: number): Float32Array {
  return scaled.map((value, i) => 0.6 * value + Math.fround(0.4 * Math.sin(0.7 * i + timestep / 100)))
}

export interface Run {
  readonly first: Float32Array
  readonly half: Float32Array
  readonly halfOriginal: Float32Array
  readonly final: Float32Array
  readonly draws: number
}

/** A whole run with the toy network; from a picture when `picture` is given. */
export function run(scheduler: Scheduler, picture?: Float32Array): Run {
  let draws = 0
  const noise = () => wave(++draws + 1)
  let sample = picture
    ? scheduler.addNoise(picture, wave(0), scheduler.startIndex)
    : wave(0).map(value => value * scheduler.initNoiseSigma)
  const first = sample
  let half = sample
  let halfOriginal = sample
  const middle = scheduler.startIndex + Math.floor((scheduler.timesteps.length - scheduler.startIndex) / 2)
  for (let index = scheduler.startIndex; index < scheduler.timesteps.length; index++) {
    const output = network(scheduler.scaleModelInput(sample, index), scheduler.timesteps[index] as number)
    const result = scheduler.step(output, index, sample, noise)
    sample = result.prevSample
    if (index === middle) {
      half = sample
      halfOriginal = result.predOriginalSample
    }
  }
  return { first, half, halfOriginal, final: sample, draws }
}

/**
 * The greatest distance of two arrays over the size of the expected one, which counts as at least 1 (samples are of
 * that order). NaN stays NaN.
 */
export function relativeDistance(actual: ArrayLike<number>, expected: readonly number[]): number {
  expect(actual.length).toBeGreaterThanOrEqual(expected.length)
  const distances = expected.map((value, i) => Math.abs((actual[i] as number) - value))
  const magnitude = Math.max(1, ...expected.map(Math.abs))
  return Math.max(...distances) / magnitude
}
