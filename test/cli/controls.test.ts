/** Controls of the command line with the real engine and a small model: drawn, told, recorded, edited, repaired. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { localEngine } from '../../cli/local-engine.ts'
import { controlsSchema } from '../../model/contract/controls.ts'
import { parseRequest } from '../../model/contract/request.ts'
import { writeTinyModel } from '../support/tiny-models.ts'
import { fakeEngine, pixelsOf, recordOf, type Run, run, temporaryFolder } from './support.ts'

let model: string

beforeAll(() => {
  model = mkdtempSync(join(tmpdir(), 'attune-tiny-'))
  writeTinyModel('sd1', model, { dtype: 'F32' })
})

afterAll(() => rmSync(model, { recursive: true, force: true }))

const size = '--width 64 --height 32 --steps 4 --precision f32 --seed 7'.split(' ')

/** Runs the real engine. */
function attune(cwd: string, ...argv: string[]): Promise<Run> {
  return run([...argv, '--model', model, '--backend', 'wasm'], { cwd, engine: localEngine })
}

const draw = (cwd: string, ...argv: string[]): Promise<Run> =>
  attune(cwd, 'generate', ...argv, ...size, '--out', 'p.png')

/** What the record of a picture draws. */
async function again(path: string): Promise<Buffer> {
  const { request } = await recordOf(path)
  const hooks = {
    onProgress: () => undefined,
    onNotice: () => undefined,
    signal: new AbortController().signal,
  }
  const { picture } = await localEngine.runGenerate(
    { request: parseRequest(request), backend: 'wasm', model },
    hooks,
  )
  return Buffer.from(picture.data)
}

describe('attune generate with controls', () => {
  it('is edited, and every record draws its picture again, bit for bit', async () => {
    const cwd = await temporaryFolder()
    await sharp({ create: { width: 8, height: 4, channels: 3, background: '#fff' } })
      .png()
      .toFile(join(cwd, 'mask.png'))
    const first = await draw(
      cwd,
      'a red car',
      '--region',
      'blue grass@mask.png:weight=2',
      '--paint',
      'car@rect:0,0,0.5,1:2',
    )
    expect({ code: first.code, err: first.err }).toEqual({ code: 0, err: '' })
    expect(first.out).toMatch(
      /^paint changed the prediction by [\d.]+ %\nregions changed the prediction by [\d.]+ %\nWrote /,
    )
    const { controls } = (await recordOf(join(cwd, 'p.png'))).request
    expect(controlsSchema.parse(controls)).toEqual(controls)
    expect(controls).toMatchObject({
      regions: { regions: [{ prompt: 'blue grass', weight: 2, mask: { kind: 'bitmap', width: 8 } }] },
    })
    expect((await again(join(cwd, 'p.png'))).equals(await pixelsOf(join(cwd, 'p.png')))).toBe(true)

    const edit = await attune(
      cwd,
      ...'edit p.png --replace red=blue --weight blue=3 --out e.png --before b.png --json'.split(' '),
    )
    const events = edit.json()
    expect(events.find(({ type, text }) => type === 'notice' && `${text}`.startsWith('Edit'))).toMatchObject({
      text: 'Edit: red → blue, blue × 3.',
    })
    expect(events.filter(({ type }) => type === 'effect').map(({ control }) => control)).toEqual([
      'paint',
      'regions',
      'edit',
    ])
    expect(events.at(-1)).toMatchObject({ type: 'done', before: join(cwd, 'b.png') })
    const edited = await pixelsOf(join(cwd, 'e.png'))
    expect(edited.equals(await pixelsOf(join(cwd, 'b.png')))).toBe(false)
    expect((await again(join(cwd, 'e.png'))).equals(edited)).toBe(true)
    const before = await recordOf(join(cwd, 'b.png'))
    expect(before.request).toMatchObject({ prompt: 'a red car', controls: { regions: {} } })
    expect(before.request.controls).not.toHaveProperty('edit')

    // The same words once more, on top of the edit: the same picture.
    const same = ['edit', 'e.png', '--prompt', 'a blue car', '--out', 's.png', '--no-effects']
    expect((await attune(cwd, ...same)).code).toBe(0)
    expect((await pixelsOf(join(cwd, 's.png'))).equals(edited)).toBe(true)
  })

  it('recomputes the original of an edit', async () => {
    const cwd = await temporaryFolder()
    await draw(cwd, 'a red car')
    await attune(cwd, 'edit', 'p.png', '--replace', 'red=blue', '--out', 'e.png', '--before', 'b.png')
    const [picture, before] = [await pixelsOf(join(cwd, 'p.png')), await pixelsOf(join(cwd, 'b.png'))]
    // Two pictures in a batch add in another order.
    expect(Math.max(...picture.map((value, i) => Math.abs(value - (before[i] as number))))).toBeLessThan(2)
  })

  it('says where nothing can be seen, and what to do', async () => {
    const cwd = await temporaryFolder()
    const argv = ['a red car', '--paint', 'car@rect:0,0,0.5,1:0.000001']
    expect((await draw(cwd, ...argv)).out).toMatch(
      /^paint changed the prediction by .+ %: no visible effect\. Give --paint a greater strength/,
    )
    const none = await draw(cwd, ...argv, '--no-effects', '--overwrite')
    expect(none.out).toMatch(/^Wrote/)
  })

  it('draws swaps, and records them as they were typed', async () => {
    const cwd = await temporaryFolder()
    const prompt = 'a red car.swap(grass)'
    const { err, out } = await draw(cwd, prompt, '--dialect', 'compel')
    expect(err).toBe('Edit: car → grass.\n')
    expect(out).toMatch(/^the edit changed the picture by \d/)
    const { request } = await recordOf(join(cwd, 'p.png'))
    expect(request.prompt).toBe(prompt)
    expect(request).not.toHaveProperty('controls')
  })
})

