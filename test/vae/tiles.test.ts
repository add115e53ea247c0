/** Tiles of the autoencoder on the oracle: where they lie, how far their edges are wrong, and what they add up to. */
import { describe, expect, test } from 'vitest'
import { createInterpreterBackend } from '../../model/graph/interpreter.ts'
import { AutoencoderKL } from '../../model/vae/autoencoder-kl.ts'
import { parseVaeConfig } from '../../model/vae/config.ts'
import { Moments } from '../../model/vae/shared-norms.ts'
import { contaminatedEdge, planTiles } from '../../model/vae/tiles.ts'
import { runTiled, type TileStep } from '../../model/vae/tiled.ts'
import { randomArray } from '../support/gpu.ts'
import { shapeWeights } from '../support/shape-weights.ts'
import { tinyNetworks } from '../support/tiny-networks.ts'

describe('the plan', () => {
  test.each([
    [1, 1, 1, 0],
    [7, 5, 3, 2],
    [16, 16, 16, 4],
    [37, 23, 8, 5],
    [100, 9, 13, 1],
    [6, 40, 4, 30],
  ])('%i x %i cells in cores of %i with %i around', (height, width, core, halo) => {
    const tiles = planTiles(height, width, core, halo)
    const seen = new Uint8Array(height * width)
    for (const { window, core: inner } of tiles) {
      expect([window.height, window.width]).toEqual([tiles[0]?.window.height, tiles[0]?.window.width])
      expect(inner.height).toBeLessThanOrEqual(core)
      expect(inner.width).toBeLessThanOrEqual(core)
      for (const [start, size, from, count, length] of [
        [window.top, window.height, inner.top, inner.height, height],
        [window.left, window.width, inner.left, inner.width, width],
      ] as const) {
        expect(start).toBeGreaterThanOrEqual(0)
        expect(start + size).toBeLessThanOrEqual(length)
        // As much as is needed on each side, or the edge of the picture.
        expect(from - start >= halo || start === 0).toBe(true)
        expect(start + size - (from + count) >= halo || start + size === length).toBe(true)
      }
      for (let y = 0; y < inner.height; y++) {
        for (let x = 0; x < inner.width; x++) {
          const cell = (inner.top + y) * width + inner.left + x
          seen[cell] = (seen[cell] ?? 0) + 1
        }
      }
    }
    expect(seen.every(count => count === 1)).toBe(true)
  })

  test('the depth of wrong edges of Stable Diffusion', () => {
    const vae = AutoencoderKL.create(
      parseVaeConfig({
        block_out_channels: [128, 256, 512, 512],
        down_block_types: Array<string>(4).fill('DownEncoderBlock2D'),
        layers_per_block: 2,
        up_block_types: Array<string>(4).fill('UpDecoderBlock2D'),
      }),
      shapeWeights(),
    )
    // The last level: 6 convolutions of its resnets and the last one. Before it: 6 and one behind the up-sampling, twice.
    expect(contaminatedEdge(vae.recordDecodeTail({ batch: 1, height: 8, width: 8 }, 3))).toBe(7)
    expect(contaminatedEdge(vae.recordDecodeTail({ batch: 1, height: 8, width: 8 }, 2))).toBe(2 * 6 + 1 + 7)
    // The first convolution and 4 of the resnets, then one every second pixel.
    expect(contaminatedEdge(vae.recordEncodeFront({ batch: 1, height: 16, width: 16 }, 1))).toBe(3)
    expect(() => contaminatedEdge(vae.recordDecode({ batch: 1, height: 8, width: 8 }))).toThrow(
      /sees every position/,
    )
  })
})

