/** ControlNets from the command line: their words, the real engine against diffusers' pictures, refusals, records, edits. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseGuide } from '../../cli/guide-options.ts'
import { localEngine } from '../../cli/local-engine.ts'
import { parseGuides } from '../../model/contract/guides.ts'
import { parseRequest, resolveRequest } from '../../model/contract/request.ts'
import { DiffusionModel } from '../../model/pipeline/diffusion-model.ts'
import { openControlNetFolder } from '../../model/pipeline/control-net.ts'
import { workOf } from '../../model/pipeline/work.ts'
import { readNpy } from '../../model/tensor/npy.ts'
import { openModelFolder } from '../../host/model-folder.ts'
import { expectedLatents, guidedCase, netBytes, type TinyNet, writeNet } from '../support/controlnet.ts'
import { parityCase, parityPath, relativeL2 } from '../support/parity.ts'
import { writeTinyModel } from '../support/tiny-models.ts'
import { defaults, fakeEngine, recordOf, type Run, run, temporaryFolder } from './support.ts'

const picture = (file: string): string =>
  fileURLToPath(new URL(`../fixtures/controlnet/${file}`, import.meta.url))

let model: string
const nets = new Map<TinyNet, string>()

beforeAll(() => {
  model = mkdtempSync(join(tmpdir(), 'attune-tiny-'))
  writeTinyModel('sd1', model, { dtype: 'F32' })
  for (const net of ['sd1-a', 'sd1-b', 'sd2-a'] as const) nets.set(net, writeNet(net))
})

afterAll(() => {
  rmSync(model, { recursive: true, force: true })
  for (const path of nets.values()) rmSync(dirname(path), { recursive: true, force: true })
})

const net = (name: TinyNet): string => nets.get(name) as string

/** A net and a picture that are there. */
const there = (): string => `${net('sd1-a')}=${picture('a.png')}`

function attune(cwd: string, ...argv: string[]): Promise<Run> {
  return run([...argv, '--model', model, '--backend', 'wasm'], { cwd, engine: localEngine })
}

const small = '--width 64 --height 32 --steps 3 --precision f32 --seed 7 --out p.png'.split(' ')

/** A case of diffusers in words. */
async function drawn(id: string, ...control: string[]): Promise<{ run: Run; cwd: string; error: number }> {
  const cwd = await temporaryFolder()
  const { prompt, negative, width, height, sampler, steps, guidance } = guidedCase(id)
  const settings = { negative, width, height, sampler, steps, guidance, seed: 0, precision: 'f32' }
  const latents = parityPath(parityCase('sd1-ddim').files.initialNoise as string)
  const result = await attune(
    cwd,
    'generate',
    prompt,
    ...Object.entries(settings).flatMap(([name, value]) => [`--${name}`, `${value}`]),
    ...control,
    '--latents',
    latents,
    '--save-latents',
    'l.npy',
    '--out',
    'p.png',
    '--json',
  )
  if (result.code !== 0) return { run: result, cwd, error: Number.NaN }
  const { data } = readNpy(await readFile(join(cwd, 'l.npy')), 'l.npy')
  return { run: result, cwd, error: relativeL2(data as Float32Array, expectedLatents(id)) }
}

describe('parseGuide', () => {
  it.each([
    ['n=a.png', { model: 'n', image: 'a.png' }],
    ['n=a.png:0.8:0.1:.5', { model: 'n', image: 'a.png', weight: 0.8, start: 0.1, end: 0.5 }],
    [
      'C:\\nets\\n=C:\\my pictures\\a.png:-1',
      { model: 'C:\\nets\\n', image: 'C:\\my pictures\\a.png', weight: -1 },
    ],
    ['n=canny@photo@2x.png:0.8', { model: 'n', preprocessor: 'canny', image: 'photo@2x.png', weight: 0.8 }],
    ['n=file:photo@2x.png', { model: 'n', image: 'photo@2x.png' }],
    ['n=./photo@2x.png', { model: 'n', image: './photo@2x.png' }],
    ['a=b/n=file:c=d.png', { model: 'a=b/n', image: 'c=d.png' }],
    ['a=b/n=canny@file:c.png:1', { model: 'a=b/n', preprocessor: 'canny', image: 'c.png', weight: 1 }],
  ])('%s', (text, expected) => {
    expect(parseGuide(text)).toEqual(expected)
  })
})

