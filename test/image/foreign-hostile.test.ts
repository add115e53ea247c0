import { deflateSync } from 'node:zlib'
import sharp, { type Sharp } from 'sharp'
import { beforeAll, describe, expect, it } from 'vitest'
import { readExif } from '../../model/image/foreign-metadata/containers.ts'
import { readMetadataTexts, readRecipe, recipeFromTexts } from '../../model/image/foreign-metadata/index.ts'
import { foreignJsonLimits, parseForeignJson } from '../../model/image/foreign-metadata/json.ts'
import { insertPngText, makeChunk } from '../../model/image/png-text.ts'

const infotext = 'a café – 猫\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 5, Size: 64x64'
const reading = (texts: Readonly<Record<string, string>>) =>
  recipeFromTexts({
    texts: Object.entries(texts).map(([keyword, text]) => ({ keyword, text })),
    skipped: [],
  })

let picture: Sharp

beforeAll(() => {
  picture = sharp(new Uint8Array(36).fill(90), { raw: { width: 4, height: 3, channels: 3 } })
})

/** EXIF with a UserComment, as piexif writes it: big endian, whatever the comment's own order. */
function exifWith(comment: Uint8Array, order: 'II' | 'MM' = 'MM'): Buffer {
  const little = order === 'II'
  const tiff = Buffer.alloc(44 + comment.length)
  const u16 = (value: number, at: number) =>
    little ? tiff.writeUInt16LE(value, at) : tiff.writeUInt16BE(value, at)
  const u32 = (value: number, at: number) =>
    little ? tiff.writeUInt32LE(value, at) : tiff.writeUInt32BE(value, at)
  tiff.write(order, 0, 'latin1')
  u16(42, 2)
  u32(8, 4)
  u16(1, 8)
  u16(0x8769, 10)
  u16(4, 12)
  u32(1, 14)
  u32(26, 18)
  u16(1, 26)
  u16(0x9286, 28)
  u16(7, 30)
  u32(comment.length, 32)
  u32(44, 36)
  tiff.set(comment, 44)
  return tiff
}

const utf16be = (text: string) => Buffer.from(text, 'utf16le').swap16()
const segment = (marker: number, data: Uint8Array) => {
  const head = Buffer.from([0xff, marker, 0, 0])
  head.writeUInt16BE(data.length + 2, 2)
  return Buffer.concat([head, data])
}

describe('containers', () => {
  it.each([
    ['UNICODE, big endian', Buffer.concat([Buffer.from('UNICODE\0'), utf16be(infotext)]), 'MM'],
    [
      'UNICODE, little endian in a big-endian header',
      Buffer.concat([Buffer.from('UNICODE\0'), Buffer.from(infotext, 'utf16le')]),
      'MM',
    ],
    [
      'UNICODE, little endian',
      Buffer.concat([Buffer.from('UNICODE\0'), Buffer.from(infotext, 'utf16le')]),
      'II',
    ],
    ['no marker, UTF-8', Buffer.from(infotext), 'II'],
  ] as const)('EXIF UserComment: %s', (_, comment, order) => {
    const { userComment } = readExif(exifWith(comment, order))
    expect(userComment).toBe(infotext)
  })

  it('reads EXIF of JPEG, WebP and PNG, and the comment of a JPEG', async () => {
    const exif = exifWith(Buffer.concat([Buffer.from('UNICODE\0'), utf16be(infotext)]))
    const jpeg = await picture.clone().jpeg().toBuffer()
    const marked = Buffer.concat([Buffer.from('Exif\0\0'), exif])
    const withExif = Buffer.concat([jpeg.subarray(0, 2), segment(0xe1, marked), jpeg.subarray(2)])
    expect((await readRecipe(withExif)).recipe).toMatchObject({ prompt: 'a café – 猫', sampler: 'euler_a' })
    const fooocus = '{"prompt":"a fox","base_model":"m","performance":"Speed","steps":3,"seed":"1"}'
    const withComment = Buffer.concat([
      jpeg.subarray(0, 2),
      segment(0xfe, Buffer.from(fooocus)),
      jpeg.subarray(2),
    ])
    expect((await readRecipe(withComment)).recipe).toMatchObject({ tool: 'fooocus', prompt: 'a fox' })

    const png = new Uint8Array(await picture.clone().png().toBuffer())
    const withChunk = Buffer.concat([png.subarray(0, 33), makeChunk('eXIf', exif), png.subarray(33)])
    expect((await readRecipe(withChunk)).recipe?.seed).toBe('5')

    const webp = await picture.clone().webp({ lossless: true }).toBuffer()
    const head = Buffer.alloc(8)
    head.write('EXIF', 0, 'latin1')
    head.writeUInt32LE(exif.length, 4)
    expect((await readRecipe(Buffer.concat([webp, head, exif]))).recipe?.steps).toBe(20)
  })

  it('refuses what is no picture, and reads truncated ones as far as they go', async () => {
    await expect(readMetadataTexts(Buffer.from('GIF89a'))).rejects.toMatchObject({ code: 'bad-file' })
    await expect(readMetadataTexts(new Uint8Array())).rejects.toMatchObject({ code: 'bad-file' })
    const png = insertPngText(new Uint8Array(await picture.clone().png().toBuffer()), [
      { keyword: 'parameters', text: infotext },
    ])
    const { recipe, messages } = await readRecipe(png.subarray(0, png.length - 20))
    expect(recipe?.seed).toBe('5')
    expect(messages.join()).toContain('ends early')
    for (let length = 2; length < 60; length++) {
      const jpeg = Buffer.concat([Buffer.from([0xff, 0xd8]), segment(0xe1, Buffer.from('Exif\0\0II*\0'))])
      await readMetadataTexts(jpeg.subarray(0, Math.min(length, jpeg.length)))
    }
  })

  it('survives every one-byte change and every cut of EXIF', () => {
    const whole = exifWith(Buffer.concat([Buffer.from('UNICODE\0'), utf16be('hello')]))
    for (let at = 0; at < whole.length; at++) {
      for (const value of [0, 1, 0x7f, 0x80, 0xff]) {
        const changed = Buffer.from(whole)
        changed[at] = value
        readExif(changed)
      }
      readExif(whole.subarray(0, at))
    }
  })

  it('does not inflate a bomb (I3)', async () => {
    const png = new Uint8Array(await picture.clone().png().toBuffer())
    const bomb = deflateSync(Buffer.alloc(64 << 20))
    const chunk = makeChunk('zTXt', Buffer.concat([Buffer.from('prompt\0\0'), bomb]))
    const { recipe, messages } = await readRecipe(
      Buffer.concat([png.subarray(0, 33), chunk, png.subarray(33)]),
    )
    expect(recipe).toBeUndefined()
    expect(messages.join()).toContain('too large')
  })
})

