/** `attune bench`: names the benchmarks; they arrive together with what they measure. */
import { type CommandIO, exitCodes, writeJson } from '../io.ts'

export interface Benchmark {
  readonly name: string
  readonly what: string
  /** Absent until it is written. */
  readonly run?: (io: CommandIO, json: boolean) => Promise<void>
}

export const benchmarks: Benchmark[] = [
  { name: 'kernels', what: 'GFLOPS of each kernel class and its share of the measured roofline' },
  { name: 'unet', what: 'one UNet evaluation on each backend, interleaved, as ratios' },
  { name: 'load', what: 'host memory while weights are streamed to the adapter' },
  { name: 'first-picture', what: 'seconds from process start to a written picture' },
]

export async function bench(names: readonly string[], json: boolean, io: CommandIO): Promise<number> {
  const chosen = names.length ? benchmarks.filter(benchmark => names.includes(benchmark.name)) : benchmarks
  if (json) {
    writeJson(io, {
      type: 'benchmarks',
      benchmarks: chosen.map(({ name, what, run }) => ({ name, what, ready: !!run })),
    })
  } else {
    for (const { name, what, run } of chosen) {
      io.stdout.write(`${name.padEnd(14)} ${what}${run ? '' : ' (not there yet)'}\n`)
    }
  }
  for (const benchmark of chosen) await benchmark.run?.(io, json)
  return exitCodes.done
}