describe('attune generate --control', () => {
  it('gives the latents of diffusers, lists the guide and records it', async () => {
    const {
      run: result,
      cwd,
      error,
    } = await drawn('sd1-window', '--control', `${net('sd1-a')}=${picture('a.png')}:1:0.2:0.7`)
    expect(result.err).toBe('')
    expect(error).toBeLessThan(1e-3)
    const guide = { model: 'sd1-a', image: 'a.png', weight: 1, start: 0.2, end: 0.7, rule: 'diffusers' }
    expect(result.json().at(-1)).toMatchObject({ type: 'done', guides: [{ ...guide, hasMask: false }] })
    const { request, inputs } = await recordOf(join(cwd, 'p.png'))
    expect(request.guides).toMatchObject([guide])
    expect(parseGuides(request.guides)).toEqual(request.guides)
    expect(inputs).toEqual(
      expect.arrayContaining([
        { role: 'control', name: 'a.png', sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
        expect.objectContaining({ role: 'control-net', name: 'sd1-a' }),
      ]),
    )
  })

  it('opens a file, and two nets together', async () => {
    const folder = await temporaryFolder()
    const file = join(folder, 'b.safetensors')
    writeFileSync(file, netBytes('sd1-b', 'original'))
    const { run: result, error } = await drawn(
      'sd1-two',
      '--control',
      `${net('sd1-a')}=${picture('a.png')}:0.7`,
      '--control',
      `${file}=${picture('b.png')}:0.5:0:0.5`,
    )
    expect(result.err).toBe('')
    expect(error).toBeLessThan(1e-3)
  })

  it('makes hints of pictures, and holds to a mask, a mode and a rule', async () => {
    const cwd = await temporaryFolder()
    copyFileSync(picture('a.png'), join(cwd, 'photo@2x.png'))
    await sharp({ create: { width: 8, height: 4, channels: 3, background: '#fff' } }).toFile(
      join(cwd, 'mask.png'),
    )
    const settings =
      '--control-mode control --control-resize fill --control-rule webui --control-mask mask.png'
    const result = await attune(
      cwd,
      'generate',
      'a red car',
      ...small,
      ...settings.split(' '),
      '--json',
      '--control',
      `${net('sd1-a')}=canny@photo@2x.png:0.5:0.9:0.95`,
    )
    expect(result.err).toBe('')
    const events = result.json()
    expect(events.find(({ text }) => `${text}`.startsWith('The guide'))).toMatchObject({
      text: expect.stringContaining('The guide sd1-a does nothing: its window 0.9-0.95'),
    })
    expect(events.at(-1)).toMatchObject({ guides: [{ image: 'canny@photo@2x.png', hasMask: true }] })
    const { request, inputs } = await recordOf(join(cwd, 'p.png'))
    expect(request.guides).toMatchObject([
      { mode: 'control', resize: 'fill', rule: 'webui', mask: { kind: 'bitmap', width: 8, height: 4 } },
    ])
    expect(inputs?.[0]).toMatchObject({ role: 'control', name: 'canny@photo@2x.png' })
  })

  it('gives equal names to different files, and one name to one', async () => {
    const cwd = await temporaryFolder()
    for (const folder of ['x', 'y']) {
      mkdirSync(join(cwd, folder))
      copyFileSync(picture('a.png'), join(cwd, folder, 'a.png'))
    }
    const engine = fakeEngine()
    const controls = ['x/a.png', 'y/a.png', 'x/a.png', 'canny@x/a.png']
    const words = controls.flatMap(image => ['--control', `${net('sd1-a')}=${image}`])
    expect((await run(['generate', 'x', ...words], { engine, cwd })).err).toBe(
      'a software adapter draws this\n',
    )
    expect(engine.jobs[0]?.request.guides?.map(({ model: name, image }) => [name, image])).toEqual(
      ['a.png', 'a.png (2)', 'a.png', 'canny@a.png'].map(name => ['sd1-a', name]),
    )
    expect(engine.jobs[0]?.guides).toMatchObject({
      nets: [{ name: 'sd1-a', path: net('sd1-a') }],
      pictures: [{ name: 'a.png' }, { name: 'a.png (2)' }, { name: 'canny@a.png', preprocessor: 'canny' }],
    })
  })

  it.each([
    [() => ['--control', 'net'], 'has no picture', 'Write it like'],
    [() => ['--control', '=a.png'], 'has no ControlNet', 'Write it like'],
    [() => ['--control', 'net='], 'has no picture', 'Write it like'],
    [() => ['--control', 'net=a.png:'], 'has an empty value', 'Write it like'],
    [() => ['--control', 'net=a.png:11'], 'must be between -10 and 10', 'Correct'],
    [() => ['--control', 'net=a.png:1:0.5:0.5'], 'must end after it starts', 'forwards'],
    [() => ['--control', 'net=a.png:1:2:3:4'], 'has 4 numbers', 'Leave'],
    [() => ['--control', 'missing=a.png'], 'There is no ControlNet', 'Check the path'],
    [() => ['--control', `${picture('a.png')}=${picture('a.png')}`], 'not a .safetensors', 'never opened'],
    [() => ['--control', `${net('sd1-a')}=missing.png`], 'There is no file', 'Check the path'],
    [() => ['--control', `${net('sd1-a')}=${picture('cases.json')}`], 'is not a picture', 'Use a PNG'],
    [() => ['--control', `${net('sd1-a')}=photo@${picture('a.png')}`], 'no preprocessor "photo"', '=file:'],
    [() => ['--control', `${net('sd1-a')}=inpaint@${picture('a.png')}`], 'needs a mask', 'attune preprocess'],
    [() => ['--control', `${model}=${picture('a.png')}`], 'is a whole model', 'Name the folder'],
    [() => ['--control', there(), '--control-mask', 'no.png'], 'There is no file', 'Check the path'],
    [() => ['--control', there(), '--control-mode', 'x'], "'x' is invalid", 'balanced'],
    [() => ['--control-rule', 'comfy'], 'does nothing without --control', 'Add --control'],
    [() => Array.from({ length: 9 }, () => ['--control', there()]).flat(), '9 times', 'Leave some out'],
  ])('refuses before the run %#', async (words, what, remedy) => {
    const engine = fakeEngine()
    const { err, out } = await run(['generate', 'x', ...words()], { engine, cwd: await temporaryFolder() })
    expect(err).toContain(what)
    expect(err).toContain(remedy)
    expect({ out, jobs: engine.jobs }).toEqual({ out: '', jobs: [] })
  })

  it('refuses a net of another family by name', async () => {
    const cwd = await temporaryFolder()
    const { code, err } = await attune(
      cwd,
      'generate',
      'x',
      ...small,
      '--control',
      `${net('sd2-a')}=${picture('a.png')}`,
    )
    expect(code).not.toBe(0)
    expect(err).toContain('sd2-a')
  })
})

describe('attune edit of a picture with guides', () => {
  it('asks for the files again, and draws with them', async () => {
    const cwd = await temporaryFolder()
    const control = ['--control', `${net('sd1-a')}=${picture('a.png')}`]
    await attune(cwd, 'generate', 'a red car', ...small, ...control.slice(0, 1), `${control[1]}:0.5:0:0.8`)
    const edit = (...more: string[]): Promise<Run> =>
      attune(cwd, 'edit', 'p.png', '--replace', 'red=blue', '--out', 'e.png', ...more)
    const without = await edit()
    expect({ code: without.code, err: without.err }).toEqual({
      code: 2,
      err: expect.stringMatching(/drawn with a ControlNet, .*--control "sd1-a=a\.png"/s),
    })
    expect((await edit(...control, ...control)).err).toContain('given 2 times')
    expect((await edit('--control', `${control[1]}:1`)).err).toContain('takes no numbers')
    expect((await edit(...control, '--control-mode', 'control')).err).toContain('no --control-mode')
    const other = ['--control', `${net('sd1-a')}=${picture('b.png')}`]
    expect((await edit(...other)).err).toContain('Guide 1 was "sd1-a=a.png", and is "sd1-a=b.png"')
    const done = await edit(...control, '--overwrite')
    expect(done.err).toBe('Edit: red → blue.\n')
    const { request } = await recordOf(join(cwd, 'e.png'))
    expect(request.guides).toMatchObject([{ model: 'sd1-a', image: 'a.png', weight: 0.5, end: 0.8 }])
  })

  it('takes no guides for a picture that has none', async () => {
    const cwd = await temporaryFolder()
    await run(['generate', 'a red car', '--out', 'p.png'], { cwd })
    const words = ['--replace', 'red=blue', '--control', `${net('sd1-a')}=${picture('a.png')}`]
    const { code, err } = await run(['edit', 'p.png', ...words], { cwd })
    expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining('says nothing of a ControlNet') })
  })
})

