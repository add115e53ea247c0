/**
 * One step of a network on each backend: milliseconds and GFLOPS, as a table.
 *
 *   npx tsx test/bench/backends.ts [--shape storybook|storybook-vae|sd15] [--runs N] [--only wasm-1,cpu-2,…]
 *
 * Random weights: what a network computes does not change how long it takes. Each backend runs in a process of its
 * own, because the first session of a process decides how many threads wasm has. onnxruntime-node is found in the
 * current folder as well. Figures are of the machine as it is: other work on it shows.
 */
import { execFileSync } from 'node:child_process'
import { availableParallelism, loadavg } from 'node:os'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { hasNativeOnnxRuntime, openNodeOnnxRuntime } from '../../host/onnxruntime.ts'
import { openNodeAdapter } from '../../host/webgpu.ts'
import { OnnxBackend } from '../../model/backend/onnx-backend.ts'
import { WebGpuBackend } from '../../model/gpu/backend.ts'
import { type Graph, multiplyAccumulates } from '../../model/graph/ops.ts'
import type { Backend } from '../../model/graph/program.ts'
import { pathOf, type WeightCursor } from '../../model/nn/reader.ts'
import { floatToHalf } from '../../model/tensor/dtype.ts'
import { elementCount } from '../../model/tensor/shape.ts'
import { parseUNetConfig } from '../../model/unet/config.ts'
import { UNet2DConditionModel } from '../../model/unet/unet-2d-condition-model.ts'
import { AutoencoderKL } from '../../model/vae/autoencoder-kl.ts'
import { parseVaeConfig } from '../../model/vae/config.ts'
import { randomArray } from '../support/gpu.ts'

interface Figures {
  readonly gflop: number
  readonly compileMilliseconds: number
  readonly best: number
  readonly median: number
  /** Processor time of a run over all threads: what the time would be on an idle machine with one thread. */
  readonly cpu: number
  readonly dispatches: number
  readonly peakMegabytes: number
}

const shapes = {
  storybook: () =>
    UNet2DConditionModel.create(
      parseUNetConfig({
        in_channels: 16,
        out_channels: 16,
        block_out_channels: [64, 128, 240],
        layers_per_block: 1,
        norm_num_groups: 16,
        down_block_types: Array(3).fill('CrossAttnDownBlock2D'),
        up_block_types: Array(3).fill('CrossAttnUpBlock2D'),
        cross_attention_dim: 128,
        attention_head_dim: [2, 4, 6],
        use_linear_projection: true,
      }),
      randomWeights(''),
    ).recordDenoise({ batch: 2, height: 16, width: 16, textTokens: 77 }),
  'storybook-vae': () =>
    AutoencoderKL.create(
      parseVaeConfig({
        latent_channels: 16,
        block_out_channels: [16, 16, 32, 64, 128],
        down_block_types: Array(5).fill('DownEncoderBlock2D'),
        up_block_types: Array(5).fill('UpDecoderBlock2D'),
        layers_per_block: 1,
        norm_num_groups: 4,
      }),
      randomWeights(''),
    ).recordDecode({ batch: 1, height: 16, width: 16 }),
  /** 860 M parameters: needs 8 GB of memory. */
  sd15: () =>
    UNet2DConditionModel.create(
      parseUNetConfig({ cross_attention_dim: 768 }),
      randomWeights(''),
    ).recordDenoise({
      batch: 2,
      height: 64,
      width: 64,
      textTokens: 77,
    }),
} satisfies Record<string, () => Graph>

/** A checkpoint that has every tensor: small random numbers in half precision, made when they are read. */
function randomWeights(path: string): WeightCursor {
  return {
    path,
    at: segment => randomWeights(path === '' ? String(segment) : `${path}.${segment}`),
    has: () => true,
    tensor(name, shape) {
      const full = pathOf(this, name)
      const byteLength = 2 * elementCount(shape)
      const fanIn = shape.slice(1).reduce((product, axis) => product * axis, 1)
      const read = (_offset: number, length: number, into = new Uint8Array(length)): Promise<Uint8Array> => {
        const block = randomBlock(Math.round(Math.log2(fanIn) / 2))
        for (let start = 0; start < length; start += block.length) {
          into.set(block.subarray(0, Math.min(block.length, length - start)), start)
        }
        return Promise.resolve(into)
      }
      const source = { name: full, byteLength, read }
      return { path: full, dtype: 'F16', shape, source, byteOffset: 0, byteLength }
    },
  }
}

