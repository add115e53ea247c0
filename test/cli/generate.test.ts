import { spawn } from 'node:child_process'
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { pictureName, slug } from '../../host/picture-name.ts'
import { formatBytes, formatSeconds } from '../../cli/io.ts'
import { formatProgress } from '../../cli/progress.ts'
import { readRecord } from '../../model/contract/record.ts'
import { readInfotext } from '../../model/image/infotext.ts'
import { readPngText } from '../../model/image/png-text.ts'
import { parseRequest } from '../../model/contract/request.ts'
import { readNpy, writeNpy } from '../../model/tensor/npy.ts'
import { failingEngine, fakeEngine, lost, run, temporaryFolder } from './support.ts'

describe('a picture', () => {
  it('is written with its record, its A1111 text and its latents', async () => {
    const cwd = await temporaryFolder()
    const argv = [
      'generate',
      'a red car, “fast”',
      '--seed',
      '5',
      '--out',
      'car.png',
      '--save-latents',
      'final.npy',
    ]
    const { code, out, err } = await run(argv, { cwd })
    expect({ code, err }).toEqual({ code: 0, err: 'a software adapter draws this\n' })
    expect(out).toBe('Wrote car.png (64x48, 3 steps, seed 5, 1.2 s, a fake adapter)\nWrote final.npy\n')
    expect((await readdir(cwd)).sort()).toEqual(['car.png', 'final.npy'])

    const png = new Uint8Array(await readFile(join(cwd, 'car.png')))
    expect(await sharp(png).metadata()).toMatchObject({ format: 'png', width: 64, height: 48, channels: 3 })
    expect((await sharp(png).raw().toBuffer()).subarray(0, 4)).toEqual(Buffer.from([0, 7, 14, 21]))
    const { entries } = await readPngText(png)
    const texts = new Map(entries.map(entry => [entry.keyword, entry.text]))
    const infotext = readInfotext(texts.get('parameters') ?? '')
    expect(infotext.prompt).toBe('a red car, “fast”')
    expect(infotext.parameters.get('Seed')).toBe('5')
    const record = readRecord(texts.get('attune') ?? '')
    expect(record.request).toMatchObject({ prompt: 'a red car, “fast”', seed: '5', steps: 3, width: 64 })
    expect(texts.get('attune')).not.toContain(cwd)
    expect(readNpy(await readFile(join(cwd, 'final.npy'))).shape).toEqual([1, 4, 6, 8])
  })

  it('gets a name of its own, and never replaces another', async () => {
    const cwd = await temporaryFolder()
    const argv = ['generate', 'a red car', '--seed', '5']
    for (let i = 0; i < 3; i++) expect((await run(argv, { cwd })).code).toBe(0)
    const stem = '2026-11-23-5-a-red-car'
    expect((await readdir(join(cwd, 'out'))).sort()).toEqual([
      `${stem}-2.png`,
      `${stem}-3.png`,
      `${stem}.png`,
    ])
    await mkdir(join(cwd, 'album'))
    expect((await run([...argv, '--out', 'album'], { cwd })).out).toContain(join('album', `${stem}.png`))
    expect((await run([...argv, '--out', 'new/'], { cwd })).out).toContain(join('new', `${stem}.png`))
  })

  it('replaces a named file only with --overwrite, or when it is empty', async () => {
    const cwd = await temporaryFolder()
    const path = join(cwd, 'car.png')
    await writeFile(path, 'mine')
    await writeFile(join(cwd, 'empty.png'), '')
    const engine = fakeEngine()
    const refused = await run(['generate', 'x', '--out', 'car.png'], { cwd, engine })
    expect({ code: refused.code, jobs: engine.jobs.length }).toEqual({ code: 2, jobs: 0 })
    expect(refused.err).toContain('add --overwrite')
    expect(await readFile(path, 'utf8')).toBe('mine')
    expect((await run(['generate', 'x', '--out', 'car.png', '--overwrite'], { cwd })).code).toBe(0)
    expect((await readFile(path)).length).toBeGreaterThan(100)
    expect((await run(['generate', 'x', '--out', 'empty.png'], { cwd })).code).toBe(0)
    expect((await readFile(join(cwd, 'empty.png'))).length).toBeGreaterThan(100)
  })

  it('is kept beside a file that took its name while it was drawn', async () => {
    const cwd = await temporaryFolder()
    const inner = fakeEngine()
    const engine = {
      async runGenerate(...args: Parameters<typeof inner.runGenerate>) {
        await writeFile(join(cwd, 'car.png'), 'mine')
        return inner.runGenerate(...args)
      },
    }
    const { code, out } = await run(['generate', 'x', '--out', 'car.png'], { cwd, engine })
    expect(code).toBe(0)
    expect(out).toContain('Wrote car-2.png')
    expect(await readFile(join(cwd, 'car.png'), 'utf8')).toBe('mine')
  })
})

