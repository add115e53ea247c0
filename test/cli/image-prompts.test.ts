/** Image prompts from the command line: their words, the real engine against diffusers, refusals, records, edits. */
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseImagePrompt } from '../../cli/image-prompt-options.ts'
import { localEngine } from '../../cli/local-engine.ts'
import { readNpy } from '../../model/tensor/npy.ts'
import {
  expectedTensor,
  fixture,
  promptedCase,
  type TinyAdapter,
  writeAdapter,
  writeEncoder,
} from '../support/ipadapter.ts'
import { parityCase, parityPath, relativeL2 } from '../support/parity.ts'
import { writeTinyModel } from '../support/tiny-models.ts'
import { recordOf, type Run, run, temporaryFolder } from './support.ts'

let model: string
const adapters = new Map<TinyAdapter, string>()

beforeAll(() => {
  model = mkdtempSync(join(tmpdir(), 'attune-tiny-'))
  writeTinyModel('sd1', model, { dtype: 'F32' })
  for (const name of ['sd1-base', 'sd1-plus', 'sd2-base'] as const) adapters.set(name, writeAdapter(name))
})

afterAll(() => {
  for (const path of [model, ...adapters.values()]) rmSync(path, { recursive: true, force: true })
})

const adapter = (name: TinyAdapter): string => adapters.get(name) as string
const file = (name: TinyAdapter): string => join(adapter(name), `${name}.safetensors`)

function attune(cwd: string, ...argv: string[]): Promise<Run> {
  return run([...argv, '--model', model, '--backend', 'wasm'], { cwd, engine: localEngine })
}

const small = '--width 64 --height 32 --steps 2 --precision f32 --seed 7 --out p.png'.split(' ')

/** A case of diffusers in words. */
async function drawn(id: string, ...prompts: string[]): Promise<{ run: Run; cwd: string; error: number }> {
  const cwd = await temporaryFolder()
  const { prompt, negative, width, height, sampler, steps, guidance } = promptedCase(id)
  const settings = { negative, width, height, sampler, steps, guidance, seed: 0, precision: 'f32' }
  const result = await attune(
    cwd,
    'generate',
    prompt,
    ...Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]),
    '--latents',
    parityPath(parityCase('sd1-ddim').files.initialNoise as string),
    '--save-latents',
    'latents.npy',
    '--out',
    'p.png',
    ...prompts,
  )
  if (result.code !== 0) return { run: result, cwd, error: Number.NaN }
  const { data } = readNpy(await readFile(join(cwd, 'latents.npy')))
  return { run: result, cwd, error: relativeL2(Float32Array.from(data), expectedTensor('latents', id)) }
}

describe('the words of --image-prompt', () => {
  it.each([
    ['a=b.png', { adapter: 'a', image: 'b.png' }],
    ['a/b.safetensors=c.png:0.5', { adapter: 'a/b.safetensors', image: 'c.png', scale: 0.5 }],
    ['a=C:/x.png:-0.5:0.1:.9', { adapter: 'a', image: 'C:/x.png', scale: -0.5, start: 0.1, end: 0.9 }],
    ['a=b=file:c=d.png', { adapter: 'a=b', image: 'c=d.png' }],
  ])('reads %s', (text, expected) => {
    expect(parseImagePrompt(text)).toEqual(expected)
  })

  it.each([
    ['a', 'has no picture'],
    ['a=', 'has no picture'],
    ['=b.png', 'has no IP-Adapter before its ='],
    ['a=b.png:11', 'The scale of'],
    ['a=b.png:1:0.5:0.5', 'must end after it starts'],
    ['a=b.png:1:0:1:1', 'has 4 numbers; there are three: scale, start and end'],
    ['a=b.png:', 'empty value'],
  ])('refuses %s', (text, message) => {
    expect(() => parseImagePrompt(text)).toThrow(message)
  })
})