describe('JSON of strangers', () => {
  it('keeps long whole numbers as text, in values only', () => {
    const { value } = parseForeignJson(
      '{"a":18446744073709551615,"b":"18446744073709551615","c":[NaN,-Infinity],"d":1.5}',
    )
    expect(value).toEqual({ a: '18446744073709551615', b: '18446744073709551615', c: [null, null], d: 1.5 })
    expect(parseForeignJson('{"NaN":"NaN, \\"Infinity\\" 12345678901234567890"}').value).toEqual({
      NaN: 'NaN, "Infinity" 12345678901234567890',
    })
  })

  it('refuses depth and length before parsing', () => {
    const deep = '['.repeat(1_000_000)
    expect(parseForeignJson(deep).problem).toContain('nested deeper')
    expect(parseForeignJson('{"a":'.repeat(5000) + '1' + '}'.repeat(5000)).problem).toContain('nested deeper')
    expect(parseForeignJson(' '.repeat(foreignJsonLimits.length + 1)).problem).toContain('characters')
    expect(parseForeignJson('{"a":').problem).toContain('damaged')
  })

  it('takes linear time over a text of escaped quotes', () => {
    const began = process.cpuUsage()
    parseForeignJson(`{"a": "${'\\"'.repeat(1_000_000)}`)
    parseForeignJson('"'.repeat(1_000_001))
    recipeFromTexts({
      texts: [],
      skipped: [],
      xmp: `<exif:UserComment>${'<'.repeat(1_000_000)}</exif:UserComment>`,
    })
    // Quadratic would be hours.
    expect(process.cpuUsage(began).user / 1e6).toBeLessThan(20)
  })

  it('changes no prototype (M5)', () => {
    const { value } = parseForeignJson(
      '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}',
    )
    expect(Object.keys(value as object)).toEqual(['constructor'])
    const { recipe } = reading({
      parameters: '{"sui_image_params":{"prompt":"x","__proto__":{"polluted":1}},"__proto__":{"polluted":1}}',
    })
    expect(recipe?.prompt).toBe('x')
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined()
  })
})

const sampler = (inputs: object) => ({ class_type: 'KSampler', inputs: { model: ['9', 0], ...inputs } })
const graph = (nodes: object) => reading({ prompt: JSON.stringify(nodes) })

