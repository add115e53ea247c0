/** `attune edit`: from a picture's own record to the edited picture, and what is refused on the way. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { otherModelNotice } from '../../cli/local-engine.ts'
import { encodePng } from '../../host/images.ts'
import { parseRequest } from '../../model/contract/request.ts'
import { makeRecord, writeRecord } from '../../model/contract/record.ts'
import { resolveRequest } from '../../model/contract/request.ts'
import { defaults, fakeEngine, pixelsOf, recordOf, run, temporaryFolder } from './support.ts'

const grey = { width: 8, height: 8, channels: 3 as const, data: new Uint8Array(192).fill(128) }

/** A folder with p.png, a picture of this request. */
async function pictured(request: object, more: object = {}): Promise<string> {
  const cwd = await temporaryFolder()
  const record = makeRecord({
    appVersion: '0.1.0',
    created: new Date('2026-11-23T12:00:00Z'),
    request: resolveRequest(
      parseRequest({ prompt: 'a red cat on grass', seed: '7', ...request }),
      defaults,
      8,
    ),
    model: { name: 'fake', sha256: 'ab'.repeat(32) },
    ...more,
  })
  const png = await encodePng(grey, [{ keyword: 'attune', text: writeRecord(record) }])
  await writeFile(join(cwd, 'p.png'), png)
  return cwd
}

/** A folder with p.png, a picture of another program. */
async function foreign(parameters: string): Promise<string> {
  const cwd = await temporaryFolder()
  const png = await encodePng(grey, [{ keyword: 'parameters', text: parameters }])
  await writeFile(join(cwd, 'p.png'), png)
  return cwd
}

async function editOf(cwd: string, ...argv: string[]) {
  const engine = fakeEngine()
  const result = await run(['edit', 'p.png', ...argv], { cwd, engine })
  return { ...result, engine, job: engine.jobs[0] }
}

const rect = { kind: 'rect', x: 0, y: 0, width: 0.5, height: 1 } as const

