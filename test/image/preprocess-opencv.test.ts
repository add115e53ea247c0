/** Preprocessors against OpenCV, on the pictures and numbers of test/fixtures/make/preprocess.py. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { inflateSync } from 'node:zlib'
import sharp from 'sharp'
import { beforeAll, describe, expect, it } from 'vitest'
import { canny } from '../../model/image/preprocess/canny.ts'
import { gridColours, recolorLuminance } from '../../model/image/preprocess/colours.ts'
import { resizePicture } from '../../model/image/preprocess/filters.ts'
import { blurGaussian, lineartStandard, scribbleXdog } from '../../model/image/preprocess/lines.ts'
import type { Pixels } from '../../model/image/resample.ts'

interface Bytes {
  readonly picture: string
  readonly shape: readonly number[]
  readonly data: string
}

interface Expected {
  readonly canny: readonly { picture: string; low: number; high: number; l2: boolean; bits: string }[]
  readonly blur: readonly (Bytes & { sigma: number })[]
  readonly xdog: { picture: string; threshold: number; bits: string }
  readonly lineart: Bytes
  readonly grid: Bytes & { cell: number }
  readonly luminance: Bytes
  readonly area: readonly (Bytes & { width: number; height: number })[]
  readonly cubic: readonly (Bytes & { width: number; height: number })[]
}

const folder = new URL('../fixtures/preprocess/', import.meta.url)
const expected = JSON.parse(readFileSync(new URL('expected.json', folder), 'utf8')) as Expected
const pictures: Record<string, Pixels> = {}

beforeAll(async () => {
  for (const name of ['shapes', 'clouds', 'stripes']) {
    const { data, info } = await sharp(fileURLToPath(new URL(`${name}.png`, folder)))
      .raw()
      .toBuffer({ resolveWithObject: true })
    const { width, height, channels } = info
    pictures[name] = { width, height, channels: channels === 1 ? 1 : 3, data: new Uint8Array(data) }
  }
})

const pictureOf = (name: string): Pixels => {
  const picture = pictures[name]
  if (!picture) throw new Error(`no picture ${name}`)
  return picture
}

/** How many pixels differ from packed bits, and how many bits are set. */
function compareBits(hint: Pixels, bits: string): { wrong: number; set: number } {
  const packed = Buffer.from(bits, 'base64')
  let wrong = 0
  let set = 0
  for (let i = 0; i < hint.data.length; i++) {
    const bit = ((packed[i >> 3] as number) >> (7 - (i & 7))) & 1
    set += bit
    if (bit * 255 !== hint.data[i]) wrong++
  }
  return { wrong, set }
}

/** Largest difference in levels, and the share of values that differ at all. */
function compareBytes(hint: Pixels, { shape, data }: Bytes): { most: number; differing: number } {
  const wanted = inflateSync(Buffer.from(data, 'base64'))
  expect([hint.height, hint.width]).toEqual(shape.slice(0, 2))
  expect(hint.data.length).toBe(wanted.length)
  let most = 0
  let count = 0
  hint.data.forEach((value, i) => {
    const distance = Math.abs(value - (wanted[i] as number))
    most = Math.max(most, distance)
    if (distance > 0) count++
  })
  return { most, differing: count / wanted.length }
}

describe('canny', () => {
  it.each(
    expected.canny.map(one => [`${one.picture} ${one.low}-${one.high}${one.l2 ? ' L2' : ''}`, one] as const),
  )('finds every pixel that cv2.Canny finds: %s', (_, { picture, low, high, l2, bits }) => {
    const { wrong, set } = compareBits(canny(pictureOf(picture), { low, high, l2 }), bits)
    expect(wrong).toBe(0)
    // Only where nothing is steep enough may nothing be found.
    if (picture !== 'clouds') expect(set).toBeGreaterThan(100)
  })
})

describe('other filters', () => {
  it.each(expected.blur.map(one => [one.sigma, one] as const))(
    'blur by sigma %d is cv2.GaussianBlur within a level',
    (_, one) => {
      const { most } = compareBytes(blurGaussian(pictureOf(one.picture), { sigma: one.sigma }), one)
      expect(most).toBeLessThanOrEqual(1)
    },
  )

  it('scribble_xdog agrees with the formula over OpenCV in 99.9 % of the pixels', () => {
    const { picture, threshold, bits } = expected.xdog
    const hint = scribbleXdog(pictureOf(picture), { threshold })
    const { wrong, set } = compareBits(hint, bits)
    expect(set).toBeGreaterThan(100)
    expect(wrong / hint.data.length).toBeLessThan(0.001)
  })

  it('lineart_standard agrees within a level', () => {
    const { most, differing } = compareBytes(
      lineartStandard(pictureOf(expected.lineart.picture)),
      expected.lineart,
    )
    expect(most).toBeLessThanOrEqual(1)
    expect(differing).toBeLessThan(0.01)
  })

  it('recolor_luminance agrees with OpenCV’s L within a level', () => {
    const { most } = compareBytes(recolorLuminance(pictureOf(expected.luminance.picture)), expected.luminance)
    expect(most).toBeLessThanOrEqual(1)
  })

  it('the colours of t2ia_color_grid are those of cv2.resize within a level', () => {
    const { grid } = expected
    expect(compareBytes(gridColours(pictureOf(grid.picture), grid.cell), grid).most).toBeLessThanOrEqual(1)
  })

  it.each([
    ...expected.area.map(one => ['area', one] as const),
    ...expected.cubic.map(one => ['cubic', one] as const),
  ])('resizing by %s agrees within a level', (how, one) => {
    const hint = resizePicture(pictureOf(one.picture), one.width, one.height, how)
    expect(compareBytes(hint, one).most).toBeLessThanOrEqual(1)
  })
})