test('moments of parts are the moments of the whole', () => {
  const values = randomArray(60, 1).map(value => 1000 + value)
  const mean = values.reduce((sum, value) => sum + value, 0) / 60
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 60
  const moments = new Moments(1)
  for (const [start, end] of [
    [0, 7],
    [7, 40],
    [40, 60],
  ] as const) {
    const part = values.subarray(start, end)
    const own = part.reduce((sum, value) => sum + value, 0) / part.length
    const spread = part.reduce((sum, value) => sum + (value - own) ** 2, 0) / part.length
    moments.addRow(Float32Array.of(own, spread), part.length)
  }
  expect(moments.means[0]).toBeCloseTo(mean, 3)
  expect(moments.variance(0)).toBeCloseTo(variance, 3)
})

const none = (): void => undefined

describe.each(['sd1', 'story'] as const)('%s', kind => {
  test('decodes in tiles what it decodes at once', async () => {
    const { vae } = await tinyNetworks(kind)
    const backend = createInterpreterBackend()
    const size = { height: 7, width: 9 }
    const latents = randomArray(7 * 9 * vae.config.latentChannels, 3)
    const whole = await backend.compile(vae.recordDecode({ batch: 1, ...size }))
    const { image = new Float32Array() } = await whole.run({ latents })
    const blocks = vae.levels - 1
    const head = await backend.compile(vae.recordDecodeHead({ batch: 1, ...size }, blocks))
    const { hidden = new Float32Array() } = await head.run({ latents })
    const cells = { height: size.height * vae.sizeFactor, width: size.width * vae.sizeFactor }
    const run = runTiled({
      record: (height, width) => vae.recordDecodeTail({ batch: 1, height, width }, blocks),
      input: { ...cells, channels: hidden.length / (cells.height * cells.width), data: hidden },
      cells,
      inputScale: 1,
      outputScale: 1,
      outputChannels: 3,
      core: 24,
      compile: graph => backend.compile(graph),
      stop: none,
    })
    const { value, steps } = await finish(run)
    expect(steps.length).toBeGreaterThanOrEqual(6)
    expect(new Set(steps.map(({ tiles }) => tiles)).size).toBe(1)
    const range = Math.max(...image) - Math.min(...image)
    expect(largest(value.data, image) / range).toBeLessThan(0.5 / 255)
  })

  test('encodes in tiles what it encodes at once', async () => {
    const { vae } = await tinyNetworks(kind)
    const backend = createInterpreterBackend()
    const size = { height: 5 * vae.sizeFactor, width: 6 * vae.sizeFactor }
    const image = randomArray(size.height * size.width * 3, 5)
    const whole = await backend.compile(vae.recordEncode({ batch: 1, ...size }))
    const { moments = new Float32Array() } = await whole.run({ image })
    const blocks = 1
    const cells = { height: size.height / 2, width: size.width / 2 }
    const rest = vae.recordEncodeRest({ batch: 1, ...cells }, blocks)
    const run = runTiled({
      record: (height, width) => vae.recordEncodeFront({ batch: 1, height, width }, blocks),
      input: { ...size, channels: 3, data: image },
      cells,
      inputScale: 2,
      outputScale: 1,
      outputChannels: rest.inputs.get('hidden')?.shape.at(-1) ?? 0,
      core: 11,
      compile: graph => backend.compile(graph),
      stop: none,
    })
    const { value } = await finish(run)
    const { moments: found = new Float32Array() } = await (await backend.compile(rest)).run({
      hidden: value.data,
    })
    const spread = Math.max(...moments.map(Math.abs))
    expect(largest(found, moments) / spread).toBeLessThan(0.01)
  })
})

async function finish<T>(run: AsyncGenerator<TileStep, T>): Promise<{ value: T; steps: TileStep[] }> {
  const steps: TileStep[] = []
  for (;;) {
    const next = await run.next()
    if (next.done) return { value: next.value, steps }
    steps.push(next.value)
  }
}

function largest(a: Float32Array, b: Float32Array): number {
  expect(a.length).toBe(b.length)
  return a.reduce((worst, value, i) => Math.max(worst, Math.abs(value - (b[i] as number))), 0)
}