describe('--repair', () => {
  it('pushes neglected words and keeps the best try, whose record needs no repair', async () => {
    const cwd = await temporaryFolder()
    // A word that is next to silenced is neglected, whatever the model.
    const argv = ['a (red:0.01) car', '--emphasis', 'logit-bias', '--repair', '--repair-tries', '2', '--json']
    const events = (await draw(cwd, ...argv)).json()
    expect(events.find(({ type }) => type === 'notice')).toMatchObject({
      text: expect.stringMatching(/^Little looked at: "red" .* Drawing again with "red" \+1\.$/),
    })
    const told = events.find(({ type }) => type === 'repair') as unknown as {
      attempts: { pushed: object; judgement: { score: number } }[]
      kept: number
    }
    expect(told.attempts.map(({ pushed }) => pushed)).toEqual([{}, { red: 1 }, { red: 2 }])
    const scores = told.attempts.map(({ judgement }) => judgement.score)
    expect(told.kept).toBe(scores.indexOf(Math.max(...scores)))
    expect(told.kept).toBe(2)
    expect(events.find(({ type }) => type === 'progress')).toMatchObject({ attempt: { number: 1, of: 3 } })
    const { request } = await recordOf(join(cwd, 'p.png'))
    expect(request.controls).toMatchObject({ paint: [{ phrase: 'red', strength: 2, law: 'constant' }] })
    expect((await again(join(cwd, 'p.png'))).equals(await pixelsOf(join(cwd, 'p.png')))).toBe(true)
  })

  it('looks at seeds', async () => {
    const cwd = await temporaryFolder()
    const { out } = await draw(cwd, 'a red car', '--repair', 'seeds', '--repair-tries', '2')
    const kept = /seed (\d+)\).*, kept$/m.exec(out)?.[1]
    expect(['7', '8']).toContain(kept)
    const { request } = await recordOf(join(cwd, 'p.png'))
    expect(request).toMatchObject({ seed: kept, steps: 4 })
    expect(request).not.toHaveProperty('controls')
    expect((await again(join(cwd, 'p.png'))).equals(await pixelsOf(join(cwd, 'p.png')))).toBe(true)
  })

  it('refuses what it cannot push', async () => {
    const cwd = await temporaryFolder()
    const engine = fakeEngine()
    const paint = ['--paint', 'car@rect:0,0,1,1:0.3', '--paint-law', 'paint-with-words']
    const { err } = await run(['generate', 'a car', ...paint, '--repair'], { cwd, engine })
    expect(err).toContain('law constant')
    expect(engine.jobs).toEqual([])
  })
})
