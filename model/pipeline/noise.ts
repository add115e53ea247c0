/** The random numbers of a run: the seed's stream, or draws that were given. */
import { AttuneError } from '../contract/errors.ts'
import type { ResolvedRequest } from '../contract/request.ts'
import { gaussianSource } from '../random/source.ts'
import type { Scheduler } from '../schedulers/index.ts'
import type { Draw, LatentSize } from './start.ts'

export interface NoiseInputs {
  readonly initialNoise?: Float32Array
  /** The draws of samplers that add noise: [C, h, w] each, in order; the seed's stream goes on when absent. */
  readonly stepNoise?: readonly Float32Array[]
}

export class RunNoise {
  /** Of the start: the seed's first numbers. */
  readonly draw: Draw
  readonly #next: () => Float32Array
  #used = 0
  /** The draws of the evaluation that is being made: all pictures of a batch get the same. */
  #draws: Float32Array[] = []

  /** @throws AttuneError `bad-argument` when draws are too few, or of another size */
  constructor(
    request: ResolvedRequest,
    inputs: NoiseInputs,
    { channels, height, width }: LatentSize,
    scheduler: Scheduler,
  ) {
    const count = channels * height * width
    const wrong = (what: string, length: number): AttuneError =>
      new AttuneError(
        'bad-argument',
        `${what} has ${length} numbers; this run needs ${count} (${channels}x${height}x${width}).`,
        'Make the file for this model and this size.',
      )
    if (inputs.initialNoise && inputs.initialNoise.length !== count) {
      throw wrong('The initial noise', inputs.initialNoise.length)
    }
    const given = inputs.stepNoise
    const odd = given?.find(each => each.length !== count)
    if (odd) throw wrong('A draw of the step noise', odd.length)
    if (given && given.length < scheduler.drawCount) {
      throw new AttuneError(
        'bad-argument',
        `The step noise holds ${given.length} draws; ${request.sampler} needs ${scheduler.drawCount} for this run.`,
        'Add draws to the file, or take fewer steps.',
      )
    }
    const source = gaussianSource(request.rng === 'philox' ? 'cuda' : 'cpu', BigInt(request.seed))
    this.draw = length => source.randn(length)
    this.#next = () => given?.[this.#used] ?? source.randn(count)
  }

  /** Draws of evaluations so far. */
  get used(): number {
    return this.#used
  }

  /** Begins an evaluation. */
  begin(): void {
    this.#draws = []
  }

  /** The draws of this evaluation, from its first one on. */
  replay(): () => Float32Array {
    let place = 0
    return () => {
      if (place === this.#draws.length) {
        this.#draws.push(this.#next())
        this.#used++
      }
      return this.#draws[place++] as Float32Array
    }
  }

  /** Draws what an earlier run has used already. */
  skip(draws: number): void {
    while (this.#used < draws) {
      this.#next()
      this.#used++
    }
  }
}