describe('hostile graphs of ComfyUI', () => {
  it('cycles end', () => {
    const { recipe, messages } = graph({
      1: sampler({
        positive: ['2', 0],
        negative: ['1', 0],
        latent_image: ['1', 0],
        seed: ['3', 0],
        steps: 5,
      }),
      2: {
        class_type: 'ConditioningCombine',
        inputs: { conditioning_1: ['2', 0], conditioning_2: ['4', 0] },
      },
      3: { class_type: 'Primitive', inputs: { value: ['3', 0] } },
      4: { class_type: 'CLIPTextEncode', inputs: { text: ['5', 0], clip: ['4', 0] } },
      5: { class_type: 'StringConcat', inputs: { string_a: ['5', 0], string_b: 'end' } },
    })
    expect(messages).toEqual([])
    expect(recipe).toMatchObject({ prompt: 'end', negativePrompt: '', steps: 5 })
  })

  it('chains that double a text stay within a budget', () => {
    const nodes: Record<string, object> = {
      s: sampler({ positive: ['t', 0], steps: 5, latent_image: ['x', 0] }),
      t: { class_type: 'CLIPTextEncode', inputs: { text: ['0', 0] } },
    }
    for (let i = 0; i < 150; i++) {
      nodes[i] = {
        class_type: 'StringConcat',
        inputs: { string_a: [`${i + 1}`, 0], string_b: [`${i + 1}`, 0] },
      }
    }
    nodes[150] = { class_type: 'Text', inputs: { text: 'x'.repeat(10_000) } }
    const { recipe } = graph(nodes)
    expect(recipe?.notes.join()).toContain('too tangled')
    expect(recipe?.prompt.length).toBeLessThanOrEqual(2 << 20)
  })

  it('long chains do not exhaust the stack', () => {
    const nodes: Record<string, object> = {
      s: sampler({ positive: ['0', 0], steps: 5, latent_image: ['0', 0] }),
    }
    for (let i = 0; i < 15_000; i++)
      nodes[i] = {
        class_type: 'Reroute',
        inputs: { conditioning: [`${i + 1}`, 0], samples: [`${i + 1}`, 0] },
      }
    expect(graph(nodes).recipe?.steps).toBe(5)
  })

  it.each([
    ['a list', '[1,2]'],
    ['numbers for nodes', '{"1":2,"2":null}'],
    [
      'inputs of wrong types',
      '{"1":{"class_type":"KSampler","inputs":[1]},"2":{"class_type":7,"inputs":{}}}',
    ],
    [
      'links to nowhere',
      '{"1":{"class_type":"KSampler","inputs":{"positive":["99",0],"model":["98",0],"latent_image":["97",0]}}}',
    ],
    ['no sampler', '{"1":{"class_type":"SaveImage","inputs":{"images":["2",0]}}}'],
    ['half a graph', '{"1":{"class_type":"KSampler"'],
  ])('%s: no recipe and a message', (_, prompt) => {
    const { recipe, messages } = reading({ prompt, workflow: '{}' })
    expect(recipe).toBeUndefined()
    expect(messages.length).toBeGreaterThan(0)
  })
})

describe('fault I6: wrong types everywhere', () => {
  const junk = [null, true, -1, 1e308, '', 'x', [], [[]], {}, { a: { b: [] } }, '\ud800', '\0']
  const shapes: readonly ((value: unknown) => Record<string, string>)[] = [
    value => ({
      invokeai_metadata: JSON.stringify({ positive_prompt: value, seed: value, model: value, steps: value }),
    }),
    value => ({ invokeai_metadata: JSON.stringify(value) }),
    value => ({ 'sd-metadata': JSON.stringify({ image: value, images: value }) }),
    value => ({ 'sd-metadata': JSON.stringify({ image: { prompt: [value], seed: value, sampler: value } }) }),
    value => ({ Dream: String(value) }),
    value => ({ parameters: JSON.stringify({ sui_image_params: value }) }),
    value => ({
      parameters: JSON.stringify({ sui_image_params: { prompt: value, width: value, sampler: value } }),
    }),
    value => ({
      fooocus_scheme: 'fooocus',
      parameters: JSON.stringify({ prompt: value, resolution: value, styles: value }),
    }),
    value => ({
      Software: 'NovelAI',
      Comment: JSON.stringify({ uc: value, v4_prompt: value, sampler: value }),
    }),
    value => ({
      prompt: JSON.stringify({
        1: { class_type: 'KSampler', inputs: { positive: value, latent_image: value, seed: value } },
      }),
    }),
    value => ({ attune: JSON.stringify({ format: 'attune', version: value, request: value }) }),
    value => ({ prompt: String(value), negative_prompt: String(value), seed: String(value) }),
  ]

  it('never throw; every reading has a recipe or a message', () => {
    for (const shape of shapes) {
      for (const value of junk) {
        const { recipe, messages } = reading(shape(value))
        if (!recipe) expect(messages.length, JSON.stringify(shape(value))).toBeGreaterThan(0)
        else for (const note of recipe.notes) expect(typeof note).toBe('string')
      }
    }
  })

  it('a camera picture has no recipe, and is not called one', () => {
    const reading = recipeFromTexts({ texts: [], skipped: [], userComment: 'Holiday in Kreuzberg' })
    expect(reading.recipe).toBeUndefined()
    expect(reading.messages).toEqual(['The picture carries texts, but none of them says how it was made.'])
    expect(recipeFromTexts({ texts: [], skipped: [] }).messages.join()).toContain('no settings')
  })

  it('huge texts are cut and said', () => {
    const { recipe } = reading({
      invokeai_metadata: JSON.stringify({ positive_prompt: 'a'.repeat(900_000), steps: 2 }),
    })
    expect(recipe?.prompt.length).toBe(200_000)
    expect(recipe?.notes.join()).toContain('900000 characters')
  })

  it('thousands of unknown fields are cut and said', () => {
    const fields = Object.fromEntries(Array.from({ length: 5000 }, (_, i) => [`key${i}`, i]))
    const { recipe } = reading({ invokeai_metadata: JSON.stringify({ positive_prompt: 'x', ...fields }) })
    expect(Object.keys(recipe?.unknown ?? {}).length).toBe(512)
    expect(recipe?.notes.join()).toContain('the rest was not read')
  })
})
