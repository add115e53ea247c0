import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { makeRecording, writeRecording } from '../../model/attention/recording.ts'
import { syntheticCapture, syntheticSteps } from '../support/attention.ts'
import { run, temporaryFolder } from './support.ts'

async function recorded(): Promise<string> {
  const folder = await temporaryFolder()
  const captured = syntheticCapture()
  const facts = {
    model: { name: 'storybook' },
    seed: '7',
    sampler: 'ddim',
    tokenWeights: captured.tokens.map(() => 1.5),
  }
  const recording = makeRecording(captured, facts, { perStep: syntheticSteps(captured, 16, 16) })
  await writeFile(join(folder, 'r.safetensors'), writeRecording(recording))
  return folder
}

describe('attune maps', () => {
  it('renders every format again without the model', async () => {
    const cwd = await recorded()
    await sharp({ create: { width: 256, height: 256, channels: 3, background: '#88a' } })
      .png()
      .toFile(join(cwd, 'p.png'))
    const formats = 'png,png16,overlay,npy,npz,safetensors,recording,webp,csv,json,figure'
    const { code, err, json } = await run(
      [
        'maps',
        'open',
        'r.safetensors',
        '--out',
        'o',
        '--format',
        formats,
        '--words',
        'car, grass',
        '--layers',
        'mid_block',
        '--heads',
        '0',
        '--colormap',
        'magma',
        '--normalise',
        'shared',
        '--image',
        'p.png',
        '--patches',
        '8',
        '--json',
      ],
      { cwd },
    )
    expect([code, err]).toEqual([0, ''])
    const [line] = json() as unknown as [{ files: string[]; report: { words: { word: string }[] } }]
    expect(line.report.words.map(row => row.word)).toEqual(['car', 'grass'])
    expect(await readFile(join(cwd, 'o', 'report.csv'), 'utf8')).toContain('car,6,9,1,1.5,')
    expect(await readdir(join(cwd, 'o'))).toHaveLength(line.files.length)
    expect(await sharp(join(cwd, 'o', 'car.overlay.png')).metadata()).toMatchObject({
      width: 256,
      height: 256,
    })
    // A recording of a recording is the same recording.
    expect(
      (await readFile(join(cwd, 'o', 'recording.safetensors'))).equals(
        await readFile(join(cwd, 'r.safetensors')),
      ),
    ).toBe(true)
    const again = await run(['maps', 'open', 'r.safetensors', '--out', 'o', '--format', 'csv'], { cwd })
    expect([again.code, again.err]).toEqual([2, expect.stringContaining('--overwrite')])
  })

  it('says what a recording holds', async () => {
    const cwd = await recorded()
    const { code, out } = await run(['maps', 'inspect', 'r.safetensors'], { cwd })
    expect(code).toBe(0)
    for (const part of [
      'red car',
      '128x128',
      'model storybook',
      'seed 7',
      'lighthouse (light·house)',
      'mid_block',
      '16x16',
    ]) {
      expect(out).toContain(part)
    }
    const [line] = (await run(['maps', 'inspect', 'r.safetensors', '--json'], { cwd })).json()
    expect(line).toMatchObject({ type: 'recording', width: 128, heads: 'all', seed: '7' })
  })

  it.each<[string[], number, string]>([
    [['open', 'r.safetensors'], 2, '--out'],
    [['open', 'r.safetensors', '--out', 'o', '--format', 'png,gif'], 2, 'does not know "gif"'],
    [['open', 'r.safetensors', '--out', 'o', '--format', ','], 2, '--format is empty'],
    [['open', 'r.safetensors', '--out', 'o', '--words', 'dog'], 2, '"dog"'],
    [['open', 'r.safetensors', '--out', 'o', '--layers', 'x'], 2, 'No captured layer'],
    [['open', 'r.safetensors', '--out', 'o', '--heads', 'x'], 2, '--heads'],
    [['open', 'r.safetensors', '--out', 'o', '--heads', '4'], 2, 'no head 4'],
    [['open', 'r.safetensors', '--out', 'o', '--colormap', 'hot'], 2, 'viridis'],
    [['open', 'r.safetensors', '--out', 'o', '--normalise', 'z'], 2, 'minmax'],
    [['open', 'r.safetensors', '--out', 'o', '--patches', '0'], 2, '--patches'],
    [['open', 'r.safetensors', '--out', 'o', '--format', 'overlay'], 2, '--image'],
    [['open', 'r.safetensors', '--out', 'o', '--image', 'none.png'], 2, 'no file'],
    [['open', 'none', '--out', 'o'], 1, 'does not exist'],
    [['inspect', 'cut'], 1, 'cut off'],
  ])('refuses %j', async (words, code, why) => {
    const cwd = await recorded()
    await writeFile(join(cwd, 'cut'), (await readFile(join(cwd, 'r.safetensors'))).subarray(0, -100))
    const result = await run(['maps', ...words], { cwd })
    expect([result.code, result.err]).toEqual([code, expect.stringContaining(why)])
    expect(await readdir(cwd)).not.toContain('o')
  })
})
