import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { maskSide, readControlMask } from '../../host/masks.ts'
import { maskSchema } from '../../model/contract/controls.ts'
import { temporaryFolder } from '../cli/support.ts'

type Colour = readonly [number, number, number, number]
const [white, black, empty, ink]: Colour[] = [
  [255, 255, 255, 255],
  [0, 0, 0, 255],
  [255, 255, 255, 0],
  [0, 0, 0, 255],
]

/** A picture of RGBA pixels, and the mask that is read from it. */
async function maskOf(
  width: number,
  height: number,
  colourAt: (x: number, y: number) => Colour | undefined,
  format: 'png' | 'webp' = 'png',
) {
  const path = join(await temporaryFolder(), `mask.${format}`)
  const data = Uint8Array.from(
    Array.from(
      { length: width * height },
      (_, i) => colourAt(i % width, Math.floor(i / width)) ?? [0, 0, 0, 255],
    ).flat(),
  )
  const picture = sharp(data, { raw: { width, height, channels: 4 } })
  await writeFile(
    path,
    await (format === 'png' ? picture.png() : picture.webp({ lossless: true })).toBuffer(),
  )
  const mask = await readControlMask(path)
  expect(maskSchema.parse(mask)).toEqual(mask)
  return { width: mask.width, height: mask.height, bytes: [...Buffer.from(mask.data, 'base64')] }
}

describe('mask pictures', () => {
  it('reads white as inside, black as outside, grey between', async () => {
    const colours: Colour[] = [white as Colour, black as Colour, [128, 128, 128, 255], [255, 0, 0, 255]]
    for (const format of ['png', 'webp'] as const) {
      const mask = await maskOf(4, 1, x => colours[x], format)
      expect(mask).toEqual({ width: 4, height: 1, bytes: [255, 0, 128, 76] })
    }
  })

  it('reads strokes on an empty layer, white ones and dark ones', async () => {
    expect((await maskOf(2, 2, x => (x ? white : empty))).bytes).toEqual([0, 255, 0, 255])
    expect((await maskOf(2, 2, x => (x ? ink : empty))).bytes).toEqual([0, 255, 0, 255])
    expect((await maskOf(2, 1, x => (x ? [255, 255, 255, 51] : black))).bytes).toEqual([0, 51])
  })

  it('reads pictures of one channel', async () => {
    const path = join(await temporaryFolder(), 'grey.png')
    const grey = sharp(Uint8Array.of(0, 200), { raw: { width: 2, height: 1, channels: 1 } })
    await writeFile(path, await grey.toColourspace('b-w').png().toBuffer())
    expect([...Buffer.from((await readControlMask(path)).data, 'base64')]).toEqual([0, 200])
  })

  it('makes large pictures small by area, and loses no lit pixel', async () => {
    const half = await maskOf(1024, 512, x => (x < 514 ? white : black))
    expect([half.width, half.height]).toEqual([maskSide, 128])
    // 514 / 4 = 128.5 columns.
    expect(half.bytes.slice(126, 131)).toEqual([255, 255, 128, 0, 0])
    const dot = await maskOf(2048, 40, (x, y) => (x === 1000 && y === 20 ? [40, 40, 40, 255] : black))
    expect([dot.width, dot.height, dot.bytes.filter(Boolean)]).toEqual([256, 5, [1]])
  })

  it('refuses what is no mask', async () => {
    const folder = await temporaryFolder()
    await expect(readControlMask(join(folder, 'none.png'))).rejects.toThrow(/There is no file/)
    await expect(maskOf(2, 2, () => black)).rejects.toThrow(
      expect.objectContaining({
        code: 'bad-argument',
        message: expect.stringContaining('all black or empty'),
      }),
    )
    await expect(maskOf(2, 2, () => [0, 0, 0, 0])).rejects.toThrow(/all black or empty/)
    const text = join(folder, 'text.png')
    await writeFile(text, 'not a picture')
    await expect(readControlMask(text)).rejects.toThrow(expect.objectContaining({ code: 'bad-file' }))
  })
})
