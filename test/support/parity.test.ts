import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { samplers } from '../../model/contract/request.ts'
import {
  commandLine,
  finalLatents,
  forwardArray,
  latentsAfter,
  loadForward,
  loadNpy,
  loadPixels,
  parityCases,
  parityPath,
  psnr,
  relativeL2,
  toChannelsFirst,
  toChannelsLast,
} from './parity.ts'
import { tinyKinds, tinyModel, writeTinyModel } from './tiny-models.ts'

describe('parity fixtures', () => {
  it('cover every sampler for SD 1.x, SD 2.x and the embedded model’s kind', () => {
    for (const kind of ['sd1', 'sd2', 'story'] as const) {
      for (const sampler of samplers) {
        const found = parityCases(kind).some(each => each.task === 'txt2img' && each.sampler === sampler)
        expect(found, `${kind} ${sampler}`).toBe(true)
      }
    }
  })

  it('name files that exist and fit', async () => {
    for (const each of parityCases()) {
      for (const file of Object.values(each.files)) expect(existsSync(parityPath(file)), file).toBe(true)
      const factor = 2 ** ((tinyModel(each.kind).vae['block_out_channels'] as number[]).length - 1)
      const channels = tinyModel(each.kind).vae['latent_channels'] as number
      const shape = [1, channels, each.height / factor, each.width / factor]
      const latents = finalLatents(each)
      expect(latents.shape, each.id).toEqual(shape)
      expect(standardDeviation(latents.data), each.id).toBeCloseTo(each.latentsStd, 3)
      if (each.files.initialNoise) expect(loadNpy(each.files.initialNoise).shape).toEqual(shape)
      if (each.files.stepNoise) expect(loadNpy(each.files.stepNoise).shape.slice(1)).toEqual(shape)
      if (each.files.png) {
        const pixels = await loadPixels(each.files.png)
        expect(pixels.shape).toEqual([each.height, each.width, 3])
        expect(standardDeviation(pixels.data)).toBeCloseTo(each.pixelsStd, 1)
      }
    }
  })

  it('tell one case from another: any two final latents of one size differ by far more than the bound', () => {
    const cases = parityCases()
    for (const [i, a] of cases.entries()) {
      const latents = finalLatents(a).data
      for (const b of cases.slice(i + 1)) {
        if (a.kind !== b.kind || a.width !== b.width) continue
        expect(relativeL2(finalLatents(b).data, latents), `${a.id} and ${b.id}`).toBeGreaterThan(0.005)
      }
    }
  })

  it('hold different rows and a picture of every kind’s forward', () => {
    for (const kind of tinyKinds) {
      const arrays = loadForward(kind)
      const { shape, data } = forwardArray(arrays, 'unet.out.601')
      expect(shape[0]).toBe(2)
      expect(relativeL2(data.subarray(data.length / 2), data.subarray(0, data.length / 2))).toBeGreaterThan(
        0.5,
      )
      expect(arrays.get('text.ids')?.data.length).toBe(2 * 77)
      expect(toChannelsFirst(nhwc(shape), toChannelsLast(shape, data))).toEqual(data)
    }
  })

  it('can be said on the command line', () => {
    const files = { model: 'M', out: 'o.png', saveLatents: 'o.npy' }
    const said = parityCases().filter(each => commandLine(each, files))
    expect(said.filter(each => each.task === 'txt2img')).toHaveLength(
      parityCases().filter(each => each.task === 'txt2img').length,
    )
    expect(new Set(said.map(each => each.task))).toEqual(new Set(['txt2img', 'img2img', 'inpaint']))
    const words = commandLine(parityCases('sd1').find(each => each.id === 'sd1-euler_a') as never, files)
    expect(words).toContain('--step-noise')
    expect(words?.[0]).toBe('a red car under a blue sky')
  })

  it('record the steps before the last', () => {
    const each = parityCases('sd1').find(theCase => theCase.id === 'sd1-heun')
    if (!each) throw new Error('sd1-heun is missing')
    expect(loadNpy(each.files.latents).shape[0]).toBe(2 * each.steps - 1)
    expect(latentsAfter(each, 10)).toEqual(finalLatents(each).data)
  })
})

describe('measures', () => {
  it('relativeL2 and psnr', () => {
    expect(relativeL2([3, 4], [3, 4])).toBe(0)
    expect(relativeL2([3, 5], [3, 4])).toBeCloseTo(0.2)
    expect(relativeL2([3, Number.NaN], [3, 4])).toBe(Infinity)
    expect(psnr([1, 2], [1, 2])).toBe(Infinity)
    expect(psnr([0, 0], [255, 255])).toBe(0)
    expect(() => relativeL2([1], [1, 2])).toThrow('1 values against 2')
  })
})

describe('tiny models', () => {
  it.each(tinyKinds)('%s: a whole diffusers folder, in f32 and half the size in f16', kind => {
    const folder = mkdtempSync(join(tmpdir(), 'attune-tiny-'))
    try {
      const size = (dtype: 'F32' | 'F16') => {
        writeTinyModel(kind, folder, { dtype })
        const bytes = readFileSync(join(folder, 'unet/diffusion_pytorch_model.safetensors'))
        const headerLength = Number(bytes.readBigUInt64LE(0))
        const header = JSON.parse(bytes.toString('utf8', 8, 8 + headerLength)) as Record<string, unknown>
        expect(header['conv_in.weight']).toMatchObject({ dtype })
        return bytes.length - 8 - headerLength
      }
      expect(size('F32')).toBe(2 * size('F16'))
      for (const file of [
        'model_index.json',
        'unet/config.json',
        'vae/config.json',
        'vae/diffusion_pytorch_model.safetensors',
        'text_encoder/config.json',
        'text_encoder/model.safetensors',
        'tokenizer/vocab.json',
        'tokenizer/merges.txt',
        'tokenizer/tokenizer_config.json',
        'tokenizer/special_tokens_map.json',
        'scheduler/scheduler_config.json',
      ]) {
        expect(existsSync(join(folder, file)), file).toBe(true)
      }
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

function nhwc(shape: readonly number[]): number[] {
  const [batch, channels, height, width] = shape as [number, number, number, number]
  return [batch, height, width, channels]
}

function standardDeviation(data: ArrayLike<number>): number {
  let sum = 0
  let squares = 0
  for (let i = 0; i < data.length; i++) {
    sum += data[i] as number
    squares += (data[i] as number) ** 2
  }
  return Math.sqrt(squares / data.length - (sum / data.length) ** 2)
}
