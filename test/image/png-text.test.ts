import { deflateSync } from 'node:zlib'
import sharp from 'sharp'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  crc32,
  insertPngText,
  makeChunk,
  pngTextLimits,
  readPngHeader,
  readPngText,
} from '../../model/image/png-text.ts'

const encoder = new TextEncoder()
const join = (...parts: readonly (Uint8Array | string)[]) =>
  Uint8Array.from(parts.flatMap(part => [...(typeof part === 'string' ? encoder.encode(part) : part)]))
const nul = Uint8Array.of(0)

let png: Uint8Array

beforeAll(async () => {
  const raw = { width: 4, height: 3, channels: 3 as const }
  png = new Uint8Array(await sharp(new Uint8Array(36).fill(90), { raw }).png().toBuffer())
})

/** Puts raw chunks after the header. */
function withChunks(...chunks: readonly Uint8Array[]): Uint8Array {
  return join(png.subarray(0, 33), ...chunks, png.subarray(33))
}

describe('insertPngText', () => {
  it('is read by sharp, and leaves the pixels', async () => {
    const texts = [
      { keyword: 'parameters', text: 'a red car\nSteps: 20, Sampler: Euler a, Seed: 5' },
      { keyword: 'attune', text: '{"prompt":"машина 🚗"}' },
    ]
    const file = insertPngText(png, texts)
    const metadata = await sharp(file).metadata()
    expect(metadata.comments).toEqual(texts)
    expect(await sharp(file).raw().toBuffer()).toEqual(await sharp(png).raw().toBuffer())
  })

  it("follows Pillow's rule: Latin-1 is tEXt, anything else iTXt", async () => {
    const { entries } = await readPngText(
      insertPngText(png, [
        { keyword: 'a', text: 'naïve \u0080\u009f ÿ' },
        { keyword: 'b', text: '€' },
      ]),
    )
    expect(entries).toEqual([
      { chunk: 'tEXt', keyword: 'a', text: 'naïve \u0080\u009f ÿ' },
      { chunk: 'iTXt', keyword: 'b', text: '€' },
    ])
  })

  it('replaces texts of the same keyword only', async () => {
    const once = insertPngText(png, [
      { keyword: 'a', text: 'old' },
      { keyword: 'b', text: 'kept' },
    ])
    const { entries } = await readPngText(insertPngText(once, [{ keyword: 'a', text: 'new' }]))
    expect(entries.map(entry => `${entry.keyword}=${entry.text}`)).toEqual(['a=new', 'b=kept'])
  })

  it('round-trips any text (property)', async () => {
    let state = 7
    const random = (below: number) => (state = (state * 48271) % 2147483647) % below
    for (let round = 0; round < 200; round++) {
      const text = Array.from({ length: random(60) }, () => {
        const code =
          [1 + random(126), 1 + random(255), 1 + random(0xd7ff), 0x1f600 + random(80)][random(4)] ?? 65
        return String.fromCodePoint(code)
      }).join('')
      const { entries } = await readPngText(insertPngText(png, [{ keyword: 'k', text }]))
      expect(entries[0]?.text).toBe(text)
    }
  })

  it('replaces what PNG cannot hold, and refuses bad keywords and torn files', async () => {
    const { entries } = await readPngText(insertPngText(png, [{ keyword: 'k', text: 'a\0b' }]))
    expect(entries[0]?.text).toBe('a\uFFFDb')
    for (const keyword of ['', ' k', 'a  b', 'x'.repeat(80), '€']) {
      expect(() => insertPngText(png, [{ keyword, text: '' }])).toThrow('cannot be a PNG keyword')
    }
    expect(() => insertPngText(png.subarray(0, png.length - 6), [])).toThrow('ends early')
    expect(() => insertPngText(join('GIF89a'), [])).toThrow('not a PNG')
  })
})

