/**
 * What a network becomes on an adapter, without running it: dispatches, pipelines and bytes of activations of one
 * evaluation of Stable Diffusion 1.5 at 512x512 with guidance (batch 2).
 */
import { schedule } from '../../model/gpu/schedule.ts'
import { packedMatrixShape } from '../../model/gpu/weight-store.ts'
import { multiplyAccumulates } from '../../model/graph/ops.ts'
import type { BufferRef, DeviceFacts } from '../../model/kernels/lowering.ts'
import type { WeightCursor } from '../../model/nn/reader.ts'
import { elementCount } from '../../model/tensor/shape.ts'
import { parseUNetConfig } from '../../model/unet/config.ts'
import { UNet2DConditionModel } from '../../model/unet/unet-2d-condition-model.ts'
import type { CommandIO } from '../io.ts'
import { printTable } from './table.ts'

/** unet/config.json of Stable Diffusion 1.5, where it differs from diffusers' defaults. */
const stableDiffusion15 = { cross_attention_dim: 768, attention_head_dim: 8, sample_size: 64 }

const limits = {
  maxComputeWorkgroupsPerDimension: 65535,
  maxStorageBufferBindingSize: 2 ** 31,
  maxStorageBuffersPerShaderStage: 10,
}

const adapters: Readonly<Record<string, DeviceFacts>> = {
  'graphics card, f16': {
    ...limits,
    subgroupSize: 0,
    activationType: 'f16',
    matrixType: 'f16',
    software: false,
  },
  'graphics card without f16': {
    ...limits,
    subgroupSize: 0,
    activationType: 'f32',
    matrixType: 'f16',
    software: false,
  },
  'software (lavapipe)': {
    ...limits,
    subgroupSize: 8,
    activationType: 'f32',
    matrixType: 'f16',
    software: true,
  },
}

export function benchPlan(io: CommandIO, json: boolean): Promise<void> {
  const unet = UNet2DConditionModel.create(parseUNetConfig(stableDiffusion15), shapes())
  const graph = unet.recordDenoise({ batch: 2, height: 64, width: 64, textTokens: 77 })
  const rows = Object.entries(adapters).map(([adapter, facts]) => {
    const { dispatches, plan } = schedule(graph, facts, {
      matrix: list => weight(packedMatrixShape(list).k),
      vector: parts => weight(parts.length),
    })
    return {
      adapter,
      dispatches: dispatches.length,
      pipelines: new Set(dispatches.map(({ code }) => code)).size,
      'activations MiB': plan.byteLength / 2 ** 20,
      'lower bound MiB': plan.lowerBound / 2 ** 20,
    }
  })
  const work = graph.ops.reduce((sum, op) => sum + multiplyAccumulates(op), 0) / 1e9
  printTable(
    io,
    json,
    `plan: Stable Diffusion 1.5, 512x512, batch 2, ${work.toFixed(0)} GMAC an evaluation`,
    rows,
  )
  return Promise.resolve()
}

const weight = (byteLength: number): BufferRef => ({ label: 'weight', kind: 'weight', byteLength })

/** A checkpoint that has every tensor that it is asked for, and no numbers. */
function shapes(path = ''): WeightCursor {
  const below = (name: string | number): string => (path === '' ? `${name}` : `${path}.${name}`)
  return {
    path,
    at: segment => shapes(below(segment)),
    has: () => true,
    tensor(name, shape) {
      const byteLength = elementCount(shape) * 2
      const source = { name: below(name), byteLength, read: () => Promise.reject(new Error('shapes only')) }
      return { path: below(name), dtype: 'F16', shape, source, byteOffset: 0, byteLength }
    },
  }
}