describe('inputs', () => {
  it('are read and checked before the engine starts', async () => {
    const cwd = await temporaryFolder()
    const raw = { width: 40, height: 24, channels: 3 as const }
    await sharp(new Uint8Array(40 * 24 * 3), { raw })
      .png()
      .toFile(join(cwd, 'init.png'))
    await writeFile(join(cwd, 'noise.npy'), writeNpy([1, 4, 2, 2], new Float32Array(16).fill(1)))
    await writeFile(join(cwd, 'draws.npy'), writeNpy([3, 1, 4, 2, 2], new Float32Array(48)))
    await writeFile(join(cwd, 'nan.npy'), writeNpy([1, 4, 1, 1], Float32Array.of(1, NaN, 1, 1)))
    await writeFile(join(cwd, 'text.png'), 'not a picture')
    const engine = fakeEngine()
    const good =
      '--init init.png --mask init.png --strength 0.5 --latents noise.npy --step-noise draws.npy --json'
    const done = await run(['generate', 'x', ...good.split(' ')], { cwd, engine })
    expect(done.code).toBe(0)
    expect(engine.jobs[0]).toMatchObject({
      init: { path: join(cwd, 'init.png'), width: 40, height: 24 },
      mask: join(cwd, 'init.png'),
      initialLatents: { shape: [1, 4, 2, 2] },
      stepNoise: { shape: [3, 1, 4, 2, 2] },
    })
    expect(done.json().at(-1)).toMatchObject({ width: 40, height: 24 })
    for (const [words, message, expected] of [
      ['--latents draws.npy', 'must have 4 axes', 2],
      ['--step-noise noise.npy', 'must have 5 axes', 2],
      ['--latents nan.npy', 'holds NaN at position 1', 1],
      ['--latents text.png', 'is not a NumPy .npy file', 1],
      ['--init text.png', 'is not a picture', 1],
    ] as const) {
      const { code, err } = await run(['generate', 'x', ...words.split(' ')], { cwd, engine })
      expect({ code, err }).toEqual({ code: expected, err: expect.stringContaining(message) })
    }
    expect(engine.jobs.length).toBe(1)
  })
})

describe('progress', () => {
  it('is JSON lines with --json', async () => {
    const cwd = await temporaryFolder()
    const { json, err } = await run(['generate', 'x', '--json', '--seed', '1', '--out', 'x.png'], {
      cwd,
      terminal: true,
    })
    expect(err).toBe('')
    expect(json().map(line => line['type'])).toEqual(['notice', ...Array(4).fill('progress'), 'done'])
    expect(json()[1]).toEqual({ type: 'progress', step: 0, steps: 3, sigma: 3, secondsLeft: 3 })
    expect(json().at(-1)).toMatchObject({
      type: 'done',
      file: join(cwd, 'x.png'),
      seed: '1',
      timings: { total: 1234 },
      adapter: { backend: 'cpu', name: 'a fake adapter' },
    })
  })

  it('is one line on a terminal, gone at the end, and nothing elsewhere', async () => {
    const cwd = await temporaryFolder()
    const { err } = await run(['generate', 'x', '--out', 'x.png'], { cwd, terminal: true })
    expect(err).toContain('step 0/3, 3.0 s left')
    expect(err).toContain('step 3/3')
    expect(err.endsWith('\r\u001b[K')).toBe(true)
  })

  it('fits the terminal', () => {
    const progress = { step: 6, steps: 12, sigma: 1, secondsLeft: 75 }
    expect(formatProgress(progress, 80)).toBe(
      `[${'#'.repeat(16)}${'·'.repeat(16)}] step 6/12, 1 min 15 s left`,
    )
    for (let columns = 1; columns < 60; columns++)
      expect(formatProgress(progress, columns).length).toBeLessThan(columns)
  })

  it('counts the tries of a repair', () => {
    const progress = { step: 6, steps: 12, sigma: 1, attempt: { number: 2, of: 4 } }
    expect(formatProgress(progress, 80)).toMatch(/] try 2 of 4, step 6\/12$/)
  })

  it('formats numbers for people', () => {
    expect([0.04, 9.94, 59.4, 60, 3725].map(formatSeconds)).toEqual([
      '0.0 s',
      '9.9 s',
      '59 s',
      '1 min 0 s',
      '1 h 2 min',
    ])
    expect([5, 2048, 1.5 * 2 ** 30, 123 * 2 ** 20].map(formatBytes)).toEqual([
      '5 bytes',
      '2.0 KiB',
      '1.5 GiB',
      '123 MiB',
    ])
  })
})

