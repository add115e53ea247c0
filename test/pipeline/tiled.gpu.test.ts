/**
 * Tiles of the autoencoder on WebGPU, with the embedded model's own weights. Measured at 208x272 in tiles of 64: diffusers'
 * enable_tiling is up to 80/255 away from the untiled picture (512x512); this stays below 1/255.
 */
import { expect, test } from 'vitest'
import { fileURLToPath } from 'node:url'
import { openModelFolder } from '../../host/model-folder.ts'
import { AttuneError } from '../../model/contract/errors.ts'
import type { Backend } from '../../model/graph/program.ts'
import { type AutoencodeStep, decodeLatents, encodePicture } from '../../model/pipeline/autoencode.ts'
import { DiffusionModel } from '../../model/pipeline/diffusion-model.ts'
import type { AutoencoderKL } from '../../model/vae/autoencoder-kl.ts'
import { randomArray, testBackend } from '../support/gpu.ts'

const folder = fileURLToPath(new URL('../../assets/models/storybook', import.meta.url))
const { vae } = await DiffusionModel.open(await openModelFolder(folder))
/** Neither side a multiple of anything that tiles are made of. */
const size = { height: 13, width: 17 }
const [height, width] = [size.height * vae.sizeFactor, size.width * vae.sizeFactor]
const latents = waves(size.height, size.width, vae.config.latentChannels)

/** Smooth shapes and some noise: the statistics of one corner are not those of another. */
function waves(rows: number, columns: number, channels: number): Float32Array {
  const noise = randomArray(rows * columns * channels, 3)
  return noise.map((value, i) => {
    const c = i % channels
    const x = Math.floor(i / channels) % columns
    const y = Math.floor(i / channels / columns)
    return 1.5 * Math.sin(0.3 * y * (1 + (c % 3)) + 0.2 * x * (1 + (c % 5)) + c) + 0.4 * value
  })
}

interface Outcome<T> {
  readonly value: T
  readonly steps: readonly AutoencodeStep[]
}

async function finish<T>(run: AsyncGenerator<AutoencodeStep, T>): Promise<Outcome<T>> {
  const steps: AutoencodeStep[] = []
  for (;;) {
    const next = await run.next()
    if (next.done) return { value: next.value, steps }
    steps.push(next.value)
  }
}

function options(backend: Backend, tilePixels?: number, stop = (): void => undefined) {
  return {
    backend,
    compile: (graph: Parameters<Backend['compile']>[0]) => backend.compile(graph),
    stop,
    tilePixels,
  }
}

const clip = (value: number): number => Math.min(1, Math.max(-1, value)) * 127.5

/** Largest difference of two pictures in 1/255, and the largest change of it from a pixel to its neighbour. */
function compare(actual: Float32Array, expected: Float32Array): { difference: number; seam: number } {
  expect(actual.length).toBe(expected.length)
  const difference = actual.map((value, i) => clip(value) - clip(expected[i] as number))
  let largest = 0
  let seam = 0
  for (let i = 0; i < difference.length; i++) {
    const here = difference[i] as number
    largest = Math.max(largest, Math.abs(here))
    const pixel = Math.floor(i / 3)
    if (pixel % width > 0) seam = Math.max(seam, Math.abs(here - (difference[i - 3] as number)))
    if (pixel >= width) seam = Math.max(seam, Math.abs(here - (difference[i - 3 * width] as number)))
  }
  return { difference: largest, seam }
}

const wholePicture = testBackend().then(backend =>
  finish(decodeLatents(vae, latents, size, options(backend))),
)

test.each([64, 100, 176])('a picture in tiles of %i pixels is the picture', async pixels => {
  const whole = await wholePicture
  expect(whole.steps).toEqual([])
  const { value, steps } = await finish(
    decodeLatents(vae, latents, size, options(await testBackend(), pixels)),
  )
  const tiles = Math.ceil(height / pixels) * Math.ceil(width / pixels)
  expect(steps.length % (steps[0]?.tiles ?? 0)).toBe(0)
  expect(steps[0]).toMatchObject({ stage: 'decode', pass: 1, tile: 1 })
  expect(steps[0]?.tiles).toBeGreaterThanOrEqual(Math.min(tiles, 4))
  expect(steps[0]?.notice).toBeUndefined()
  const found = compare(value.image, whole.value.image)
  console.log(
    `tiles of ${pixels}: ${steps.at(-1)?.pass} passes of ${steps[0]?.tiles}, ${JSON.stringify(found)}`,
  )
  expect(found.difference).toBeLessThan(1)
  expect(found.seam).toBeLessThan(0.5)
})

test('a picture that the adapter cannot bind is done in tiles, and says so', async () => {
  const backend = await testBackend('f32', { maxStorageBufferBindingSize: 2 ** 21 })
  const { value, steps } = await finish(decodeLatents(vae, latents, size, options(backend)))
  expect(steps[0]?.notice).toMatch(
    /272x208 cannot be decoded at once here: .* tiles of 128 pixels \(.*at most 2 MiB/,
  )
  expect(steps.filter(({ notice }) => notice !== undefined).length).toBe(1)
  expect(compare(value.image, (await wholePicture).value.image).difference).toBeLessThan(1)
})

test('fault G5: a device that runs out of memory begins again in tiles', async () => {
  const backend = await testBackend()
  const compile = (graph: Parameters<Backend['compile']>[0]): ReturnType<Backend['compile']> =>
    graph.name === 'vae.decode'
      ? Promise.reject(new AttuneError('out-of-memory', 'The GPU has no memory left.'))
      : backend.compile(graph)
  const { value, steps } = await finish(decodeLatents(vae, latents, size, { ...options(backend), compile }))
  expect(steps[0]?.notice).toMatch(/The GPU has no memory left\)/)
  expect(compare(value.image, (await wholePicture).value.image).difference).toBeLessThan(1)
})

test('it can be stopped between tiles', async () => {
  let left = 3
  const stop = (): void => {
    if (left-- === 0) throw new AttuneError('cancelled', 'The run was stopped.')
  }
  const steps: AutoencodeStep[] = []
  const run = decodeLatents(vae, latents, size, options(await testBackend(), 64, stop))
  await expect(
    (async () => {
      for await (const step of run) steps.push(step)
    })(),
  ).rejects.toMatchObject({ code: 'cancelled' })
  expect(steps.length).toBeLessThan(3)
})

test('encodes in tiles what it encodes at once', async () => {
  const backend = await testBackend()
  const { image } = (await wholePicture).value
  const area = { height, width }
  const whole = await finish(encodePicture(vae, image, area, options(backend)))
  const { value, steps } = await finish(encodePicture(vae, image, area, options(backend, 96)))
  expect(steps[0]).toMatchObject({ stage: 'encode', pass: 1, tile: 1 })
  expect(steps[0]?.tiles).toBeGreaterThanOrEqual(6)
  const range = spread(vae, whole.value)
  const worst = value.reduce(
    (most, each, i) => Math.max(most, Math.abs(each - (whole.value[i] as number))),
    0,
  )
  expect(worst / range).toBeLessThan(0.01)
})

/** Range of the means, which are the first half of each position's channels. */
function spread({ config }: AutoencoderKL, moments: Float32Array): number {
  const means = moments.filter((_, i) => i % (2 * config.latentChannels) < config.latentChannels)
  return Math.max(...means) - Math.min(...means)
}
