/** Every kind of picture that a person may bring, through every door that reads one: right, or refused by name. */
import { mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { inspectPicture, pictureLimits, readMask, readPicture, readWholePicture } from '../../host/images.ts'
import { readControlMask } from '../../host/masks.ts'
import { makeChunk } from '../../model/image/png-text.ts'

let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'attune-pictures-'))
})

afterAll(() => rm(folder, { recursive: true, force: true }))

async function file(name: string, bytes: Uint8Array | string): Promise<string> {
  const path = join(folder, name)
  await writeFile(path, bytes)
  return path
}

/** All doors. A door that lets a wrong file in is a hole, however tight the others are. */
const doors = [
  ['inspectPicture', inspectPicture],
  ['readPicture', (path: string) => readPicture(path, 8, 8)],
  ['readWholePicture', readWholePicture],
  ['readMask', (path: string) => readMask(path, 8, 8)],
  ['readControlMask', readControlMask],
] as const

const colours = [200, 30, 30, 30, 200, 30, 30, 30, 200, 128, 128, 128]
const raw = (width: number, height: number, channels: 1 | 2 | 3 | 4, values: readonly number[]) =>
  sharp(Uint8Array.from(values), { raw: { width, height, channels } })
const rgb = () => raw(2, 2, 3, colours)
/** Noise, so that no format makes it small. */
const noise = () =>
  sharp({
    create: {
      width: 64,
      height: 64,
      channels: 3,
      background: '#888',
      noise: { type: 'gaussian', mean: 128, sigma: 40 },
    },
  })

/** An uncompressed TIFF of any kind of numbers. @param sampleFormat 1 whole, 2 signed, 3 floating */
function tiff(
  bands: number,
  bits: number,
  sampleFormat: number,
  photometric: number,
  data: Uint8Array,
  width: number,
): Buffer {
  const height = data.length / ((bands * bits) / 8) / width
  const tags: [tag: number, type: 3 | 4, values: number[]][] = [
    [256, 3, [width]],
    [257, 3, [height]],
    [258, 3, Array<number>(bands).fill(bits)],
    [259, 3, [1]],
    [262, 3, [photometric]],
    [273, 4, [0]],
    [277, 3, [bands]],
    [278, 3, [height]],
    [279, 4, [data.length]],
    [339, 3, Array<number>(bands).fill(sampleFormat)],
  ]
  const start = 8 + 2 + tags.length * 12 + 4
  const extra: number[] = []
  const place = () => start + extra.length * 2
  const bytes = Buffer.alloc(start)
  bytes.write('II*\0', 0, 'latin1')
  bytes.writeUInt32LE(8, 4)
  bytes.writeUInt16LE(tags.length, 8)
  tags.forEach(([tag, type, values], i) => {
    const at = 10 + i * 12
    bytes.writeUInt16LE(tag, at)
    bytes.writeUInt16LE(type, at + 2)
    bytes.writeUInt32LE(values.length, at + 4)
    if (values.length > 2) {
      bytes.writeUInt32LE(place(), at + 8)
      extra.push(...values)
    } else if (type === 3) values.forEach((value, k) => bytes.writeUInt16LE(value, at + 8 + k * 2))
    else bytes.writeUInt32LE(values[0] as number, at + 8)
  })
  bytes.writeUInt32LE(place(), 10 + 5 * 12 + 8)
  return Buffer.concat([bytes, Buffer.from(Uint16Array.from(extra).buffer), data])
}

const bytesOf = (values: Float32Array | Uint32Array | Int16Array | Float64Array) =>
  new Uint8Array(values.buffer)

/** A PNG of one pixel whose header says another size; checksums are right. */
async function claiming(width: number, height: number): Promise<Buffer> {
  const png = await raw(1, 1, 3, [1, 2, 3]).png().toBuffer()
  const header = Buffer.from(png.subarray(16, 29))
  header.writeUInt32BE(width, 0)
  header.writeUInt32BE(height, 4)
  return Buffer.concat([png.subarray(0, 8), makeChunk('IHDR', header), png.subarray(33)])
}