describe('attune models inspect', () => {
  it('says what a ControlNet folder is', async () => {
    const { code, out } = await run(['models', 'inspect', net('sd1-a')])
    expect(code).toBe(0)
    expect(out).toContain('(ControlNetModel)')
    expect(out).toContain('ControlNet, for --control: ControlNetModel')
  })
})

describe('workOf', () => {
  it('counts nets by their windows', async () => {
    const folder = await openModelFolder(net('sd1-a'))
    const opened = await DiffusionModel.open(await openModelFolder(model))
    try {
      const open = new Map([['n', await openControlNetFolder(folder, opened)]])
      const work = (...guides: object[]): ReturnType<typeof workOf> =>
        workOf(
          opened,
          resolveRequest(
            parseRequest({
              prompt: 'a car',
              seed: '1',
              guides: guides.map(each => ({ model: 'n', image: 'i', ...each })),
            }),
            defaults,
            opened.sizeFactor,
          ),
          open,
        )
      const [none, whole, half, one] = [work(), work({}), work({ end: 0.5 }), work({ mode: 'control' })]
      const net1 = whole.gigaflopPerStep - none.gigaflopPerStep
      expect(net1 / none.gigaflopPerStep).toBeGreaterThan(0.2)
      expect(one.gigaflopPerStep - none.gigaflopPerStep).toBeCloseTo(net1 / 2, 9)
      expect(half.gigaflop).toBeLessThan(whole.gigaflop)
      expect(work({}, {}).parameters).toBe(whole.parameters)
      expect(whole.parameters).toBeGreaterThan(none.parameters)
    } finally {
      await folder.close()
      await opened.close()
    }
  })
})