describe('an edit', () => {
  it('is the recorded request with other words', async () => {
    const cwd = await pictured({ sampler: 'euler', steps: 9, precision: 'f32', rng: 'philox' })
    const argv =
      '--replace cat=dog --remove red --add,in the snow --weight snow=1.5 --cross 0-0.6 --self 0-0.2 --blend cat,dog --blend-threshold 0.4 --keep-out grass'
    const words = argv.split(' --').flatMap(each => {
      const [option = '', ...rest] = each.replace(/^--/, '').split(/[ ,](.*)/s)
      return [`--${option}`, ...rest.filter(Boolean)]
    })
    const { code, job, err } = await editOf(cwd, ...words, '--out', 'e.png')
    expect({ code, err }).toEqual({ code: 0, err: expect.stringContaining('a software adapter') })
    expect(job?.request).toMatchObject({
      prompt: 'a dog on grass, in the snow',
      seed: '7',
      sampler: 'euler',
      steps: 9,
      rng: 'philox',
      width: 64,
      controls: {
        edit: {
          sourcePrompt: 'a red cat on grass',
          cross: { start: 0, end: 0.6 },
          self: { start: 0, end: 0.2 },
          reweight: [{ phrase: 'snow', factor: 1.5 }],
          blend: { source: ['cat'], target: ['dog'], subtract: ['grass'], threshold: 0.4, start: 0.2 },
        },
      },
    })
    expect(job?.recordedModel).toEqual({ name: 'fake', sha256: 'ab'.repeat(32) })
    expect(job?.measureEffects).toBeUndefined()
    const record = await recordOf(join(cwd, 'e.png'))
    expect(record.inputs).toEqual([{ role: 'edited', name: 'p.png' }])
    expect(record.request.controls).toEqual(job?.request.controls)
  })

  it('keeps regions, and paint and weights where their words stand', async () => {
    const paint = ['red cat', 'grass'].map(phrase => ({ phrase, mask: rect, strength: 1 }))
    const weightCurves = [{ phrase: 'cat', shape: 'hold', keys: [{ fraction: 0, weight: 2 }] }]
    const regions = { regions: [{ prompt: 'a tree', mask: rect }] }
    const cwd = await pictured({ controls: { paint, regions, hidePadding: true }, weightCurves })
    const { job, err } = await editOf(cwd, '--replace', 'cat=dog')
    expect(job?.request.controls).toMatchObject({
      paint: [{ phrase: 'grass' }],
      regions: { regions: [{ prompt: 'a tree' }] },
      hidePadding: true,
    })
    expect(job?.request).not.toHaveProperty('weightCurves')
    expect(job?.measureEffects).toBe(true)
    expect(err).toContain('Dropped: the paint of "red cat", which the new prompt does not have.')
    expect(err).toContain('Dropped: the weight curve of "cat"')
    expect(err).toContain('its original is recomputed without them')
    expect((await editOf(cwd, '--add', 'x', '--no-effects')).job?.measureEffects).toBeUndefined()
  })

  it('of an edit begins with the first original', async () => {
    const edit = {
      sourcePrompt: 'a red cat',
      cross: { start: 0, end: 0.5 },
      reweight: [
        { phrase: 'grass', factor: 2 },
        { phrase: 'red', factor: 3 },
      ],
      blend: { source: ['cat'], target: ['grass'] },
    }
    const cwd = await pictured({ controls: { edit } })
    const { job, err } = await editOf(cwd, '--replace', 'grass=sand', '--weight', 'red=0.5')
    expect(job?.request).toMatchObject({
      prompt: 'a red cat on sand',
      controls: {
        edit: {
          sourcePrompt: 'a red cat',
          cross: { start: 0, end: 0.5 },
          reweight: [{ phrase: 'red', factor: 0.5 }],
          blend: { source: ['cat'], target: [] },
        },
      },
    })
    expect(err).toContain('itself an edit')
    expect(err).toContain('Dropped: the weight of "grass"')
    expect(err).toContain('Dropped: words of --blend')
  })

  it('of a picture with a swap begins with its original words', async () => {
    const cwd = await pictured({ prompt: 'a red cat.swap(dog) on grass', dialect: 'compel' })
    const { job } = await editOf(cwd, '--add', 'at night')
    expect(job?.request).toMatchObject({
      prompt: 'a red dog on grass, at night',
      controls: { edit: { sourcePrompt: 'a red cat on grass' } },
    })
  })

  it('says in JSON what it notices', async () => {
    const cwd = await pictured({ controls: { paint: [{ phrase: 'cat', mask: rect, strength: 1 }] } })
    const { json, err } = await editOf(cwd, '--remove', 'cat', '--json')
    expect(err).toBe('')
    expect(json()[0]).toMatchObject({ type: 'notice', text: expect.stringContaining('Dropped') })
  })
})

describe('other pictures', () => {
  it('of A1111 are recomputed as far as their text goes', async () => {
    const cwd = await foreign(
      'a red cat\nNegative prompt: blur\nSteps: 5, Sampler: Euler a, CFG scale: 6, Seed: 3, Size: 64x48, Model hash: abcdef1234, Model: other, Hires upscale: 2, Denoising strength: 0.4',
    )
    const { job, err } = await editOf(cwd, '--replace', 'cat=dog')
    expect(job?.request).toMatchObject({
      prompt: 'a red dog',
      negativePrompt: 'blur',
      steps: 5,
      seed: '3',
      rng: 'philox',
      sampler: 'euler_a',
      dialect: 'a1111',
    })
    expect(job?.request).not.toHaveProperty('strength')
    expect(job?.recordedModel).toEqual({ name: 'other', sha256: 'abcdef1234' })
    expect(err).toContain('that AUTOMATIC1111 wrote')
    expect(err).toContain('Not taken over: Hires upscale')
  })

  it('say what they lack', async () => {
    const cwd = await temporaryFolder()
    await sharp(grey.data, { raw: grey }).png().toFile(join(cwd, 'p.png'))
    const none = await editOf(cwd, '--add', 'x')
    expect({ code: none.code, err: none.err }).toEqual({
      code: 2,
      err: expect.stringContaining('does not say how it was drawn'),
    })
    const noSeed = await editOf(await foreign('a cat\nSteps: 5, Sampler: Euler, CFG scale: 6'), '--add', 'x')
    expect(noSeed.err).toContain('names no seed')
    await writeFile(join(cwd, 'p.png'), 'no picture')
    expect((await editOf(cwd, '--add', 'x')).code).toBe(1)
  })

  it('tell another model', () => {
    const sha256 = 'abcdef1234'.padEnd(64, '0')
    const now = { name: 'storybook', sha256 }
    expect(otherModelNotice({ name: 'x', sha256: 'ABCDEF1234' }, now)).toBeUndefined()
    expect(otherModelNotice({ name: 'storybook' }, now)).toBeUndefined()
    expect(otherModelNotice({}, now)).toBeUndefined()
    expect(otherModelNotice({ name: 'x' }, now)).toContain('drawn by x, and this is storybook')
    expect(otherModelNotice({ name: 'storybook', sha256: 'ff'.repeat(32) }, now)).toContain(
      'another state of storybook (ffffffffff)',
    )
  })
})