describe('drawing', () => {
  it('gives the latents of diffusers, lists the image prompt and records it', async () => {
    const {
      run: result,
      error,
      cwd,
    } = await drawn(
      'sd1-scale',
      '--image-prompt',
      `${adapter('sd1-base')}=${fixture('wide.png')}:0.45`,
      ...'--image-prompt-fit crop --json'.split(' '),
    )
    expect(result.err).toBe('')
    expect(error).toBeLessThan(1e-3)
    const lines = result.out
      .trim()
      .split('\n')
      .map(line => JSON.parse(line) as Record<string, unknown>)
    expect(lines.find(({ type }) => type === 'notice')?.['text']).toContain('its middle square only')
    const expected = { adapter: 'sd1-base', image: 'wide.png', scale: 0.45, fit: 'crop', start: 0, end: 1 }
    expect(lines.at(-1)).toMatchObject({ type: 'done', imagePrompts: [{ ...expected, hasMask: false }] })
    const record = await recordOf(join(cwd, 'p.png'))
    expect(record.request.imagePrompts).toMatchObject([expected])
    const roles = record.inputs?.map(({ role, name }) => `${role} ${name}`)
    expect(roles).toEqual(
      expect.arrayContaining(['image-prompt wide.png', 'image-encoder image_encoder', 'ip-adapter sd1-base']),
    )
    expect(JSON.stringify(record)).not.toContain(tmpdir())
  })

  it('takes two references, a mask and a scale each, of one adapter file', async () => {
    const encoder = writeEncoder('quick', join(await temporaryFolder(), 'clip'))
    const { error, run: result } = await drawn(
      'sd1-two-masks',
      '--image-prompt',
      `${file('sd1-base')}=${fixture('square.png')}:0.8`,
      '--image-prompt',
      `${file('sd1-base')}=${fixture('wide.png')}:0.6`,
      '--image-prompt-mask',
      fixture('mask-sd1-left.png'),
      '--image-prompt-mask',
      fixture('mask-sd1-right.png'),
      '--image-prompt-fit',
      'crop',
      '--image-encoder',
      encoder,
    )
    expect(result.err).not.toContain('error')
    expect(error).toBeLessThan(1e-3)
  })

  it('takes scales by block, as JSON, a file or a preset', async () => {
    const prompt = ['--image-prompt', `${adapter('sd1-base')}=${fixture('square.png')}`]
    const json = '{"down": {"block_2": [0, 0.6]}, "up": {"block_1": [1, 0, 0.5]}}'
    expect((await drawn('sd1-layers', ...prompt, '--image-prompt-layers', json)).error).toBeLessThan(1e-3)
    const layers = join(await temporaryFolder(), 'layers.json')
    writeFileSync(layers, json)
    expect((await drawn('sd1-layers', ...prompt, '--image-prompt-layers', layers)).error).toBeLessThan(1e-3)
    expect((await drawn('sd1-style', ...prompt, '--image-prompt-layers', 'style')).error).toBeLessThan(1e-3)
  })

  it('shows the image in the meter and among the maps', async () => {
    const cwd = await temporaryFolder()
    const prompt = ['--image-prompt', `${adapter('sd1-base')}=${fixture('square.png')}`]
    const result = await attune(cwd, 'generate', 'a red car', ...prompt, '--meter', ...small)
    expect(result.err).not.toContain('error')
    expect(result.out).toMatch(/the prompt +\d/)
    expect(result.out).toMatch(/image 1 "square\.png" +\d/)
  })
})

const refused = async (...argv: string[]): Promise<Run> =>
  attune(await temporaryFolder(), 'generate', 'a car', ...argv, ...small)

describe('refusals before the model is opened', () => {
  it.each([
    [['--image-prompt-fit', 'crop'], '--image-prompt-fit does nothing without --image-prompt'],
    [['--image-encoder', 'x'], '--image-encoder does nothing without --image-prompt'],
    [['--image-prompt', 'nowhere=a.png'], 'There is no IP-Adapter'],
  ])('%j', async (argv, message) => {
    const { code, err } = await refused(...argv)
    expect([code, err]).toEqual([2, expect.stringContaining(message)])
  })

  it('of files', async () => {
    const folder = await temporaryFolder()
    const there = `=${fixture('square.png')}`
    const say = async (path: string, ...others: string[]): Promise<string> =>
      (await refused('--image-prompt', path + there, ...others)).err
    const copy = join(folder, 'a.safetensors')
    copyFileSync(file('sd1-base'), copy)
    expect(await say(copy)).toContain('needs a CLIP vision encoder, and there is none in')
    expect(await say(folder)).toContain('--image-encoder FOLDER')
    copyFileSync(copy, join(folder, 'b.safetensors'))
    expect(await say(folder)).toContain('holds 2 .safetensors files: a.safetensors, b.safetensors')
    const pickles = join(folder, 'pickles')
    mkdirSync(pickles)
    writeFileSync(join(pickles, 'ip-adapter.bin'), 'x')
    expect(await say(pickles)).toContain('ip-adapter.bin is a pickle')
    expect(await say(join(pickles, 'ip-adapter.bin'))).toContain('Give the .safetensors version')
    expect(await say(model)).toContain('is a whole model, not an IP-Adapter')
    expect(await say(file('sd1-base'), '--image-encoder', folder)).toContain('has no config.json')
    expect(await say(file('sd1-base'), '--image-prompt-layers', 'face')).toContain('no preset and no file')
    expect(await say(file('sd1-base'), '--image-prompt-layers', '{')).toContain('not valid JSON')
    const twice = ['--image-prompt-fit', 'crop', '--image-prompt-fit', 'pad']
    expect(await say(file('sd1-base'), ...twice)).toContain('given 2 times, and --image-prompt 1 times')
    const curve = await refused(
      '--image-prompt',
      `${file('sd1-base')}${there}:1`,
      '--image-prompt-curve',
      '0:1',
    )
    expect(curve.err).toContain('has a scale and a curve')
  })

  it('of pictures: none, damaged, too large, a bomb', async () => {
    const folder = await temporaryFolder()
    const say = (name: string): Promise<Run> =>
      refused('--image-prompt', `${file('sd1-base')}=${join(folder, name)}`)
    expect((await say('none.png')).code).not.toBe(0)
    writeFileSync(join(folder, 'text.png'), 'no picture')
    expect((await say('text.png')).err).toContain('text.png')
    // 112 million pixels in a small file.
    const huge = join(folder, 'huge.png')
    await sharp({
      create: { width: 16_000, height: 7000, channels: 3, background: 'red' },
      limitInputPixels: false,
    })
      .png({ compressionLevel: 9, palette: true, colours: 2 })
      .toFile(huge)
    const bomb = await say('huge.png')
    expect([bomb.code === 0, bomb.err]).toEqual([false, expect.stringMatching(/16000|pixels/)])
  })
})

