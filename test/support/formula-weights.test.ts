import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { formulaInput, formulaTensor, formulaTensorHalf } from './formula-weights.ts'
import { loadForward } from './parity.ts'
import { parityFolder, tinyKinds, tinyTensors } from './tiny-models.ts'

interface Sample {
  path: string
  shape: number[]
  seed: number
  index: number[]
  f32: number[]
  f16: number[]
  sha256: { f32: string; f16: string }
}

const samples = JSON.parse(readFileSync(join(parityFolder, 'formula.json'), 'utf8')) as Sample[]
const digest = (data: ArrayBufferView) =>
  createHash('sha256')
    .update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
    .digest('hex')

describe('weights by formula', () => {
  it.each(samples)('$path, seed $seed: the same bits as numpy', sample => {
    const values = formulaTensor(sample.path, sample.shape, sample.seed)
    const bits = new Uint32Array(values.buffer)
    expect(sample.index.map(i => bits[i])).toEqual(sample.f32)
    const halves = formulaTensorHalf(sample.path, sample.shape, sample.seed)
    expect(sample.index.map(i => halves[i])).toEqual(sample.f16)
    expect({ f32: digest(values), f16: digest(halves) }).toEqual(sample.sha256)
  })

  it.each(tinyKinds)('%s: the samples of the single forwards', kind => {
    const sample = loadForward(kind).get('unet.sample')
    expect(sample).toBeDefined()
    expect(formulaInput(`parity/${kind}/sample`, sample?.shape ?? [])).toEqual(sample?.data)
  })

  it.each(tinyKinds)('%s: no weight is degenerate', kind => {
    for (const component of ['unet', 'vae', 'text_encoder'] as const) {
      for (const { key, data } of tinyTensors(kind, component)) {
        expect(data.every(Number.isFinite), key).toBe(true)
        expect(new Set(data.subarray(0, 8)).size, key).toBeGreaterThan(Math.min(data.length, 8) - 2)
      }
    }
  })
})