describe('failures', () => {
  it('are said with what to do, exit 1, and write nothing', async () => {
    const cwd = await temporaryFolder()
    const argv = ['generate', 'x', '--out', 'x.png', '--save-latents', 'x.npy']
    const { code, err } = await run(argv, { cwd, engine: failingEngine(lost) })
    expect({ code, err }).toEqual({ code: 1, err: 'attune: The GPU was reset.\n  Run again.\n' })
    const unknown = await run([...argv, '--json'], { cwd, engine: failingEngine(new Error('oops')) })
    expect(unknown.json()).toEqual([expect.objectContaining({ type: 'error', code: 'internal' })])
    expect(await readdir(cwd)).toEqual([])
  })

  it('leave nothing when the place goes away while it is drawn', async () => {
    const cwd = await temporaryFolder()
    const inner = fakeEngine()
    const engine = {
      async runGenerate(...args: Parameters<typeof inner.runGenerate>) {
        await writeFile(join(cwd, 'folder'), '')
        return inner.runGenerate(...args)
      },
    }
    const { code, err } = await run(['generate', 'x', '--out', 'folder/x.png'], { cwd, engine })
    expect({ code, err }).toEqual({ code: 1, err: expect.stringContaining('cannot be written') })
    expect(await readdir(cwd)).toEqual(['folder'])
  })

  it('end with 130 when cancelled, even where the engine fails because of it', async () => {
    const cwd = await temporaryFolder()
    for (const engine of [fakeEngine(), failingEngine(lost)]) {
      const controller = new AbortController()
      controller.abort(new Error('stop'))
      const { code, err } = await run(['generate', 'x'], { cwd, engine, signal: controller.signal })
      expect({ code, err }).toEqual({
        code: 130,
        err: expect.stringContaining('Cancelled. Nothing was written.'),
      })
    }
    expect(await readdir(cwd)).toEqual([])
  })
})

describe('a real process', () => {
  const script = fileURLToPath(new URL('slow-engine.ts', import.meta.url))
  const start = (cwd: string, ...args: string[]) => {
    const child = spawn(process.execPath, ['--import', 'tsx', script, 'generate', 'x', '--json', ...args], {
      cwd: fileURLToPath(new URL('../..', import.meta.url)),
      env: { ...process.env, TEST_OUT: cwd },
    })
    let out = ''
    child.stdout.on('data', (data: Buffer) => {
      out += data.toString()
      // The engine is at work: press Ctrl-C.
      if (data.includes('"step":1')) child.kill('SIGINT')
    })
    return new Promise<{ code: number | null; out: string }>(resolve =>
      child.on('close', code => resolve({ code, out })),
    )
  }

  it('stops between steps on Ctrl-C, with 130 and no file', async () => {
    const cwd = await temporaryFolder()
    const { code, out } = await start(cwd, '--out', join(cwd, 'x.png'), '--steps', '1000')
    expect(code).toBe(130)
    expect(JSON.parse(out.trim().split('\n').at(-1) ?? '')).toMatchObject({
      type: 'error',
      code: 'cancelled',
    })
    expect(await readdir(cwd)).toEqual([])
  })
})

describe('names', () => {
  it('take the first words of a prompt', () => {
    expect(slug('  A "Red" Car / under\na blue sky!')).toBe('a-red-car-under-a-blue-sky')
    expect(slug('../../etc/passwd\0')).toBe('etc-passwd')
    expect(slug('Ünïcödé, 日本 🚗')).toBe('unicode-日本')
    expect(slug('')).toBe('')
    expect(slug(`${'word '.repeat(100)}`).length).toBeLessThanOrEqual(48)
    const request = parseRequest({ prompt: '!!!', seed: '9' })
    expect(pictureName(request, new Date(2026, 0, 2))).toBe('2026-01-02-9.png')
  })
})