describe('readPngText', () => {
  it('reads all three kinds, compressed or not', async () => {
    const long = 'x'.repeat(5000)
    const file = withChunks(
      makeChunk('tEXt', join('one', nul, 'plain')),
      makeChunk('zTXt', join('two', nul, nul, deflateSync(long))),
      makeChunk('iTXt', join('three', nul, nul, nul, 'en', nul, 'tres', nul, 'ñandú')),
      makeChunk('iTXt', join('four', nul, Uint8Array.of(1), nul, nul, nul, deflateSync('日本'))),
    )
    expect(await readPngText(file)).toEqual({
      entries: [
        { chunk: 'tEXt', keyword: 'one', text: 'plain' },
        { chunk: 'zTXt', keyword: 'two', text: long },
        { chunk: 'iTXt', keyword: 'three', text: 'ñandú' },
        { chunk: 'iTXt', keyword: 'four', text: '日本' },
      ],
      skipped: [],
    })
  })

  it('fault I3: does not inflate a bomb', async () => {
    const bomb = deflateSync(new Uint8Array(200 << 20))
    const began = performance.now()
    const { entries, skipped } = await readPngText(
      withChunks(
        makeChunk('zTXt', join('bomb', nul, nul, bomb)),
        makeChunk('tEXt', join('after', nul, 'still read')),
      ),
    )
    expect(entries.map(entry => entry.keyword)).toEqual(['after'])
    expect(skipped).toEqual(['a text (zTXt) was skipped: it is too large'])
    expect(performance.now() - began).toBeLessThan(2000)
  })

  it('skips what is damaged and names it', async () => {
    const wrong = makeChunk('tEXt', join('k', nul, 'text'))
    wrong[wrong.length - 1] = (wrong[wrong.length - 1] ?? 0) ^ 1
    const { entries, skipped } = await readPngText(
      withChunks(
        wrong,
        makeChunk('tEXt', join('no keyword')),
        makeChunk('zTXt', join('k', nul, nul, 'not zlib')),
        makeChunk('zTXt', join('k', nul, Uint8Array.of(9), deflateSync('a'))),
        makeChunk('iTXt', join('k', nul, nul, nul, 'no end')),
        makeChunk('tEXt', join('k', nul, 'x'.repeat(pngTextLimits.textBytes + 1))),
      ),
    )
    expect(entries).toEqual([])
    expect(skipped.map(text => text.split(': ')[1])).toEqual([
      'its checksum is wrong',
      'it has no keyword',
      'its compressed data is damaged',
      'its compression is unknown',
      'it ends early',
      'it is too large',
    ])
  })

  it('fault I4: stops after a sane number of texts', async () => {
    const one = makeChunk('tEXt', join('k', nul, 'v'))
    const many = new Uint8Array(one.length * 100_000)
    for (let i = 0; i < 100_000; i++) many.set(one, i * one.length)
    const file = new Uint8Array(png.length + many.length)
    file.set(png.subarray(0, 33))
    file.set(many, 33)
    file.set(png.subarray(33), 33 + many.length)
    const began = performance.now()
    const { entries, skipped } = await readPngText(file)
    expect(entries.length).toBe(pngTextLimits.chunks)
    expect(skipped[0]).toContain('more than')
    expect(performance.now() - began).toBeLessThan(2000)
  })

  it('fault I4: gives what came before a cut or a claimed length of 2^31', async () => {
    const text = makeChunk('tEXt', join('k', nul, 'v'))
    const huge = Uint8Array.of(0xff, 0xff, 0xff, 0xff, ...encoder.encode('tEXt'), 1, 2, 3, 4)
    for (const tail of [huge, makeChunk('IDAT', new Uint8Array(50)).subarray(0, 20)]) {
      const { entries, skipped } = await readPngText(join(png.subarray(0, 33), text, tail))
      expect(entries.length).toBe(1)
      expect(skipped).toEqual(['The PNG ends early or is damaged.'])
    }
  })
})

describe('readPngHeader', () => {
  it('reads the size from the first bytes', () => {
    expect(readPngHeader(png.subarray(0, 29))).toEqual({ width: 4, height: 3, bitDepth: 8, colorType: 2 })
    expect(() => readPngHeader(png.subarray(0, 20))).toThrow('not a PNG')
  })

  it('has the checksum of zlib', () => {
    expect(crc32(encoder.encode('123456789'))).toBe(0xcbf43926)
  })
})
