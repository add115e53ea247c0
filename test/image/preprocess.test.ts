/** What preprocessors promise beyond OpenCV's numbers: sizes, seeds, conventions, limits, refusals. */
import { describe, expect, it } from 'vitest'
import {
  findPreprocessor,
  preprocess,
  type Preprocessor,
  preprocessors,
} from '../../model/image/preprocess/catalogue.ts'
import { resizePicture } from '../../model/image/preprocess/filters.ts'
import { fitPicture, pixelPerfectResolution, workingSize } from '../../model/image/preprocess/fit.ts'
import { hintOf, inpaint } from '../../model/image/preprocess/inpaint.ts'
import { depthHint, labelColour, segmentHint } from '../../model/image/preprocess/maps.ts'
import { unknownPreprocessor } from '../../model/image/preprocess/names.ts'
import { drawPoses, pointsOf, toOpenPose } from '../../model/image/preprocess/pose.ts'
import { seededRandom } from '../../model/image/preprocess/random.ts'
import type { Pixels } from '../../model/image/resample.ts'

/** A red disc on a blue ground, with a thin dark line. */
function drawing(width = 96, height = 64): Pixels {
  const data = new Uint8Array(width * height * 3)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const isDisc = Math.hypot(x - width / 3, y - height / 2) < height / 4
      const isLine = x === Math.floor(width * 0.8)
      data.set(isLine ? [10, 10, 10] : isDisc ? [220, 40, 40] : [90, 120, 220], (y * width + x) * 3)
    }
  }
  return { width, height, channels: 3, data }
}

const flat = (value: number, width = 20, height = 12, channels: 1 | 3 | 4 = 3): Pixels => ({
  width,
  height,
  channels,
  data: new Uint8Array(width * height * channels).fill(value),
})

function named(name: string): Preprocessor {
  const one = findPreprocessor(name)
  if (!one) throw new Error(name)
  return one
}

/** A white mask where x < half. */
function halfMask({ width, height }: Pixels): Pixels {
  const data = Uint8Array.from({ length: width * height }, (_, i) => (i % width < width / 2 ? 255 : 0))
  return { width, height, channels: 1, data }
}

const masked = (one: Preprocessor, picture: Pixels) => (one.needsMask ? { mask: halfMask(picture) } : {})

describe.each(preprocessors.map(one => [one.name, one] as const))('%s', (_, one) => {
  it.each([
    [1, 1],
    [1, 9],
    [7, 1],
    [2, 2],
    [33, 17],
  ])('takes %dx%d, in grey, colour and with alpha', (width, height) => {
    for (const channels of [1, 3, 4] as const) {
      const picture = flat(100, width, height, channels)
      const mask = { mask: flat(255, width, height, 1) }
      const hint = preprocess(one, picture, one.needsMask ? mask : {})
      expect([hint.width, hint.height]).toEqual([width, height])
      expect(hint.data.length).toBe(width * height * hint.channels)
    }
  })

  it('does not change its picture, and gives the same twice', () => {
    const picture = drawing()
    const before = picture.data.slice()
    const hint = preprocess(one, picture, masked(one, picture))
    expect(preprocess(one, picture, masked(one, picture))).toEqual(hint)
    expect(picture.data).toEqual(before)
  })

  it('comes in the size of a drawing', () => {
    const picture = drawing()
    const target = { width: 64, height: 72, mode: 'crop' } as const
    const hint = preprocess(one, picture, { target, ...masked(one, picture) })
    expect([hint.width, hint.height]).toEqual([64, 72])
  })

  it('takes its options at both ends of their ranges', () => {
    const picture = drawing(40, 30)
    for (const [key, spec] of Object.entries(one.options)) {
      const values = spec.kind === 'switch' ? [true] : [spec.min, spec.max]
      for (const value of values) {
        const hint = preprocess(one, picture, { options: { [key]: value }, ...masked(one, picture) })
        expect(hint.data.length, `${key} ${value}`).toBe(hint.width * hint.height * hint.channels)
      }
      if (spec.kind === 'switch') continue
      for (const value of [spec.min - 1, spec.max + 1, NaN, Infinity, '5'])
        expect(() =>
          preprocess(one, picture, { options: { [key]: value }, ...masked(one, picture) }),
        ).toThrow(key)
    }
    expect(() => preprocess(one, picture, { options: { nonsense: 1 }, ...masked(one, picture) })).toThrow(
      `${one.name} takes no nonsense.`,
    )
  })
})

