import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { type Pixels, resizeLanczos, toGrey } from '../../model/image/resample.ts'

interface Case {
  readonly source: [number, number]
  readonly target: [number, number]
  readonly rgb: string
  readonly grey: string
}

/** Made by make_resample.py with Pillow. */
const cases = JSON.parse(readFileSync(new URL('resample.json', import.meta.url), 'utf8')) as Case[]

function picture(width: number, height: number): Pixels {
  let state = 12345n
  const data = new Uint8Array(width * height * 3).map(() => {
    state = (state * 1103515245n + 12345n) % 2n ** 31n
    return Number(state >> 23n)
  })
  return { width, height, channels: 3, data }
}

const sha = (data: Uint8Array) => createHash('sha256').update(data).digest('hex')

describe('resizeLanczos', () => {
  it.each(cases)('gives the bytes of Pillow: $source to $target', ({ source, target, rgb, grey }) => {
    const resized = resizeLanczos(picture(...source), ...target)
    expect([resized.width, resized.height]).toEqual(target)
    expect(sha(resized.data)).toBe(rgb)
    expect(sha(toGrey(resized).data)).toBe(grey)
  })

  it('returns the same pixels for the same size', () => {
    const source = picture(6, 5)
    expect(resizeLanczos(source, 6, 5)).toBe(source)
  })

  it('keeps a flat colour flat', () => {
    const flat: Pixels = { width: 3, height: 3, channels: 3, data: new Uint8Array(27).fill(200) }
    expect(new Set(resizeLanczos(flat, 50, 2).data)).toEqual(new Set([200]))
  })
})
