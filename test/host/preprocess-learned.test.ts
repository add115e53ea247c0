/** Learned preprocessors: tiny networks of true architecture (test/fixtures/make/preprocess_models.py), refusals. */
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runLearned } from '../../host/preprocess/learned.ts'
import {
  findLearned,
  learnedFolder,
  type LearnedName,
  openLearned,
} from '../../host/preprocess/model-files.ts'
import { drawPoses, pointsOf, toOpenPose } from '../../model/image/preprocess/pose.ts'
import type { Pixels } from '../../model/image/resample.ts'

const models = fileURLToPath(new URL('../fixtures/preprocess/models/', import.meta.url))
let folder: string

beforeAll(async () => {
  // A space, since folders of people have them.
  folder = await mkdtemp(join(tmpdir(), 'attune learned-'))
})

afterAll(() => rm(folder, { recursive: true, force: true }))

interface Expected {
  readonly width: number
  readonly height: number
  readonly shape: readonly number[]
  readonly output: readonly number[]
}

async function expectedOf(name: LearnedName): Promise<Expected> {
  return JSON.parse(await readFile(join(models, name, 'expected.json'), 'utf8')) as Expected
}

/** The picture of the script. */
function pictureOf({ width, height }: Expected): Pixels {
  const data = new Uint8Array(width * height * 3)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      data.set([(x * 11 + y * 3) % 256, (y * 13) % 256, (x * y * 2) % 256], (y * width + x) * 3)
    }
  }
  return { width, height, channels: 3, data }
}

/** A folder of its own with a model, changed by `change`. */
async function copyOf(
  name: LearnedName,
  change: (at: string) => Promise<void> = async () => {},
): Promise<string> {
  const at = await mkdtemp(join(folder, 'model '))
  await cp(join(models, name), at, { recursive: true })
  await change(at)
  return at
}

describe('depth', () => {
  it('gives what torch gives, near bright; flip and metres turn it round', async () => {
    const expected = await expectedOf('depth')
    const model = await openLearned('depth', await copyOf('depth'))
    expect(model).toMatchObject({ type: 'dpt', precision: 'fp32', isMetric: false })
    const { hint } = await runLearned(model, pictureOf(expected))
    expect([hint.width, hint.height, hint.channels]).toEqual([32, 32, 1])
    // torch's 64×64 at 32×32: bilinear with half-pixel centres is the mean of four.
    const small = Float64Array.from({ length: 32 * 32 }, (_, i) => {
      const from = Math.floor(i / 32) * 128 + (i % 32) * 2
      return [0, 1, 64, 65].reduce((sum, step) => sum + (expected.output[from + step] as number) / 4, 0)
    })
    const low = Math.min(...small)
    const high = Math.max(...small)
    expect(high - low).toBeGreaterThan(1)
    for (const [i, value] of small.entries())
      expect(Math.abs(((value - low) / (high - low)) * 255 - (hint.data[i] as number))).toBeLessThan(1.5)
    expect([Math.min(...hint.data), Math.max(...hint.data)]).toEqual([0, 255])
    const flipped = await runLearned(model, pictureOf(expected), { flip: true })
    const metric = await runLearned({ ...model, isMetric: true }, pictureOf(expected))
    expect(flipped.hint.data).toEqual(hint.data.map(value => 255 - value))
    expect(metric.hint).toEqual(flipped.hint)
  })
})

describe('seg', () => {
  it('paints classes, in colours of the folder where it has them', async () => {
    const expected = await expectedOf('seg')
    const palette = [
      [1, 2, 3],
      [10, 20, 30],
      [100, 110, 120],
      [200, 210, 220],
    ]
    const at = await copyOf('seg', path => writeFile(join(path, 'palette.json'), JSON.stringify(palette)))
    const model = await openLearned('seg', at)
    const { hint, labels } = await runLearned(model, pictureOf(expected))
    expect([hint.width, hint.height, hint.channels]).toEqual([32, 32, 3])
    // At the middle of torch's 8×8 cells the largest class is the one that is painted.
    let right = 0
    for (let cell = 0; cell < 64; cell++) {
      const scores = [0, 1, 2, 3].map(label => expected.output[label * 64 + cell] as number)
      const at = ((Math.floor(cell / 8) * 4 + 2) * 32 + (cell % 8) * 4 + 2) * 3
      const colour = palette[scores.indexOf(Math.max(...scores))]
      if (colour?.every((part, i) => part === hint.data[at + i])) right++
    }
    expect(right).toBeGreaterThan(54)
    expect(labels?.length).toBeGreaterThan(1)
    expect(['wall', 'sky', 'grass', 'car']).toEqual(expect.arrayContaining([...(labels ?? [])]))
    const plain = await runLearned(await openLearned('seg', join(models, 'seg')), pictureOf(expected))
    expect(plain.hint.data).not.toEqual(hint.data)
  })
})

