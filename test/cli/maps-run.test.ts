/** What words did, with the real engine and a small model: spot, meter, steps, curves, and the recording of it all. */
import { mkdtempSync, rmSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { localEngine } from '../../cli/local-engine.ts'
import { finestGrid, wordMaps } from '../../model/attention/maps.ts'
import { type AttentionRecording, readRecording } from '../../model/attention/recording.ts'
import { memorySource } from '../../model/contract/bytes.ts'
import { writeTinyModel } from '../support/tiny-models.ts'
import { fakeEngine, pixelsOf, recordOf, type Run, run, temporaryFolder } from './support.ts'

let model: string

beforeAll(() => {
  model = mkdtempSync(join(tmpdir(), 'attune-tiny-'))
  writeTinyModel('sd1', model, { dtype: 'F32' })
})

afterAll(() => rmSync(model, { recursive: true, force: true }))

const size = '--width 64 --height 32 --steps 3 --precision f32 --seed 7 --no-effects'.split(' ')

function attune(cwd: string, ...argv: string[]): Promise<Run> {
  return run([...argv, '--model', model, '--backend', 'wasm'], { cwd, engine: localEngine })
}

const draw = (cwd: string, ...argv: string[]): Promise<Run> =>
  attune(cwd, 'generate', ...argv, ...size, '--out', 'p.png')

async function recordingIn(folder: string): Promise<AttentionRecording> {
  return readRecording(memorySource('r', await readFile(join(folder, 'recording.safetensors'))))
}

describe('attune generate --maps', () => {
  const prompt = 'a (red:1.5) car'
  const region = ['--region', 'grass@rect:0,0,0.5,1']
  const curve = ['--curve', 'car=0:1,1:2']
  const watch = '--maps m --maps-format png,overlay,npy,webp,recording,csv --words red,car --spot 0.25,1'

  it('writes maps, spot, meter and steps, and a recording that gives them all again', async () => {
    const cwd = await temporaryFolder()
    const told = await draw(cwd, prompt, ...region, ...curve, ...watch.split(' '), '--meter', '2')
    expect({ code: told.code, err: told.err }).toEqual({ code: 0, err: '' })
    expect(told.out).toMatch(
      /^meter, step 2: .*\n {2}the prompt +[\d.]+ % .*\n {2}region 1 "grass" +[\d.]+ % .*\nWrote p\.png/,
    )
    const folder = join(cwd, 'm')
    const recording = await recordingIn(folder)
    const { captured, run: facts, perStep, spot } = recording
    expect(facts).toMatchObject({
      weightLaw: 'a1111',
      // The small vocabulary knows "red" in two pieces.
      tokenWeights: [1.5, 1.5, 1],
      weightCurves: [{ phrase: 'car', shape: 'linear' }],
      controls: { regions: { regions: [{ prompt: 'grass', mask: { kind: 'rect', width: 0.5 } }] } },
    })
    expect(facts.sigmas).toHaveLength(3)
    expect(facts.timesteps?.every((value, at, all) => at === 0 || value < (all[at - 1] as number))).toBe(true)
    expect(spot).toMatchObject({ point: { x: 0.25, y: 1 } })
    // One is an even look: the mean over all positions.
    expect(spot!.data.reduce((sum, value) => sum + value, 0) / spot!.data.length).toBeCloseTo(1, 4)

    // The steps' own maps add up to the map of the run.
    const maps = wordMaps(captured, finestGrid(captured))
    const area = perStep!.width * perStep!.height
    expect(perStep).toMatchObject({ ...finestGrid(captured), steps: [0, 1, 2], words: [0, 1] })
    for (const [word, { data }] of maps.entries()) {
      const mean = data.map((_, at) =>
        [0, 1, 2].reduce(
          (sum, step) => sum + (perStep!.data[(step * 2 + word) * area + at] as number) / 3,
          0,
        ),
      )
      data.forEach((value, at) => expect(mean[at]).toBeCloseTo(value, 5))
    }
    const animation = await sharp(join(folder, 'car.webp'), { animated: true }).metadata()
    expect(animation).toMatchObject({ pages: 3, width: 64, pageHeight: 32 })

    const again = await run(
      ['maps', 'open', 'm/recording.safetensors', '--out', 'o', '--image', 'p.png'].concat(
        '--format',
        'png,overlay,npy,webp,recording,csv',
      ),
      { cwd },
    )
    expect(again.code).toBe(0)
    const names = (await readdir(folder)).filter(name => !/^(meter|manifest)/.test(name))
    expect(names).toContain('spot-0.25-1.overlay.png')
    for (const name of names) {
      const [was, is] = [await readFile(join(folder, name)), await readFile(join(cwd, 'o', name))]
      expect(is.equals(was), name).toBe(true)
    }

    const { out } = await run(['maps', 'inspect', 'm/recording.safetensors'], { cwd })
    for (const fact of [
      'weights by the law a1111',
      'curve "car": 1 at 0 %, 2 at 100 %',
      'region "grass", weight 1, in 0, 0, 0.5, 1',
      'what the spot 0.25, 1 looks at',
      'maps of 3 steps and 2 words',
    ]) {
      expect(out).toContain(fact)
    }

    // Watching changes no bit, and the curve is in the record.
    await attune(cwd, 'generate', prompt, ...region, ...curve, ...size, '--out', 'plain.png')
    expect((await pixelsOf(join(cwd, 'plain.png'))).equals(await pixelsOf(join(cwd, 'p.png')))).toBe(true)
    const { request } = await recordOf(join(cwd, 'p.png'))
    expect(request).toMatchObject({ weightCurves: [{ phrase: 'car', keys: [{ weight: 1 }, { weight: 2 }] }] })
    await attune(cwd, 'generate', prompt, ...region, ...size, '--out', 'even.png')
    expect((await pixelsOf(join(cwd, 'even.png'))).equals(await pixelsOf(join(cwd, 'p.png')))).toBe(false)
  })

  it('records what an edit begins with, and meters it', async () => {
    const cwd = await temporaryFolder()
    await draw(cwd, 'a red car')
    const watched = '--maps m --maps-format recording --meter --no-effects --json --out e.png'.split(' ')
    const edited = await attune(cwd, 'edit', 'p.png', '--replace', 'red=blue', ...watched)
    const meter = edited.json().find(({ type }) => type === 'meter') as unknown as {
      step: number
      sources: { name: string; share: number }[]
    }
    expect(meter.step).toBe(2)
    expect(meter.sources.map(({ name }) => name)).toEqual(['the prompt', 'kept from the original'])
    expect(meter.sources.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 5)
    const { captured, run: facts } = await recordingIn(join(cwd, 'm'))
    expect(captured.prompt).toBe('a blue car')
    expect(facts).toMatchObject({ sourcePrompt: 'a red car', controls: { edit: { cross: { end: 0.8 } } } })
    const { out } = await run(['maps', 'inspect', 'm/recording.safetensors'], { cwd })
    expect(out).toContain('edited from "a red car", cross 0-0.8, self 0-0.4')
  })

  it('keeps the steps of the drawing that a repair keeps', async () => {
    const cwd = await temporaryFolder()
    const argv = ['a red car', '--repair', 'seeds', '--repair-tries', '2', '--words', 'car']
    await draw(cwd, ...argv, '--maps', 'm', '--maps-format', 'recording')
    const { captured, perStep } = await recordingIn(join(cwd, 'm'))
    const area = perStep!.width * perStep!.height
    const word = captured.words.findIndex(({ text }) => text === 'car')
    const map = wordMaps(captured, { ...finestGrid(captured), words: [word] })[0]!
    const at = perStep!.words.indexOf(word)
    const mean = perStep!.steps.reduce(
      (sum, _, step) =>
        sum + (perStep!.data[(step * perStep!.words.length + at) * area] as number) / perStep!.steps.length,
      0,
    )
    expect(mean).toBeCloseTo(map.data[0] as number, 5)
  })
})

const maps = (folder: string, formats: string): string[] => ['--maps', folder, '--maps-format', formats]

describe('what is asked of the engine', () => {
  it('is no meter where there is nothing to compare, and that is said', async () => {
    const cwd = await temporaryFolder()
    const engine = fakeEngine()
    const { out } = await run(['generate', 'x', '--meter'], { cwd, engine })
    expect(out).toMatch(/^meter: the prompt is the only source/)
    expect(engine.jobs[0]).not.toHaveProperty('meterAt')
    const swap = ['generate', 'a cat.swap(dog)', '--dialect', 'compel', '--meter', '3']
    await run(swap, { cwd, engine })
    expect(engine.jobs[1]).toMatchObject({ meterAt: 2 })
  })

  it('is live maps only where they are kept', async () => {
    const cwd = await temporaryFolder()
    const engine = fakeEngine()
    await run(['generate', 'x', ...maps('a', 'png'), '--spot', '1,0'], { cwd, engine })
    await run(['generate', 'x', ...maps('b', 'webp')], { cwd, engine })
    expect(engine.jobs.map(({ capture }) => capture)).toEqual([{}, { live: true }])
    expect(engine.jobs[0]?.spot).toEqual({ x: 1, y: 0 })
  })

  it('is nothing where maps lie in the folder already', async () => {
    const cwd = await temporaryFolder()
    expect((await draw(cwd, 'a car', '--maps', 'm', '--maps-format', 'csv')).code).toBe(0)
    const engine = fakeEngine()
    const { code, err } = await run(['generate', 'a car', '--maps', 'm'], { cwd, engine })
    expect({ code, jobs: engine.jobs }).toEqual({ code: 2, jobs: [] })
    expect(err).toContain('--overwrite')
  })
})

describe('maps that cannot be written', () => {
  it('are an error, after the picture, which is named', async () => {
    const cwd = await temporaryFolder()
    // More tokens than a chunk has, of fewer words.
    const prompt = 'a '.repeat(40) + 'strawberries '.repeat(30)
    const { code, err } = await draw(cwd, prompt, '--maps', 'm', '--maps-rule', 'daam')
    expect({ code, err }).toEqual({
      code: 1,
      err: expect.stringMatching(/^The picture is written: p\.png\n.*DAAM's rule cannot be followed/s),
    })
    expect(await readdir(cwd)).toEqual(['p.png'])
  })
})

describe('a meter behind the end of a run', () => {
  it('is refused by the engine where only the model knows the end', async () => {
    const cwd = await temporaryFolder()
    const argv = ['a car', '--region', 'grass@rect:0,0,1,1', '--meter', '5']
    const { code, err } = await draw(cwd, ...argv)
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining('this run has 3') })
    expect(await readdir(cwd)).toEqual([])
  })
})
