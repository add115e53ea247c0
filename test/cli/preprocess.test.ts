/** `attune preprocess`: hints of files, the list, refusals that leave nothing behind. */
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { readPngHeader } from '../../model/image/png-text.ts'
import { run, temporaryFolder } from './support.ts'

const fixtures = fileURLToPath(new URL('../fixtures/preprocess/', import.meta.url))
const shapes = join(fixtures, 'shapes.png')

async function sizeOf(path: string) {
  const { width, height, channels } = await sharp(path).metadata()
  return { width, height, channels }
}

/** What `--list --json` says. */
async function listed(): Promise<{ name: string; options: Record<string, unknown> }[]> {
  const [list = {}] = (await run(['preprocess', '--list', '--json'])).json()
  return list['preprocessors'] as { name: string; options: Record<string, unknown> }[]
}

describe('attune preprocess', () => {
  it('writes a hint and says so, for people and for programs', async () => {
    const cwd = await temporaryFolder()
    const plain = await run(['preprocess', 'canny', shapes, 'edges.png'], { cwd })
    expect(plain).toMatchObject({ code: 0, err: '' })
    expect(plain.out).toMatch(/edges\.png: canny, 120x88, /)
    const { channels: _, ...size } = await sizeOf(join(cwd, 'edges.png'))
    expect(size).toEqual({ width: 120, height: 88 })
    expect(readPngHeader(new Uint8Array(await readFile(join(cwd, 'edges.png'))))).toMatchObject({
      colorType: 0,
    })
    const expected = JSON.parse(await readFile(join(fixtures, 'expected.json'), 'utf8')) as {
      canny: { picture: string; low: number; high: number; l2: boolean; bits: string }[]
    }
    const { bits = '' } =
      expected.canny.find(one => one.picture === 'shapes' && one.low === 20 && one.l2) ?? {}
    const argv = ['preprocess', 'canny', shapes, 'l2.png', '--low', '20', '--high', '60', '--l2', '--json']
    const machine = await run(argv, { cwd })
    expect(machine.json()).toEqual([
      {
        type: 'hint',
        preprocessor: 'canny',
        path: join(cwd, 'l2.png'),
        width: 120,
        height: 88,
        source: { width: 120, height: 88 },
        seconds: expect.any(Number),
      },
    ])
    const pixels = await sharp(join(cwd, 'l2.png')).toColourspace('b-w').raw().toBuffer()
    const packed = Buffer.from(bits, 'base64')
    const wrong = pixels.filter(
      (value, i) => value !== (((packed[i >> 3] as number) >> (7 - (i & 7))) & 1) * 255,
    )
    expect(wrong.length).toBe(0)
  })

  it('works at a resolution, and comes in a size', async () => {
    const cwd = await temporaryFolder()
    await run(['preprocess', 'scribble_xdog', shapes, 'a.png', '--size', '176'], { cwd })
    expect(await sizeOf(join(cwd, 'a.png'))).toMatchObject({ width: 240, height: 176 })
    const target = ['--width', '64', '--height', '64', '--resize-mode', 'fill']
    await run(['preprocess', 'tile', shapes, 'b.png', ...target], { cwd })
    expect(await sizeOf(join(cwd, 'b.png'))).toMatchObject({ width: 64, height: 64 })
  })

  it('masks, and runs a network of a folder', async () => {
    const cwd = await temporaryFolder()
    const mask = Buffer.from('<svg width="120" height="88"><rect width="60" height="88" fill="#fff"/></svg>')
    await writeFile(join(cwd, 'mask.png'), await sharp(mask).png().toBuffer())
    expect((await run(['preprocess', 'inpaint', shapes, 'i.png', '--mask', 'mask.png'], { cwd })).code).toBe(
      0,
    )
    const alpha = await sharp(join(cwd, 'i.png')).extractChannel(3).raw().toBuffer()
    expect([alpha[10], alpha[100]]).toEqual([0, 255])
    const model = join(fixtures, 'models', 'seg')
    const found = await run(['preprocess', 'seg', shapes, 's.png', '--model', model, '--json'], { cwd })
    expect(found.json()[0]).toMatchObject({ type: 'hint', preprocessor: 'seg', labels: expect.any(Array) })
    expect(await sizeOf(join(cwd, 's.png'))).toMatchObject({ width: 120, height: 88 })
  })

  it('lists what there is, without any file', async () => {
    const plain = await run(['preprocess', '--list'])
    expect(plain.code).toBe(0)
    expect(plain.out).toContain('canny: edges one pixel wide')
    expect(plain.out).toContain('--low 0 to 2000, else 100')
    expect(plain.out).toMatch(/depth \(also .*depth_midas.*\n.*\n.*preprocessors.depth or with --model/)
    const names = (await listed()).map(({ name }) => name)
    expect(names).toEqual(expect.arrayContaining(['canny', 'inpaint', 'depth', 'pose', 'seg']))
  })

  it('every option of every preprocessor is a word of the command', async () => {
    const { out } = await run(['preprocess', '--help'])
    for (const { options } of await listed())
      for (const key of Object.keys(options)) expect(out).toMatch(new RegExp(`--${key}\\b`))
  })

  it.each([
    [[], 'The name of a preprocessor is missing.', 'attune preprocess canny', 2],
    [['canny'], 'A picture is missing.', '--list', 2],
    [['canny', shapes], 'A name for the hint is missing.', 'out.png', 2],
    [['cany', shapes, 'o.png'], 'There is no preprocessor "cany".', 'canny', 2],
    [['softedge_hed', shapes, 'o.png'], 'a network that Attune does not run', 'softedge_sobel', 2],
    [['canny', shapes, 'o.png', '--sigma', '2'], 'canny takes no sigma.', 'low, high, l2', 2],
    [['canny', shapes, 'o.png', '--low', 'x'], '--low must be a number, but is "x".', 'Correct', 2],
    [
      ['canny', shapes, 'o.png', '--low', '9999'],
      'low of canny must be between 0 and 2000',
      'default is 100',
      2,
    ],
    [['seg_kmeans', shapes, 'o.png', '--colours', '2.5'], 'must be a whole number', '2 to 64', 2],
    [['canny', shapes, 'o.png', '--size', '4'], '--size must be a whole number from 8', '512', 2],
    [['canny', shapes, 'o.png', '--width', '64'], '--width needs --height', 'both', 2],
    [['canny', shapes, 'o.png', '--resize-mode', 'fill'], '--resize-mode does nothing', 'drop', 2],
    [
      ['canny', shapes, 'o.png', '--width', '64', '--height', '64', '--resize-mode', 'x'],
      'one of resize, crop, fill',
      'covers',
      2,
    ],
    [['canny', shapes, 'o.png', '--mask', shapes], 'canny takes no mask.', 'Drop --mask', 2],
    [['canny', shapes, 'o.png', '--model', 'x'], 'canny needs no network.', 'Drop --model', 2],
    [['inpaint', shapes, 'o.png'], 'inpaint needs a mask.', '--mask FILE', 2],
    [['canny', 'none.png', 'o.png'], 'There is no file', 'Check the path', 2],
    [['canny', shapes, 'o.jpg'], 'is not a .png name', '.png', 2],
    [['canny', shapes, shapes, '--overwrite'], 'written over its own picture', 'another name', 2],
    [['canny', shapes, 'taken.png'], 'is there already', '--overwrite', 2],
    [['canny', 'text.png', 'o.png'], 'text.png is not a picture', 'PNG', 1],
    [
      ['depth', shapes, 'o.png', '--model', 'nowhere'],
      'depth needs a network, and there is nothing at',
      'depth-anything',
      1,
    ],
  ] as const)('%j', async (argv, what, remedy, code) => {
    const cwd = await temporaryFolder()
    await writeFile(join(cwd, 'taken.png'), 'mine')
    await writeFile(join(cwd, 'text.png'), 'a text')
    const result = await run(['preprocess', ...argv], { cwd })
    expect(result.err).toContain(what)
    expect(result.err).toContain(remedy)
    expect([result.code, result.out]).toEqual([code, ''])
    expect((await readdir(cwd)).toSorted()).toEqual(['taken.png', 'text.png'])
    const json = await run(['preprocess', ...argv, '--json'], { cwd })
    expect(json.json()[0]).toMatchObject({ type: 'error', message: expect.stringContaining(what) })
  })

  it('replaces with --overwrite, and writes nothing when it was cancelled', async () => {
    const cwd = await temporaryFolder()
    await writeFile(join(cwd, 'taken.png'), 'mine')
    expect((await run(['preprocess', 'invert', shapes, 'taken.png', '--overwrite'], { cwd })).code).toBe(0)
    expect(await sizeOf(join(cwd, 'taken.png'))).toMatchObject({ width: 120 })
    const signal = AbortSignal.abort()
    expect((await run(['preprocess', 'invert', shapes, 'later.png'], { cwd, signal })).code).toBe(130)
    expect(await readdir(cwd)).toEqual(['taken.png'])
  })
})