const blocks = new Map<number, Uint8Array>()

/** 65,536 random halves of at most 2^-exponent; large weights repeat them, for 860 M draws would take minutes. */
function randomBlock(exponent: number): Uint8Array {
  let block = blocks.get(exponent)
  if (!block) {
    const values = randomArray(1 << 16, 7)
    block = new Uint8Array(Uint16Array.from(values, value => floatToHalf(value * 2 ** -exponent)).buffer)
    blocks.set(exponent, block)
  }
  return block
}

async function openBackend(name: string): Promise<Backend> {
  const [kind, threads = '1'] = name.split('-')
  if (kind === 'webgpu') return WebGpuBackend.open(await openNodeAdapter(), { precision: 'f16' })
  return OnnxBackend.open(await openNodeOnnxRuntime(kind as 'wasm' | 'cpu', { threads: Number(threads) }))
}

async function measure(name: string, shape: keyof typeof shapes, runs: number): Promise<Figures> {
  const graph = shapes[shape]()
  const backend = await openBackend(name)
  const started = performance.now()
  const program = await backend.compile(graph)
  const compileMilliseconds = performance.now() - started
  const inputs: Record<string, Float32Array> = {}
  for (const [input, tensor] of graph.inputs) inputs[input] = randomArray(elementCount(tensor.shape), 1)
  await program.run(inputs)
  const times: number[] = []
  const before = process.cpuUsage()
  for (let run = 0; run < runs; run++) {
    const start = performance.now()
    await program.run({})
    times.push(performance.now() - start)
  }
  const { user, system } = process.cpuUsage(before)
  times.sort((a, b) => a - b)
  const gflop = (2 * graph.ops.reduce((sum, op) => sum + multiplyAccumulates(op), 0)) / 1e9
  return {
    gflop,
    compileMilliseconds,
    best: times[0] ?? 0,
    median: times[runs >> 1] ?? 0,
    cpu: (user + system) / 1000 / runs,
    dispatches: program.stats.dispatches,
    peakMegabytes: process.resourceUsage().maxRSS / 1024,
  }
}

const { values: options } = parseArgs({
  options: {
    shape: { type: 'string', default: 'storybook' },
    runs: { type: 'string', default: '10' },
    only: { type: 'string' },
    child: { type: 'string' },
  },
})
const shape = options.shape as keyof typeof shapes
if (options.child) {
  const figures = await measure(options.child, shape, Number(options.runs))
  // Dawn and onnxruntime keep threads that would keep the process.
  process.stdout.write(JSON.stringify(figures) + '\n', () => process.exit(0))
} else {
  const cores = availableParallelism()
  const several = cores > 1 ? [`wasm-${Math.min(cores, 4)}`] : []
  const native = hasNativeOnnxRuntime() ? ['cpu-1', ...(cores > 1 ? [`cpu-${cores}`] : [])] : []
  const names = options.only?.split(',') ?? ['wasm-1', ...several, ...native, 'webgpu']
  console.log(
    `${shape}, ${cores} cores, load ${loadavg()[0]?.toFixed(1)}; best and median of ${options.runs} runs`,
  )
  console.log(
    'backend   compile ms    best ms  median ms     cpu ms   GFLOPS best   median   nodes   peak MB',
  )
  for (const name of names) {
    const script = fileURLToPath(import.meta.url)
    const args = [...process.execArgv, script, '--child', name, '--shape', shape, '--runs', options.runs]
    const line = execFileSync(process.execPath, args, { encoding: 'utf8' }).trim().split('\n').at(-1) ?? ''
    const { gflop, compileMilliseconds, best, median, cpu, dispatches, peakMegabytes } = JSON.parse(
      line,
    ) as Figures
    console.log(
      name.padEnd(9) +
        compileMilliseconds.toFixed(0).padStart(11) +
        best.toFixed(1).padStart(11) +
        median.toFixed(1).padStart(11) +
        cpu.toFixed(1).padStart(11) +
        ((gflop / best) * 1000).toFixed(1).padStart(14) +
        ((gflop / median) * 1000).toFixed(1).padStart(9) +
        String(dispatches).padStart(8) +
        peakMegabytes.toFixed(0).padStart(10),
    )
  }
}
