/** `attune bench`: measurements of this machine, each a table. Nothing is asserted: speeds are the machine's. */
import { type CommandIO, exitCodes, writeJson } from '../io.ts'

export interface Benchmark {
  readonly name: string
  readonly what: string
  /** Absent until it is written. */
  readonly run?: (io: CommandIO, json: boolean) => Promise<void>
}

export const benchmarks: Benchmark[] = [
  {
    name: 'plan',
    what: 'dispatches, pipelines and bytes of Stable Diffusion 1.5, counted without running it',
    run: async (io, json) => (await import('../bench/plan.ts')).benchPlan(io, json),
  },
  {
    name: 'compile',
    what: "compiling the embedded model's pipelines, without and with the driver's shader cache",
    run: async (io, json) => (await import('../bench/compile.ts')).benchCompile(io, json),
  },
  {
    name: 'kernels',
    what: 'GFLOPS of each kernel class and its share of the measured peak',
    run: async (io, json) => (await import('../bench/kernels.ts')).benchKernels(io, json),
  },
  {
    name: 'unet',
    what: 'one UNet evaluation on each backend and on peers, interleaved, as ratios',
    run: async (io, json) => (await import('../bench/unet.ts')).benchUNet(io, json),
  },
  {
    name: 'attention',
    what: 'cross-attention with each control and with capture, as ratios to the plain form',
    run: async (io, json) => (await import('../bench/attention.ts')).benchAttention(io, json),
  },
  {
    name: 'load',
    what: 'host memory while 1.7 GB of weights are streamed to the adapter',
    run: async (io, json) => (await import('../bench/load.ts')).benchLoad(io, json),
  },
  {
    name: 'first-picture',
    what: 'seconds from process start to a written picture',
    run: async (io, json) => (await import('../bench/first-picture.ts')).benchFirstPicture(io, json),
  },
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