/** Of the values of a hint. */
const share = (hint: Pixels, of: (value: number) => boolean) =>
  hint.data.reduce((sum, value) => sum + (of(value) ? 1 : 0), 0) / hint.data.length

describe('what hints show', () => {
  it.each(['canny', 'scribble_xdog', 'softedge_sobel', 'lineart_dog', 'lineart_standard'])(
    '%s is white lines on black, and black of an even picture',
    name => {
      const hint = preprocess(named(name), drawing())
      expect(hint.channels).toBe(1)
      expect(share(hint, value => value > 100)).toBeGreaterThan(0.005)
      expect(share(hint, value => value < 30)).toBeGreaterThan(0.5)
      expect(share(preprocess(named(name), flat(77)), value => value > 0)).toBe(0)
    },
  )

  it('lineart_dog draws the dark line where it is', () => {
    const hint = preprocess(named('lineart_dog'), drawing())
    const row = hint.data.subarray(5 * 96, 6 * 96)
    expect(row.indexOf(Math.max(...row))).toBe(Math.floor(96 * 0.8))
  })

  it('canny with equal or swapped thresholds is canny with ordered ones', () => {
    const [ordered, swapped] = [
      { low: 100, high: 200 },
      { low: 200, high: 100 },
    ].map(options => preprocess(named('canny'), drawing(), { options }))
    expect(swapped).toEqual(ordered)
  })

  it('seg_kmeans finds the areas, each in one colour, by its seed', () => {
    const hint = preprocess(named('seg_kmeans'), drawing(), { options: { colours: 2, clean: 2 } })
    const colourAt = (x: number, y: number) => [...hint.data.subarray((y * 96 + x) * 3, (y * 96 + x) * 3 + 3)]
    expect(colourAt(32, 32)[0]).toBeGreaterThan(180)
    expect(colourAt(70, 10)[2]).toBeGreaterThan(180)
    const found = new Set(
      Array.from({ length: 96 * 64 }, (_, i) => hint.data.subarray(i * 3, i * 3 + 3).join()),
    )
    expect(found.size).toBe(2)
    const again = preprocess(named('seg_kmeans'), drawing(), { options: { colours: 2, seed: 7 } })
    expect([...again.data.subarray(0, 3)]).toEqual([...hint.data.subarray(0, 3)])
    // More colours asked for than there are.
    const few = preprocess(named('seg_kmeans'), flat(50), { options: { colours: 8 } })
    expect(new Set(few.data)).toEqual(new Set([50]))
  })

  it('shuffle moves what there is, another way for another seed', () => {
    const options = { grain: 32 }
    const first = preprocess(named('shuffle'), drawing(), { options })
    const second = preprocess(named('shuffle'), drawing(), { options: { ...options, seed: 1 } })
    expect(second.data).not.toEqual(first.data)
    // Colours of the disc are still there.
    expect(first.data.some((value, i) => i % 3 === 0 && value > 200)).toBe(true)
    expect(new Set(preprocess(named('shuffle'), flat(9), { options }).data)).toEqual(new Set([9]))
  })

  it('t2ia_color_grid is cells of one colour', () => {
    const hint = preprocess(named('color_grid'), drawing(128, 64), { options: { cell: 32 } })
    for (let y = 0; y < 64; y += 32) {
      for (let x = 0; x < 128; x += 32) {
        const colour = hint.data.subarray((y * 128 + x) * 3, (y * 128 + x) * 3 + 3).join()
        const last = ((y + 31) * 128 + x + 31) * 3
        expect(hint.data.subarray(last, last + 3).join()).toBe(colour)
      }
    }
  })

  it('tile_resample is smaller, invert and threshold are what they say', () => {
    const tile = preprocess(named('tile'), drawing(), { options: { rate: 4 } })
    expect([tile.width, tile.height]).toEqual([24, 16])
    expect([...preprocess(named('invert'), flat(10, 1, 1)).data]).toEqual([245, 245, 245])
    expect([127, 128].map(value => preprocess(named('threshold'), flat(value, 1, 1)).data[0])).toEqual([
      0, 255,
    ])
    const gamma = (value: number) =>
      preprocess(named('recolor_intensity'), flat(128, 1, 1), { options: { gamma: value } }).data[0]
    expect([gamma(1), gamma(2), gamma(0.5)]).toEqual([128, 64, 181])
    expect([0, 255].map(value => preprocess(named('recolor_luminance'), flat(value, 1, 1)).data[0])).toEqual([
      0, 255,
    ])
  })
})

