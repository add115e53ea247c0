/** What the encoder sees and says of a picture, and an adapter's tokens, against transformers and diffusers (f32). */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { join } from 'node:path'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { readWholePicture } from '../../host/images.ts'
import { openModelFolder } from '../../host/model-folder.ts'
import { openNodeOnnxRuntime } from '../../host/onnxruntime.ts'
import { OnnxBackend } from '../../model/backend/onnx-backend.ts'
import type { Backend } from '../../model/graph/program.ts'
import { clipMean, clipPixels } from '../../model/ipadapter/vision-input.ts'
import { openVisionEncoder } from '../../model/pipeline/image-prompt-open.ts'
import { encodePictures } from '../../model/pipeline/image-prompts.ts'
import {
  type AdapterLayout,
  expectedTensor,
  fixture,
  openTinyAdapter,
  openTinyEncoder,
  type TinyAdapter,
  tinyModels,
  writeEncoder,
} from '../support/ipadapter.ts'
import { relativeL2 } from '../support/parity.ts'
import { openTinyModel } from '../support/run-case.ts'

let backend: Backend

beforeAll(async () => {
  backend = OnnxBackend.open(await openNodeOnnxRuntime('wasm', { threads: 1 }))
})
afterAll(() => backend.dispose())

const pictures = ['square.png', 'wide.png', 'tall.png']
const encoders = ['quick', 'gelu'] as const

describe('CLIP’s preprocessing', () => {
  const all = encoders.flatMap(encoder =>
    pictures.flatMap(file => (['crop', 'resize'] as const).map(fit => [encoder, file, fit] as const)),
  )
  it.each(all)('%s sees %s as transformers makes it (%s)', async (encoder, file, fit) => {
    const { config } = await openTinyEncoder(encoder)
    const made = clipPixels(await readWholePicture(fixture(file)), config.imageSize, fit)
    const expected = expectedTensor('features', `${encoder}.${file}.${fit}.pixels`)
    expect(made.length).toBe(expected.length)
    const furthest = made.reduce(
      (most, value, i) => Math.max(most, Math.abs(value - (expected[i] as number))),
      0,
    )
    // Bytes are equal; what is left is rounding of the normalisation. One byte would be 0.014.
    expect(furthest).toBeLessThan(1e-5)
  })

  it('pads with the mean colour, which is 0', async () => {
    const picture = { width: 8, height: 4, channels: 3 as const, data: new Uint8Array(8 * 4 * 3).fill(255) }
    const pixels = clipPixels(picture, 16, 'pad')
    const red = pixels.subarray(0, 256)
    expect([...red.subarray(0, 4 * 16)].every(value => value === 0)).toBe(true)
    expect(red[8 * 16 + 8]).toBeCloseTo((1 - clipMean[0]) / 0.26862954, 5)
  })
})

describe('the vision encoder', () => {
  it.each(encoders)('%s gives the hidden states and embeddings of transformers', async name => {
    const encoder = await openTinyEncoder(name)
    const { imageSize } = encoder.config
    const pixels = new Map<string, Float32Array>()
    for (const file of pictures) {
      pixels.set(file, clipPixels(await readWholePicture(fixture(file)), imageSize, 'crop'))
    }
    pixels.set('zero', new Float32Array(3 * imageSize ** 2))
    const features = await encodePictures(backend, encoder, pixels)
    for (const file of pictures) {
      const key = `${name}.${file}.crop`
      const { hidden, embeds } = features.get(file) ?? {}
      expect(relativeL2(hidden as Float32Array, expectedTensor('features', `${key}.hidden`))).toBeLessThan(
        1e-5,
      )
      expect(relativeL2(embeds as Float32Array, expectedTensor('features', `${key}.embeds`))).toBeLessThan(
        1e-5,
      )
    }
    const zero = features.get('zero')?.hidden as Float32Array
    expect(relativeL2(zero, expectedTensor('features', `${name}.zero.hidden`))).toBeLessThan(1e-5)
  })

  it('reads weights of half precision: the same to their rounding', async () => {
    const path = writeEncoder('quick', join(mkdtempSync(join(tmpdir(), 'attune-clip-')), 'half'), {
      dtype: 'F16',
    })
    const encoder = await openModelFolder(path).then(openVisionEncoder)
    const pixels = clipPixels(await readWholePicture(fixture('wide.png')), encoder.config.imageSize, 'crop')
    const { embeds } = (await encodePictures(backend, encoder, new Map([['a', pixels]]))).get('a') ?? {}
    const distance = relativeL2(
      embeds as Float32Array,
      expectedTensor('features', 'quick.wide.png.crop.embeds'),
    )
    // Half precision has 11 bits: 2^-12 a weight, and some of it adds up.
    expect(distance).toBeLessThan(2e-3)
    expect(distance).toBeGreaterThan(0)
  })
})

describe('tokens of each kind of adapter', () => {
  const all = (Object.keys(tinyModels.adapters) as TinyAdapter[]).flatMap(adapter =>
    (['original', 'diffusers'] as const).map(layout => [adapter, layout] as const),
  )
  it.each(all)(
    '%s (%s names) makes the tokens of diffusers',
    async (name: TinyAdapter, layout: AdapterLayout) => {
      const { kind, encoder, type } = tinyModels.adapters[name]
      const { adapter } = await openTinyAdapter(name, await openTinyModel(kind), layout)
      expect(adapter.facts).toMatchObject({ kind: type, layout })
      const of = type === 'base' ? 'embeds' : 'hidden'
      const given = expectedTensor('features', `${encoder}.wide.png.crop.${of}`)
      const zeros =
        type === 'base'
          ? new Float32Array(given.length)
          : expectedTensor('features', `${encoder}.zero.hidden`)
      const { projection } = adapter
      const program = await backend.compile(projection.record())
      for (const [features, expected] of [
        [given, 'tokens'],
        [zeros, 'uncond'],
      ] as const) {
        const tokens = projection.read(await program.run(await projection.inputs(features)))
        expect(tokens.length).toBe(adapter.tokens * adapter.facts.crossAttentionDim)
        expect(relativeL2(tokens, expectedTensor('features', `${name}.${expected}`))).toBeLessThan(1e-5)
      }
      program.dispose()
    },
  )
})
