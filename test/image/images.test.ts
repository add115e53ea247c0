import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { encodePng, inspectPicture, readMask, readPicture } from '../../host/images.ts'
import { readPngHeader, readPngText } from '../../model/image/png-text.ts'

let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'attune-images-'))
})

afterAll(() => rm(folder, { recursive: true, force: true }))

/** Writes a file and gives its path. */
async function file(name: string, bytes: Uint8Array | string): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, bytes)
  return path
}

const raw = (width: number, height: number, channels: 1 | 2 | 3 | 4, values: readonly number[]) =>
  sharp(Uint8Array.from(values), { raw: { width, height, channels } })

describe('readPicture', () => {
  it('keeps the pixels of a picture of the wanted size', async () => {
    const values = [255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 8, 7]
    const path = await file('rgb.png', await raw(2, 2, 3, values).png().toBuffer())
    expect(await readPicture(path, 2, 2)).toEqual({
      width: 2,
      height: 2,
      channels: 3,
      data: Uint8Array.from(values),
    })
    expect(await inspectPicture(path)).toEqual({ format: 'png', width: 2, height: 2 })
  })

  it('puts transparent parts on white, and of a mask on black', async () => {
    const path = await file('rgba.png', await raw(2, 1, 4, [10, 20, 30, 255, 10, 20, 30, 0]).png().toBuffer())
    expect([...(await readPicture(path, 2, 1)).data]).toEqual([10, 20, 30, 255, 255, 255])
    expect([...(await readMask(path, 2, 1)).data]).toEqual([18, 0])
  })

  it('spreads grey, 16-bit and palette pictures', async () => {
    const grey = await file('grey.png', await raw(2, 1, 1, [7, 200]).toColourspace('b-w').png().toBuffer())
    expect([...(await readPicture(grey, 2, 1)).data]).toEqual([7, 7, 7, 200, 200, 200])
    expect([...(await readMask(grey, 2, 1)).data]).toEqual([7, 200])
    const deep = await file(
      'deep.png',
      await raw(2, 1, 3, [1, 2, 3, 250, 251, 252]).toColourspace('rgb16').png().toBuffer(),
    )
    expect([...(await readPicture(deep, 2, 1)).data]).toEqual([1, 2, 3, 250, 251, 252])
    const palette = await raw(2, 1, 3, [255, 0, 0, 0, 0, 255]).png({ palette: true }).toBuffer()
    expect([...(await readPicture(await file('palette.png', palette), 2, 1)).data]).toEqual([
      255, 0, 0, 0, 0, 255,
    ])
  })

  it('turns a photo upright', async () => {
    const photo = raw(
      32,
      16,
      3,
      Array.from({ length: 32 * 16 }, (_, i) => (i % 32 < 16 ? [255, 0, 0] : [0, 0, 255])).flat(),
    )
    const path = await file(
      'turned.jpg',
      await photo.jpeg({ quality: 100 }).withMetadata({ orientation: 6 }).toBuffer(),
    )
    expect(await inspectPicture(path)).toMatchObject({ width: 16, height: 32 })
    const { data } = await readPicture(path, 16, 32)
    // Turned by 90° clockwise: the left half is on top.
    expect(data[0]).toBeGreaterThan(240)
    expect(data[data.length - 1]).toBeGreaterThan(240)
  })

  it('resizes without keeping the aspect', async () => {
    const path = await file('wide.png', await raw(4, 1, 3, Array(12).fill(90)).png().toBuffer())
    const picture = await readPicture(path, 8, 16)
    expect([picture.width, picture.height, picture.data.length, new Set(picture.data)]).toEqual([
      8,
      16,
      384,
      new Set([90]),
    ])
  })

  it('refuses by name what it does not read', async () => {
    const svg = '<svg xmlns="http://www.w3.org/2000/svg" width="8" height="8"><script>1</script></svg>'
    const png = await raw(
      64,
      64,
      3,
      Array(64 * 64 * 3)
        .fill(0)
        .map((_, i) => (i * 31) & 255),
    )
      .png()
      .toBuffer()
    const huge = Uint8Array.from(png)
    new DataView(huge.buffer).setUint32(16, 100_000)
    new DataView(huge.buffer).setUint32(20, 100_000)
    const two = await sharp(
      [
        await raw(2, 2, 3, Array(12).fill(0)).png().toBuffer(),
        await raw(2, 2, 3, Array(12).fill(9)).png().toBuffer(),
      ],
      { join: { animated: true } },
    )
      .gif()
      .toBuffer()
    for (const [name, bytes, message] of [
      ['a.svg', svg, 'is svg, which is not read'],
      ['text.png', 'hello', 'is not a picture'],
      ['empty.png', '', 'is not a picture'],
      ['huge.png', huge, /100000x100000 pixels|is not a picture/],
      ['torn.png', png.subarray(0, png.length - 200), 'is damaged'],
      ['two.gif', two, 'holds 2 pictures'],
    ] as const) {
      await expect(readPicture(await file(name, bytes), 8, 8), name).rejects.toThrow(message)
    }
    await expect(inspectPicture(folder)).rejects.toThrow('is not a file')
    await expect(inspectPicture(join(folder, 'none.png'))).rejects.toMatchObject({ code: 'bad-argument' })
  })
})

describe('encodePng', () => {
  it('keeps every pixel and the texts, in grey, colour and with alpha', async () => {
    for (const channels of [1, 3, 4] as const) {
      const data = Uint8Array.from({ length: 5 * 3 * channels }, (_, i) => (i * 37) & 255)
      const png = await encodePng({ width: 5, height: 3, channels, data }, [{ keyword: 'k', text: 'é→' }])
      const decoded = await sharp(png)
        .toColourspace(channels === 1 ? 'b-w' : 'srgb')
        .raw()
        .toBuffer()
      expect(new Uint8Array(decoded)).toEqual(data)
      expect(readPngHeader(png)).toMatchObject({ bitDepth: 8, colorType: { 1: 0, 3: 2, 4: 6 }[channels] })
      expect((await readPngText(png)).entries[0]?.text).toBe('é→')
    }
  })

  it('refuses pixels that do not fill the size', async () => {
    await expect(encodePng({ width: 2, height: 2, channels: 3, data: new Uint8Array(5) })).rejects.toThrow(
      'not a picture',
    )
  })
})