/** An animated PNG: the still one with the chunk that says so. */
async function animatedPng(): Promise<Buffer> {
  const png = await rgb().png().toBuffer()
  const control = Buffer.from([0, 0, 0, 3, 0, 0, 0, 0])
  return Buffer.concat([png.subarray(0, 33), makeChunk('acTL', control), png.subarray(33)])
}

const frames = async () =>
  sharp([await rgb().png().toBuffer(), await rgb().negate().png().toBuffer()], { join: { animated: true } })

describe('fault I9: read right', () => {
  it.each([
    ['png', () => rgb().png(), 0],
    ['palette png', () => rgb().png({ palette: true }), 0],
    ['16-bit png', () => rgb().toColourspace('rgb16').png(), 0],
    ['interlaced png', () => rgb().png({ progressive: true }), 0],
    ['png in Display P3', () => rgb().withIccProfile('p3').png(), 3],
    ['webp', () => rgb().webp({ lossless: true }), 0],
    ['avif', () => rgb().avif({ lossless: true }), 0],
    ['gif', () => rgb().gif(), 3],
    ['tiff', () => rgb().tiff({ compression: 'lzw' }), 0],
    ['16-bit tiff', () => rgb().toColourspace('rgb16').tiff({ compression: 'lzw' }), 0],
    ['Lab tiff', () => rgb().toColourspace('lab').tiff({ compression: 'lzw' }), 1],
    ['linear light tiff', () => rgb().toColourspace('scrgb').tiff({ compression: 'lzw' }), 1],
    // Ink cannot show every colour: the primaries move, the grey stays.
    ['CMYK tiff', () => rgb().toColourspace('cmyk').tiff({ compression: 'lzw' }), 100],
    ['CMYK jpeg', () => rgb().toColourspace('cmyk').jpeg({ quality: 100, chromaSubsampling: '4:4:4' }), 100],
    ['jpeg', () => rgb().jpeg({ quality: 100, chromaSubsampling: '4:4:4' }), 60],
  ] as const)('%s', async (name, make, tolerance) => {
    const path = await file(`${name.replaceAll(' ', '-')}.bin`, await make().toBuffer())
    const { data, ...size } = await readWholePicture(path)
    expect(size).toEqual({ width: 2, height: 2, channels: 3 })
    expect(await readPicture(path, 2, 2)).toEqual({ ...size, data })
    data.forEach((value, i) =>
      expect(Math.abs(value - (colours[i] as number))).toBeLessThanOrEqual(tolerance),
    )
    // Red, green and blue stay the largest of their pixels, whatever the conversion.
    for (const pixel of [0, 1, 2]) {
      const parts = [...data.subarray(pixel * 3, pixel * 3 + 3)]
      expect(parts.indexOf(Math.max(...parts))).toBe(pixel)
    }
  })

  it.each([
    [
      'grey with alpha',
      () => raw(2, 1, 2, [10, 255, 200, 0]).toColourspace('b-w').png(),
      [10, 10, 10, 255, 255, 255],
    ],
    [
      '16-bit RGB with alpha',
      () => raw(2, 1, 4, [10, 20, 30, 255, 9, 9, 9, 0]).toColourspace('rgb16').png(),
      [10, 20, 30, 255, 255, 255],
    ],
    ['half transparent', () => raw(1, 1, 4, [0, 0, 0, 128]).webp({ lossless: true }), [127, 127, 127]],
    [
      '1-bit grey',
      () =>
        raw(2, 1, 3, [255, 255, 255, 0, 0, 0])
          .toColourspace('b-w')
          .tiff({ bitdepth: 1, compression: 'none' }),
      [255, 255, 255, 0, 0, 0],
    ],
  ] as const)('%s', async (name, make, wanted) => {
    const path = await file(`${name.replaceAll(' ', '-')}.bin`, await make().toBuffer())
    expect([...(await readWholePicture(path)).data]).toEqual(wanted)
  })

  it.each([1, 2, 3, 4, 5, 6, 7, 8])('orientation %d, of JPEG, TIFF and WebP', async orientation => {
    // A red mark in the upper left of an upright picture, stored as the orientation says.
    const upright = await sharp({ create: { width: 48, height: 32, channels: 3, background: '#0000ff' } })
      .composite([
        { input: { create: { width: 16, height: 16, channels: 3, background: '#ff0000' } }, left: 0, top: 0 },
      ])
      .png()
      .toBuffer()
    const turn = [0, 0, 0, 180, 180, 90, 270, 270, 90][orientation] as number
    const isMirrored = [2, 4, 5, 7].includes(orientation)
    const turned = await sharp(upright).rotate(turn).png().toBuffer()
    const stored = await (isMirrored ? sharp(turned).flop() : sharp(turned)).png().toBuffer()
    for (const format of ['jpeg', 'tiff', 'webp'] as const) {
      const bytes = await sharp(stored)[format]({ quality: 100 }).withMetadata({ orientation }).toBuffer()
      const path = await file(`turned-${orientation}.${format}`, bytes)
      expect(await inspectPicture(path)).toMatchObject({ width: 48, height: 32 })
      const { data } = await readPicture(path, 48, 32)
      const at = (x: number, y: number) => [...data.subarray((y * 48 + x) * 3, (y * 48 + x) * 3 + 3)]
      expect(at(8, 8)[0], format).toBeGreaterThan(200)
      for (const [x, y] of [
        [40, 8],
        [8, 28],
        [40, 28],
      ] as const)
        expect(at(x, y)[2], format).toBeGreaterThan(200)
      const mask = await readMask(path, 48, 32)
      expect(mask.data[8 * 48 + 8]).not.toBe(mask.data[28 * 48 + 40])
    }
  })
})

