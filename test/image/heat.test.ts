import { describe, expect, it } from 'vitest'
import { colormaps, colourOf, colourTable } from '../../model/image/colormap.ts'
import { greyHeat, normalise, overlayHeat, paintHeat, rangeOf, resizeHeat } from '../../model/image/heat.ts'

describe('colour maps', () => {
  // matplotlib's own tables at 0, 128 and 255.
  const tables = {
    viridis: [
      [68, 1, 84],
      [33, 145, 140],
      [253, 231, 37],
    ],
    magma: [
      [0, 0, 4],
      [183, 55, 121],
      [252, 253, 191],
    ],
    jet: [
      [0, 0, 128],
      [130, 255, 126],
      [128, 0, 0],
    ],
    grey: [
      [0, 0, 0],
      [128, 128, 128],
      [255, 255, 255],
    ],
  } as const

  it.each(colormaps)('%s is as published, within 5 of 255', name => {
    const table = colourTable(name)
    ;[0, 128, 255].forEach((index, at) => {
      tables[name][at]?.forEach((part, channel) =>
        expect(
          Math.abs((table[index * 3 + channel] as number) - part),
          `${name} ${index}`,
        ).toBeLessThanOrEqual(5),
      )
    })
  })

  it('holds its ends outside 0…1', () => {
    expect(colourOf('viridis', -3)).toEqual(colourOf('viridis', 0))
    expect(colourOf('viridis', 9)).toEqual(colourOf('viridis', 1))
  })
})

const mean = (data: Float32Array) => data.reduce((sum, value) => sum + value, 0) / data.length

describe('heat', () => {
  // The hot place is right of the middle, near the top: a swap of axes moves it.
  const map = { width: 6, height: 3, data: new Float32Array(18) }
  map.data[4] = 1

  it('keeps axes apart when resizing', () => {
    const large = resizeHeat(map, 60, 30)
    const hottest = large.data.indexOf(Math.max(...large.data))
    expect([(hottest % 60) / 10, Math.floor(hottest / 60) / 10].map(Math.floor)).toEqual([4, 0])
    expect(rangeOf(large.data).low).toBeGreaterThanOrEqual(0)
    expect(rangeOf(large.data).high).toBeLessThanOrEqual(1)
  })

  it('shrinks by areas: the mean stays', () => {
    const noise = { width: 7, height: 5, data: Float32Array.from({ length: 35 }, (_, at) => (at * 37) % 11) }
    expect(mean(resizeHeat(noise, 3, 2).data)).toBeCloseTo(mean(noise.data), 4)
    expect(resizeHeat({ width: 2, height: 2, data: Float32Array.of(0, 2, 4, 6) }, 1, 1).data[0]).toBe(3)
  })

  it('stays near every value and within their range, where it grows', () => {
    const hill = {
      width: 5,
      height: 4,
      data: Float32Array.from({ length: 20 }, (_, at) => Math.exp(-0.25 * ((at % 5) - 2) ** 2)),
    }
    const large = resizeHeat(hill, 15, 12)
    hill.data.forEach((value, at) => {
      const centre = (Math.floor(at / 5) * 3 + 1) * 15 + (at % 5) * 3 + 1
      expect(Math.abs((large.data[centre] as number) - value)).toBeLessThan(0.06)
    })
    const [inner, outer] = [rangeOf(large.data), rangeOf(hill.data)]
    expect(inner.low).toBeGreaterThanOrEqual(outer.low)
    expect(inner.high).toBeLessThanOrEqual(outer.high)
    expect([...resizeHeat({ width: 1, height: 1, data: Float32Array.of(3) }, 2, 2).data]).toEqual([
      3, 3, 3, 3,
    ])
  })

  it('leaves constants constant and makes flat maps cold', () => {
    const flat = { width: 3, height: 2, data: new Float32Array(6).fill(0.25) }
    expect([...resizeHeat(flat, 7, 5).data].every(value => Math.abs(value - 0.25) < 1e-6)).toBe(true)
    expect(normalise(0.25, rangeOf(flat.data))).toBe(0)
  })

  it('is linear in 16 bits', () => {
    const ramp = { width: 5, height: 1, data: Float32Array.of(0, 0.1, 0.2, 0.3, 0.4) }
    expect([...greyHeat(ramp, rangeOf(ramp.data))]).toEqual([0, 16384, 32768, 49151, 65535])
  })

  it('paints and overlays at the size of the map', () => {
    const range = { low: 0, high: 1 }
    const painted = paintHeat(map, range, 'grey')
    expect([painted.width, painted.height, painted.data[4 * 3], painted.data[0]]).toEqual([6, 3, 255, 0])
    const picture = { width: 6, height: 3, channels: 3 as const, data: new Uint8Array(54).fill(200) }
    const over = overlayHeat(picture, map, range, 'jet')
    // Hot: mostly dark red. Cold: the picture, a little darker.
    expect(over.data[12] as number).toBeGreaterThan((over.data[14] as number) + 50)
    expect(over.data[0]).toBe(170)
  })
})