describe('inpaint', () => {
  it('is −1 where the mask is white, and colours from 0 to 1 elsewhere', () => {
    const picture: Pixels = {
      width: 2,
      height: 1,
      channels: 3,
      data: Uint8Array.from([255, 51, 0, 255, 51, 0]),
    }
    const mask: Pixels = { width: 2, height: 1, channels: 1, data: Uint8Array.from([127, 128]) }
    const hint = inpaint(picture, mask)
    expect([...hint.data]).toEqual([255, 51, 0, 255, 0, 0, 0, 0])
    const numbers = [...hintOf(hint)]
    expect(numbers.slice(3)).toEqual([-1, -1, -1])
    numbers.slice(0, 3).forEach((value, i) => expect(value).toBeCloseTo([1, 0.2, 0][i] as number, 6))
  })

  it('refuses a mask that masks nothing, and to be run without one', () => {
    expect(() => inpaint(flat(9), flat(0, 20, 12, 1))).toThrow('nothing is to be drawn anew')
    expect(() => preprocess(named('inpaint'), flat(9))).toThrow('inpaint needs a mask.')
    expect(() => preprocess(named('canny'), flat(9), { mask: flat(255) })).toThrow('canny takes no mask.')
  })

  it('hints of other pictures are 0 to 1, grey in three channels', () => {
    expect([...hintOf(flat(255, 1, 1, 1))]).toEqual([1, 1, 1])
    expect([...hintOf(flat(0, 1, 1, 3))]).toEqual([0, 0, 0])
  })
})

describe('sizes', () => {
  it.each([
    // picture, target, mode, resolution: the webui's numbers
    [[1024, 768], [512, 512], 'resize', 512],
    [[1024, 768], [512, 512], 'crop', 512],
    [[1024, 768], [512, 512], 'fill', 384],
    [[600, 900], [768, 512], 'crop', 768],
    [[600, 900], [768, 512], 'fill', 341],
    [[512, 512], [512, 512], 'fill', 512],
    [[3000, 10], [512, 512], 'fill', 2],
    // Half goes to the even number.
    [[2, 2], [5, 1], 'fill', 1],
    [[4, 4], [1, 5], 'fill', 1],
  ] as const)('pixel-perfect for %j to %j, %s', ([width, height], [wide, high], mode, wanted) => {
    expect(pixelPerfectResolution({ width, height }, { width: wide, height: high }, mode)).toBe(wanted)
  })

  it('works at the shorter side and keeps the aspect', () => {
    expect(workingSize({ width: 300, height: 200 }, 512)).toEqual({ width: 768, height: 512 })
    expect(() => workingSize({ width: 16_000, height: 8 }, 512)).toThrow('more than 16384 a side')
    const huge = { width: 8000, height: 8000, channels: 1, data: new Uint8Array(0) } as const
    expect(() => preprocess(named('canny'), huge)).toThrow('8000x8000 pixels, more than')
  })

  const ramp: Pixels = {
    width: 8,
    height: 4,
    channels: 1,
    data: Uint8Array.from({ length: 32 }, (_, i) => (i % 8) * 30),
  }

  it('crop covers and cuts evenly', () => {
    const hint = fitPicture(ramp, { width: 4, height: 4 }, 'crop')
    expect([...hint.data.subarray(0, 4)]).toEqual([60, 90, 120, 150])
  })

  it('fill fits inside, with the median of the border around', () => {
    const hint = fitPicture(ramp, { width: 8, height: 8 }, 'fill')
    const rows = Array.from({ length: 8 }, (_, y) => [...hint.data.subarray(y * 8, y * 8 + 8)])
    expect(rows[2]).toEqual([...ramp.data.subarray(0, 8)])
    expect(new Set(rows[0])).toEqual(new Set([105]))
    expect(rows[7]).toEqual(rows[0])
  })

  it('resize does not keep the aspect; flat areas get no new colours', () => {
    expect(fitPicture(ramp, { width: 4, height: 8 }, 'resize')).toMatchObject({ width: 4, height: 8 })
    const areas: Pixels = { width: 4, height: 1, channels: 1, data: Uint8Array.from([0, 0, 200, 200]) }
    expect(new Set(fitPicture(areas, { width: 7, height: 3 }, 'resize', true).data)).toEqual(
      new Set([0, 200]),
    )
    expect(resizePicture(areas, 4, 1)).toBe(areas)
  })

  it('keeps alpha apart', () => {
    const picture: Pixels = {
      width: 2,
      height: 1,
      channels: 4,
      data: Uint8Array.from([9, 8, 7, 255, 9, 8, 7, 0]),
    }
    expect([...fitPicture(picture, { width: 4, height: 2 }, 'resize', true).data.subarray(0, 16)]).toEqual([
      9, 8, 7, 255, 9, 8, 7, 255, 9, 8, 7, 0, 9, 8, 7, 0,
    ])
  })
})