const svg = (inside: string) =>
  `<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="8" height="8">${inside}</svg>`

/** name, bytes, what is said */
const refused: readonly (readonly [
  string,
  () => Uint8Array | string | Promise<Uint8Array>,
  string | RegExp,
])[] = [
  ['nothing.png', () => '', 'is empty'],
  ['text.png', () => 'hello, I am a text', 'is not a picture'],
  ['one-byte.jpg', () => 'x', 'is not a picture'],
  ['zeros.png', () => new Uint8Array(4096), 'is not a picture'],
  ['signature-only.png', () => Buffer.from('89504e470d0a1a0a', 'hex'), 'is damaged'],
  [
    'svg.png',
    () => svg('<image xlink:href="file:///etc/passwd" width="8" height="8"/>'),
    'is svg, which is not read',
  ],
  ['remote.svg', () => svg('<image href="http://127.0.0.1:9/x.png" width="8" height="8"/>'), 'is svg'],
  [
    'entities.svg',
    () => `<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY a "aaaa">]>${svg('<text>&a;</text>')}`,
    'is svg',
  ],
  ['document.png', () => '%PDF-1.7\n1 0 obj', 'is pdf'],
  ['bitmap.png', () => Buffer.concat([Buffer.from('BM'), Buffer.alloc(60)]), 'is bmp'],
  ['layers.psd', () => '8BPS\0\x01 and so on', 'is psd'],
  ['old.ppm', () => 'P6 1 1 255\nabc', 'is netpbm'],
  ['film.avif', () => Buffer.from('\0\0\0\x20ftypisom\0\0\x02\0isomiso2', 'latin1'), 'is a film'],
  [
    'phone.jpg',
    () => Buffer.from('\0\0\0\x24ftypheic\0\0\0\0mif1heic', 'latin1'),
    'is heic, which is not read',
  ],
  ['packed.png', () => Buffer.from('1f8b0800000000000003', 'hex'), 'is gzip'],
  ['bomb.png', () => claiming(60_000, 60_000), '60000x60000 pixels; at most 16384'],
  ['long.png', () => claiming(100_000, 1), '100000x1 pixels'],
  ['wide-bomb.png', () => claiming(16_000, 16_000), '16000x16000 pixels'],
  ['no-pixels.png', () => claiming(9000, 9000), 'is damaged'],
  ['animated.png', animatedPng, 'holds 3 pictures'],
  ['animated.gif', async () => (await frames()).gif().toBuffer(), 'holds 2 pictures'],
  ['animated.webp', async () => (await frames()).webp().toBuffer(), 'holds 2 pictures'],
  ['pages.tiff', async () => (await frames()).tiff({ compression: 'lzw' }).toBuffer(), 'holds 2 pictures'],
  ['five.tiff', () => tiff(5, 8, 1, 2, new Uint8Array(40).fill(7), 4), /has 5 channels/],
  ['many.tiff', () => tiff(9, 8, 1, 2, new Uint8Array(72).fill(7), 4), /channels/],
  [
    'heights.tiff',
    () => tiff(1, 32, 3, 1, bytesOf(new Float32Array([0.5, 300])), 2),
    'numbers of the kind float',
  ],
  [
    'counts.tiff',
    () => tiff(1, 32, 1, 1, bytesOf(new Uint32Array([1, 2 ** 31])), 2),
    'numbers of the kind uint',
  ],
  [
    'signed.tiff',
    () => tiff(1, 16, 2, 1, bytesOf(new Int16Array([-5, 300])), 2),
    'numbers of the kind short',
  ],
  [
    'doubles.tiff',
    () => tiff(3, 64, 3, 2, bytesOf(new Float64Array([0, 0.5, 1])), 1),
    /is damaged|numbers of the kind/,
  ],
  ...(['jpeg', 'png', 'webp', 'avif', 'tiff', 'gif'] as const).flatMap(format =>
    [0.3, 0.7, 0.97].map(
      share =>
        [
          `torn-${share}.${format}`,
          async () => {
            const bytes = await noise()[format]().toBuffer()
            return bytes.subarray(0, Math.floor(bytes.length * share))
          },
          'is damaged',
        ] as const,
    ),
  ),
]

