/** `attune similar`: pictures ranked by a vision encoder's embeddings, which are kept; what is refused or left out. */
import { copyFileSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { closeQuietly, openIndex } from '../../host/gallery/database.ts'
import { EmbeddingIndex } from '../../host/gallery/embeddings.ts'
import { Gallery } from '../../host/gallery/gallery.ts'
import { pictureKey } from '../../host/gallery/picture-file.ts'
import { mostSimilar, unitVector } from '../../model/ipadapter/similarity.ts'
import { expectedTensor, fixture, writeEncoder } from '../support/ipadapter.ts'
import { type Run, run, temporaryFolder } from './support.ts'

let cwd: string
let env: Record<string, string>

beforeAll(async () => {
  // Not `temporaryFolder`, which lasts one test.
  cwd = mkdtempSync(join(tmpdir(), 'attune-similar-'))
  env = { XDG_CACHE_HOME: join(cwd, 'cache') }
  writeEncoder('quick', join(cwd, 'clip'))
  mkdirSync(join(cwd, 'all', 'below'), { recursive: true })
  for (const file of ['square.png', 'wide.png', 'tall.png'])
    copyFileSync(fixture(file), join(cwd, 'all', file))
  // The same picture in another format, and the same again with a little noise of JPEG.
  const source = sharp(fixture('square.png'))
  await source
    .clone()
    .webp({ lossless: true })
    .toFile(join(cwd, 'all', 'below', 'same.webp'))
  await source
    .clone()
    .jpeg({ quality: 80 })
    .toFile(join(cwd, 'all', 'near.jpg'))
})

afterAll(() => rmSync(cwd, { recursive: true, force: true }))

const similar = (...argv: string[]): Promise<Run> =>
  run(['similar', fixture('square.png'), 'all', '--encoder', 'clip', '--backend', 'wasm', ...argv], {
    cwd,
    env,
  })

interface Found {
  readonly compared: number
  readonly pictures: readonly { readonly path: string; readonly similarity: number }[]
}
const foundBy = ({ out }: Run): Found => JSON.parse(out.trim().split('\n').at(-1) ?? '') as Found
const namesOf = ({ pictures }: Found): string[] =>
  pictures.map(({ path }) => path.slice(join(cwd, 'all').length + 1))

const of = (file: string): Float32Array =>
  unitVector(expectedTensor('features', `quick.${file}.resize.embeds`))

describe('attune similar', () => {
  it('ranks by cosine as transformers’ embeddings do, folders below included', async () => {
    const result = await similar('--json')
    expect(result.err).toBe('')
    const found = foundBy(result)
    expect(found.compared).toBe(5)
    const [first, second] = found.pictures
    expect(namesOf(found).slice(0, 2).toSorted()).toEqual([join('below', 'same.webp'), 'square.png'])
    expect([first?.similarity, second?.similarity]).toEqual([expect.closeTo(1, 5), expect.closeTo(1, 5)])
    expect(namesOf(found)[2]).toBe('near.jpg')
    for (const file of ['wide.png', 'tall.png']) {
      const [expected] = mostSimilar(of('square.png'), [[file, of(file)]], 1)
      const own = found.pictures.find(({ path }) => path.endsWith(file))
      expect(own?.similarity).toBeCloseTo(expected?.similarity ?? Number.NaN, 4)
    }
  })

  it('keeps embeddings by content: a picture that was moved needs no encoder', async () => {
    await similar('--json')
    const { database } = await openIndex(
      join(cwd, 'cache', 'attune', 'similar', 'gallery.sqlite'),
      () => new Date(),
    )
    const rows = database.prepare('SELECT key, encoder FROM embeddings').all() as {
      key: string
      encoder: string
    }[]
    // square.png is there twice, with one content.
    expect(rows).toHaveLength(5)
    const [{ encoder } = { encoder: '' }] = rows
    // A mark in the place of an embedding shows that it is read and not computed.
    const mark = new EmbeddingIndex(database).get(await pictureKey(fixture('square.png')), encoder)
    new EmbeddingIndex(database).put(await pictureKey(fixture('tall.png')), encoder, mark as Float32Array)
    closeQuietly(database)
    renameSync(join(cwd, 'all', 'tall.png'), join(cwd, 'all', 'moved.png'))
    const found = foundBy(await similar('--json'))
    expect(found.pictures.find(({ path }) => path.endsWith('moved.png'))?.similarity).toBeCloseTo(1, 5)
  })

  it('shows so many, as lines', async () => {
    const { out } = await similar('--count', '2')
    expect(out.trim().split('\n')).toHaveLength(2)
    expect(out).toMatch(/^1\.0000 {2}all/m)
  })

  it('leaves damaged pictures out, and says so', async () => {
    writeFileSync(join(cwd, 'all', 'broken.png'), 'no picture')
    const { code, err, out } = await similar()
    expect([code, err]).toEqual([0, expect.stringContaining('broken.png')])
    expect(out).not.toContain('broken.png')
  })

  it.each([
    [['similar', 'a.png', 'all'], 'needs a CLIP vision encoder'],
    [['similar', 'a.png', 'all', '--encoder', 'clip'], 'a.png'],
    [['similar', fixture('wide.png'), 'nowhere', '--encoder', 'clip'], 'There is no folder'],
    [['similar', fixture('wide.png'), 'all', '--encoder', 'all'], 'has no config.json'],
    [['similar', fixture('wide.png'), 'all', '--encoder', 'clip', '--count', '0'], '--count must be'],
  ])('refuses %j', async (argv, message) => {
    const { code, err } = await run(argv, { cwd, env })
    expect([code === 0, err]).toEqual([false, expect.stringContaining(message)])
  })
})

describe('the gallery’s index', () => {
  it('keeps embeddings by picture and encoder, and drops those of pictures that are gone', async () => {
    const folder = await temporaryFolder()
    mkdirSync(join(folder, 'pictures'))
    copyFileSync(fixture('wide.png'), join(folder, 'pictures', 'wide.png'))
    const { gallery } = await Gallery.open({
      folders: [join(folder, 'pictures')],
      dataFolder: folder,
      cacheFolder: join(folder, 'cache'),
    })
    await gallery.scan()
    const { embeddings } = gallery
    const key = await pictureKey(fixture('wide.png'))
    embeddings.put(key, 'a', Float32Array.of(1, 2))
    embeddings.put(key, 'b', Float32Array.of(3))
    embeddings.put('gone', 'a', Float32Array.of(4))
    expect(embeddings.get(key, 'a')).toEqual(Float32Array.of(1, 2))
    expect([embeddings.count('a'), embeddings.prune(), embeddings.count('a')]).toEqual([2, 1, 1])
    expect([embeddings.get('gone', 'a'), embeddings.get(key, 'b')]).toEqual([undefined, Float32Array.of(3)])
    await gallery.close()
  })
})

describe('the arithmetic', () => {
  it('orders by the cosine, whatever the lengths', () => {
    const query = unitVector(Float32Array.of(3, 4))
    const all = new Map([
      ['against', Float32Array.of(-3, -4)],
      ['across', Float32Array.of(4, -3)],
      ['along', Float32Array.of(30, 40)],
    ])
    const unit = [...all].map(([name, vector]) => [name, unitVector(vector)] as const)
    const found = mostSimilar(query, unit, 3)
    expect(found.map(({ item }) => item)).toEqual(['along', 'across', 'against'])
    expect(found.map(({ similarity }) => similarity)).toEqual(
      [1, 0, -1].map(value => expect.closeTo(value, 6)),
    )
    expect(unitVector(new Float32Array(2))).toEqual(new Float32Array(2))
  })
})
