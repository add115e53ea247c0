/** Hints from files and back. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { listPreprocessors, preprocessFile, readHint, writeHint } from '../../host/preprocess/run.ts'
import { hintOf } from '../../model/image/preprocess/inpaint.ts'

const shapes = fileURLToPath(new URL('../fixtures/preprocess/shapes.png', import.meta.url))
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'attune-hints-'))
})

afterAll(() => rm(folder, { recursive: true, force: true }))

describe('a hint that is written and read again', () => {
  it('is the same, for inpainting with −1 where it was masked', async () => {
    const mask = join(folder, 'mask.png')
    const half = Buffer.from('<svg width="60" height="44"><path d="M0 0h30v44h-30z" fill="#fff"/></svg>')
    await writeFile(mask, await sharp(half).png().toBuffer())
    const { hint } = await preprocessFile({ name: 'inpaint', input: shapes, mask })
    const path = join(folder, 'hint.png')
    await writeHint(path, hint, false)
    const back = await readHint(path)
    expect(hintOf(back)).toEqual(hintOf(hint))
    const numbers = hintOf(back)
    expect([...numbers.subarray(0, 3)]).toEqual([-1, -1, -1])
    expect(Math.min(...numbers.subarray(100 * 3, 103 * 3))).toBeGreaterThanOrEqual(0)
    await expect(writeHint(path, hint, false)).rejects.toThrow('a file of that name is there')
  })

  it('of one channel comes back in three, without alpha', async () => {
    const { hint, ...facts } = await preprocessFile({ name: 'canny', input: shapes, resolution: 44 })
    expect(facts).toEqual({ name: 'canny', width: 120, height: 88 })
    const path = join(folder, 'edges.png')
    await writeHint(path, hint, false)
    const back = await readHint(path)
    expect(back).toMatchObject({ width: 60, height: 44, channels: 3 })
    expect(hintOf(back)).toEqual(hintOf(hint))
  })
})

describe('the list', () => {
  it('names every preprocessor once, with the place of its network', () => {
    const all = listPreprocessors({ XDG_CONFIG_HOME: folder, APPDATA: folder })
    expect(new Set(all.map(one => one.name)).size).toBe(all.length)
    for (const { isLearned, folder: place } of all) expect(place !== undefined).toBe(isLearned)
  })
})