describe('fault I2, I9: refused at every door', () => {
  it.each(refused)('%s', async (name, make, message) => {
    const path = await file(name, await make())
    for (const [door, read] of doors) {
      const failure: unknown = await read(path).then(
        () => undefined,
        (error: unknown) => error,
      )
      // What is torn behind the header shows only when it is decoded.
      if (failure === undefined && door === 'inspectPicture' && message === 'is damaged') continue
      expect(failure, door).toMatchObject({ code: 'bad-file', remedy: expect.stringMatching(/.+\.$/) })
      expect((failure as Error).message, door).toMatch(message)
      expect((failure as Error).message, door).toContain(name)
    }
  })

  it('a file above the limit, without reading it', async () => {
    const path = await file('large.png', 'x')
    // Sparse: takes no room on the disk.
    await truncate(path, pictureLimits.fileBytes + 1)
    for (const [, read] of doors) await expect(read(path)).rejects.toThrow('too many for a picture')
  })

  it('what is no file', async () => {
    for (const [, read] of doors) {
      await expect(read(folder)).rejects.toMatchObject({ code: 'bad-argument' })
      await expect(read(join(folder, 'none.png'))).rejects.toMatchObject({ code: 'bad-argument' })
    }
  })

  it('fault I2: a bomb of honest pixels costs a header, not memory', async () => {
    // A hundred million equal pixels pack into some hundred kilobytes.
    const bomb = await sharp({ create: { width: 16_000, height: 6300, channels: 3, background: '#fff' } })
      .toColourspace('b-w')
      .png({ compressionLevel: 3 })
      .toBuffer()
    expect(bomb.length).toBeLessThan(1 << 20)
    const path = await file('honest.png', bomb)
    const before = process.memoryUsage().rss
    await expect(readPicture(path, 8, 8)).rejects.toThrow('16000x6300 pixels')
    expect(process.memoryUsage().rss - before).toBeLessThan(100 << 20)
  })
})