describe('refused before the engine starts', () => {
  it.each<[string, object, string[], string, string]>([
    ['absent words', {}, ['--replace', 'dog=cat'], 'The words "dog" are not', 'a, red, cat, on, grass'],
    ['a weight of absent words', {}, ['--weight', 'dog=2'], 'The words "dog" are not', 'cat'],
    ['a mask of absent words', {}, ['--add', 'x', '--blend', 'dog'], 'The words "dog" are not', 'grass'],
    ['what lies beside no mask', {}, ['--add', 'x', '--keep-out', 'cat'], '--keep-out does', '--blend'],
    ['a threshold of no mask', {}, ['--add', 'x', '--blend-threshold', '0.1'], '--blend-threshold does', ''],
    ['a schedule', { prompt: '[cat:dog:0.5]' }, ['--add', 'x'], 'An edit needs one text', 'schedule'],
    ['several texts', {}, ['--prompt', 'a AND b'], 'An edit needs one text', 'AND'],
    ['a missing image', { strength: 0.5 }, ['--add', 'x'], 'was drawn from an image', '--init FILE'],
    ['a needless image', {}, ['--add', 'x', '--init', 'p.png'], 'says nothing of such', 'Leave it out'],
    ['one file for two', {}, ['--add', 'x', '--out', 'a.png', '--before', 'a.png'], 'the same file', ''],
    ['a name of no picture', {}, ['--add', 'x', '--before', 'a.jpg'], 'not a .png name', '.png'],
    ['the picture itself', {}, ['--add', 'x', '--out', 'p.png'], 'is there already', '--overwrite'],
    [
      'isolated regions',
      { controls: { regions: { regions: [{ prompt: 'x', mask: rect }], law: 'isolate' } } },
      ['--add', 'x'],
      'isolated regions',
      '--region-law mix',
    ],
  ])('%s', async (_, request, argv, message, remedy) => {
    const cwd = await pictured(
      request,
      'strength' in request ? { inputs: [{ role: 'init', name: 'i.png' }] } : {},
    )
    const { code, err, job } = await editOf(cwd, ...argv)
    expect({ code: code > 0, job }).toEqual({ code: true, job: undefined })
    expect(err).toContain(message)
    expect(err).toContain(remedy)
  })

  it('files that were lost: noise and masks', async () => {
    for (const role of ['latents', 'step-noise', 'mask']) {
      const cwd = await pictured({}, { inputs: [{ role, name: 'x' }] })
      const { code, err } = await editOf(cwd, '--add', 'x')
      expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining(`--${role} FILE`) })
    }
  })

  it('not what a newer version knows: that is said', async () => {
    const cwd = await pictured({})
    const record = await recordOf(join(cwd, 'p.png'))
    const text = JSON.stringify({
      ...record,
      request: { ...record.request, novelty: 1, controls: { hidePadding: true, magic: {} } },
    })
    await writeFile(join(cwd, 'p.png'), await encodePng(grey, [{ keyword: 'attune', text }]))
    const { err, job } = await editOf(cwd, '--add', 'x')
    expect(err).toContain('novelty, controls.magic')
    expect(job?.request.controls).toMatchObject({ hidePadding: true })
    expect((await pixelsOf(join(cwd, 'p.png'))).length).toBe(192)
  })
})