describe('results of networks', () => {
  it('depth: the nearest is white, the farthest black; the same everywhere is black', () => {
    const plane = { width: 3, height: 1, data: Float32Array.from([1, 3, 2]) }
    expect([...depthHint(plane, false).data]).toEqual([0, 255, 128])
    expect([...depthHint(plane, true).data]).toEqual([255, 0, 128])
    expect([...depthHint({ ...plane, data: new Float32Array(3).fill(4) }, false).data]).toEqual([0, 0, 0])
    expect(() => depthHint({ ...plane, data: Float32Array.from([1, NaN, 2]) }, false)).toThrow('not numbers')
  })

  it('segments: colours of classes, white for a foreground, black for nothing', () => {
    const segments = [
      { label: 1, mask: Uint8Array.from([255, 0, 0]) },
      { mask: Uint8Array.from([0, 255, 0]) },
    ]
    expect([...segmentHint(3, 1, segments, () => [1, 2, 3]).data]).toEqual([1, 2, 3, 255, 255, 255, 0, 0, 0])
    const colours = Array.from({ length: 150 }, (_, label) => labelColour(label).join())
    expect(new Set(colours).size).toBe(150)
  })

  it('pose: the hottest places, the neck between the shoulders, unsure points left out', () => {
    const data = new Float32Array(17 * 16)
    for (let map = 0; map < 17; map++) data[map * 16 + 5] = 0.9
    // The left shoulder is at (2, 1), and between (2, 1) and (3, 1).
    data.fill(0, 5 * 16, 6 * 16)
    data[5 * 16 + 6] = 0.8
    data[5 * 16 + 7] = 0.5
    data.fill(0, 3 * 16, 4 * 16)
    const points = pointsOf({ count: 17, width: 4, height: 4, data }, 40, 40)
    expect(points[0]).toMatchObject({ x: 15, y: 15 })
    expect(points[5]).toMatchObject({ x: 27.5, y: 15 })
    const person = toOpenPose(points, 0.3)
    expect(person.length).toBe(18)
    expect(person[1]).toMatchObject({ x: 21.25, y: 15 })
    expect(person[17]).toBeUndefined()
    const hint = drawPoses(40, 40, [person])
    expect([...hint.data.subarray(0, 3)]).toEqual([0, 0, 0])
    expect(hint.data.some(value => value > 200)).toBe(true)
  })
})

describe('names', () => {
  it('has those of other programs, each once', () => {
    const all = preprocessors.flatMap(one => [one.name, ...one.aliases])
    expect(new Set(all).size).toBe(all.length)
    for (const name of [
      'canny',
      'scribble_xdog',
      'lineart_standard',
      't2ia_color_grid',
      'tile_resample',
      'invert',
    ])
      expect(findPreprocessor(name)?.name).toBe(name)
  })

  it.each([
    ['softedge_hed', 'softedge_sobel'],
    ['lineart_anime', 'lineart_standard'],
    ['scribble_pidinet', 'scribble_xdog'],
    ['mlsd', 'canny'],
    ['dw_openpose_full', 'pose'],
    ['reference_only', 'image prompt'],
  ])('of %s says that it is a network, and names what is nearest', (name, nearest) => {
    const error = unknownPreprocessor(name, ['depth'])
    expect(error.message).toContain('a network that Attune does not run')
    expect(error.remedy).toContain(nearest)
  })

  it('of others lists what there is', () => {
    expect(unknownPreprocessor('cany', ['depth']).remedy).toMatch(/canny.*shuffle, depth\.$/)
  })
})

describe('seeded chance', () => {
  it('is the same on every machine, and even', () => {
    const random = seededRandom(1)
    expect([random(), random()].map(value => value.toFixed(9))).toMatchInlineSnapshot(`
      [
        "0.367875543",
        "0.081613120",
      ]
    `)
    const values = Array.from({ length: 10_000 }, seededRandom(2))
    expect(values.every(value => value >= 0 && value < 1)).toBe(true)
    expect(values.reduce((sum, value) => sum + value, 0) / values.length).toBeCloseTo(0.5, 1)
  })
})