describe('refusals by the engine', () => {
  it('names both families', async () => {
    const cwd = await temporaryFolder()
    const { code, err } = await attune(
      cwd,
      'generate',
      'a car',
      '--image-prompt',
      `${adapter('sd2-base')}=${fixture('square.png')}`,
      ...small,
    )
    expect(code).not.toBe(0)
    expect(err).toContain('sd2-base belongs to another family than')
  })

  it('names the encoder that does not fit', async () => {
    const cwd = await temporaryFolder()
    const encoder = join(adapter('sd2-base'), 'image_encoder')
    const prompt = [
      '--image-prompt',
      `${file('sd1-base')}=${fixture('square.png')}`,
      '--image-encoder',
      encoder,
    ]
    const { err } = await attune(cwd, 'generate', 'a car', ...prompt, ...small)
    expect(err).toContain('is not the image encoder of sd1-base')
  })
})

describe('pictures of other kinds', () => {
  it('with alpha, 16 bits, grey or turned by EXIF are seen as they look', async () => {
    const cwd = await temporaryFolder()
    const source = sharp(fixture('square.png'))
    await source.clone().ensureAlpha().png().toFile(join(cwd, 'alpha.png'))
    await source.clone().toColourspace('rgb16').png({ compressionLevel: 1 }).toFile(join(cwd, 'deep.png'))
    // Stored lying on its side, with the tag that turns it up.
    const turned = await source.clone().rotate(270).png().toBuffer()
    await sharp(turned).withMetadata({ orientation: 6 }).png().toFile(join(cwd, 'turned.png'))
    const latents = async (name: string): Promise<Float32Array> => {
      const image = `${adapter('sd1-base')}=${name}`
      const options = ['--save-latents', `${basename(name)}.npy`, '--overwrite', ...small]
      const { err, code } = await attune(cwd, 'generate', 'a car', '--image-prompt', image, ...options)
      expect([code, err.includes('error')]).toEqual([0, false])
      return Float32Array.from(readNpy(await readFile(join(cwd, `${basename(name)}.npy`))).data)
    }
    const plain = await latents(fixture('square.png'))
    for (const name of ['alpha.png', 'turned.png', 'deep.png']) {
      expect(relativeL2(await latents(join(cwd, name)), plain), name).toBeLessThan(1e-3)
    }
  })
})

describe('attune edit', () => {
  it('asks for the files again, and draws with them', async () => {
    const cwd = await temporaryFolder()
    const prompt = ['--image-prompt', `${adapter('sd1-base')}=${fixture('square.png')}`]
    await attune(cwd, 'generate', 'a red car', ...prompt, ...small, '--image-prompt-layers', 'composition')
    const edit = (...argv: string[]): Promise<Run> =>
      attune(cwd, 'edit', 'p.png', '--replace', 'red=green', '--out', 'e.png', '--overwrite', ...argv)
    expect((await edit()).err).toContain('drawn with an image prompt, whose files it does not hold')
    expect((await edit(...prompt, ...prompt)).err).toContain('given 2 times')
    expect((await edit('--image-prompt', `${prompt[1]}:1`)).err).toContain('takes no scale')
    const other = await edit('--image-prompt', `${adapter('sd1-base')}=${fixture('wide.png')}`)
    expect(other.err).toContain('Image prompt 1 was "sd1-base=square.png", and is "sd1-base=wide.png"')
    const done = await edit(...prompt)
    expect([done.code, done.err]).toEqual([0, expect.not.stringContaining('Image prompt 1 was')])
    const record = await recordOf(join(cwd, 'e.png'))
    expect(record.request.imagePrompts).toMatchObject([{ image: 'square.png', layers: 'composition' }])
  })

  it('takes none for a picture that has none', async () => {
    const cwd = await temporaryFolder()
    await attune(cwd, 'generate', 'a red car', ...small)
    const prompt = ['--image-prompt', `${adapter('sd1-base')}=${fixture('square.png')}`]
    const { err } = await attune(cwd, 'edit', 'p.png', '--replace', 'red=green', '--out', 'e.png', ...prompt)
    expect(err).toContain('says nothing of one')
  })
})