describe('pose', () => {
  it('draws the points that torch finds', async () => {
    const expected = await expectedOf('pose')
    const model = await openLearned('pose', join(models, 'pose'))
    const { hint } = await runLearned(model, pictureOf(expected), { threshold: -100 })
    const points = pointsOf(
      { count: 17, width: 12, height: 16, data: Float32Array.from(expected.output) },
      24,
      32,
    )
    expect(hint).toEqual(drawPoses(24, 32, [toOpenPose(points, -100)]))
    const none = await runLearned(model, pictureOf(expected), { threshold: 100 })
    expect(new Set(none.hint.data)).toEqual(new Set([0]))
  })
})

/** Takes a file out of a folder. */
const without = (file: string) => (at: string) => rm(join(at, file), { recursive: true })

describe('refusals before anything is loaded', () => {
  it('knows other names, and where models belong', () => {
    expect(['depth_midas', 'openpose', 'seg_ofade20k', 'canny'].map(findLearned)).toEqual([
      'depth',
      'pose',
      'seg',
      undefined,
    ])
    expect(learnedFolder('depth', { XDG_CONFIG_HOME: '/c', APPDATA: '/c' })).toMatch(/preprocessors.depth$/)
  })

  it.each([
    ['no config', without('config.json'), 'has no config.json'],
    ['no preparation', without('preprocessor_config.json'), 'has no preprocessor_config.json'],
    ['no network', without('onnx'), 'has no onnx/model.onnx'],
    [
      'an empty network',
      (at: string) => writeFile(join(at, 'onnx/model.onnx'), ''),
      'has no onnx/model.onnx',
    ],
    [
      'another kind',
      (at: string) => writeFile(join(at, 'config.json'), '{"model_type":"clip"}'),
      'kind "clip"',
    ],
    ['no kind', (at: string) => writeFile(join(at, 'config.json'), '{}'), 'kind "unnamed"'],
    ['torn text', (at: string) => writeFile(join(at, 'config.json'), '{"model'), 'is not JSON'],
    ['no object', (at: string) => writeFile(join(at, 'config.json'), '7'), 'holds no object'],
    [
      'a huge text',
      (at: string) => writeFile(join(at, 'config.json'), ' '.repeat(5 << 20)),
      'too many for a text',
    ],
    [
      'no colours',
      (at: string) => writeFile(join(at, 'palette.json'), '[[1,2,999]]'),
      'is not a list of colours',
    ],
  ] as const)('%s', async (_, change, message) => {
    await expect(openLearned('depth', await copyOf('depth', change))).rejects.toMatchObject({
      code: 'bad-model',
      message: expect.stringContaining(message),
    })
  })

  it('says which model and where when there is none', async () => {
    const nowhere = join(folder, 'nothing')
    await expect(openLearned('depth', nowhere)).rejects.toMatchObject({
      code: 'bad-model',
      message: `depth needs a network, and there is nothing at ${nowhere}.`,
      remedy: expect.stringMatching(/depth-anything-v2-small.*nothing.*--model/),
    })
    await mkdir(join(folder, 'file'), { recursive: true })
    await writeFile(join(folder, 'file', 'f'), '')
    await expect(openLearned('pose', join(folder, 'file', 'f'))).rejects.toThrow('is not a folder')
  })

  it('prefers whole numbers of bits in the order of their quality', async () => {
    const at = await copyOf('depth', async path => {
      await cp(join(path, 'onnx/model.onnx'), join(path, 'onnx/model_quantized.onnx'))
      await rm(join(path, 'onnx/model.onnx'))
    })
    expect((await openLearned('depth', at)).precision).toBe('q8')
  })

  it('says so when the network is damaged', async () => {
    const at = await copyOf('depth', path => writeFile(join(path, 'onnx/model.onnx'), 'not a network'))
    const picture: Pixels = { width: 8, height: 8, channels: 3, data: new Uint8Array(192) }
    await expect(runLearned(await openLearned('depth', at), picture)).rejects.toMatchObject({
      code: 'bad-model',
      message: expect.stringContaining('could not be run'),
      remedy: expect.stringContaining('Download it again'),
    })
  })
})
