/** Pictures of guides at the size that is drawn. */
import { describe, expect, it } from 'vitest'
import { fit, hintOf } from '../../model/controlnet/hint.ts'
import { type Pixels, resizeLanczos } from '../../model/image/resample.ts'

/** Columns of grey 10, 20, 30 …, one channel. */
const columns = (width: number, height: number): Pixels => ({
  width,
  height,
  channels: 1,
  data: Uint8Array.from({ length: width * height }, (_, i) => 10 * ((i % width) + 1)),
})

describe('resizing', () => {
  it('stretches as diffusers does', () => {
    expect(fit(columns(4, 4), 8, 2, 'stretch')).toEqual(resizeLanczos(columns(4, 4), 8, 2))
  })

  it('crops what is too much, in the middle', () => {
    expect([...fit(columns(6, 2), 2, 2, 'crop').data]).toEqual([30, 40, 30, 40])
    expect([...fit(columns(5, 2), 2, 2, 'crop').data]).toEqual([20, 30, 20, 30])
  })

  it('fills what is missing with the colour of the border', () => {
    const source: Pixels = { width: 2, height: 2, channels: 1, data: Uint8Array.from([9, 9, 9, 200]) }
    const filled = fit(source, 5, 2, 'fill')
    expect([...filled.data]).toEqual([9, 9, 9, 9, 9, 9, 9, 200, 9, 9])
    expect(filled.width).toBe(5)
  })

  it('refuses pictures that would be enormous before they are cropped', () => {
    expect(() => fit(columns(1, 5000), 64, 64, 'crop')).toThrow('too narrow to be cropped')
    expect(fit(columns(1, 5000), 64, 64, 'fill').height).toBe(64)
  })
})

describe('hints', () => {
  const options = { width: 1, height: 1, resize: 'stretch', channelOrder: 'rgb' } as const

  it('are RGB from 0 to 1', () => {
    const picture: Pixels = { width: 1, height: 1, channels: 3, data: Uint8Array.from([255, 51, 0]) }
    expect([...hintOf(picture, options)]).toEqual([1, Math.fround(0.2), 0])
    expect([...hintOf(picture, { ...options, channelOrder: 'bgr' })]).toEqual([0, Math.fround(0.2), 1])
  })

  it('repeat grey and leave alpha out', () => {
    const grey: Pixels = { width: 1, height: 1, channels: 1, data: Uint8Array.from([51]) }
    expect([...hintOf(grey, options)]).toEqual(Array<number>(3).fill(Math.fround(0.2)))
    const alpha: Pixels = { width: 1, height: 1, channels: 4, data: Uint8Array.from([255, 0, 51, 7]) }
    expect([...hintOf(alpha, options)]).toEqual([1, 0, Math.fround(0.2)])
  })
})
