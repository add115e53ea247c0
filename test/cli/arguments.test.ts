import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { checkSize, parseRequest, requestLimits, resolveRequest } from '../../model/contract/request.ts'
import { writeNpy } from '../../model/tensor/npy.ts'
import { defaults, fakeEngine, run, temporaryFolder } from './support.ts'

describe('wrong arguments end with exit code 2, say what and why, and start nothing', () => {
  it.each([
    [['generate', 'x', '--stpes', '3'], "Unknown option '--stpes'.", 'Did you mean --steps?'],
    [['genrate', 'x'], "Unknown command 'genrate'.", 'Did you mean generate?'],
    [['generate'], "Missing required argument 'prompt'.", 'in quotes'],
    [['generate', 'a', 'red', 'car'], 'Too many arguments', 'in quotes'],
    [['generate', 'x', '--steps'], "Option '--steps <n>' argument missing.", '--help'],
    [['generate', 'x', '--steps', '0'], '--steps must be between 1 and 1000, but is 0.', 'Correct'],
    [['generate', 'x', '--steps', '2.5'], '--steps must be a whole number, but is 2.5.', 'Correct'],
    [['generate', 'x', '--steps', '0x10'], '--steps must be a number, but is "0x10".', 'Correct'],
    [['generate', 'x', '--guidance', 'NaN'], '--guidance must be a number, but is "NaN".', 'Correct'],
    [['generate', 'x', '--guidance', '1e999'], '--guidance must be a number', 'Correct'],
    [['generate', 'x', '--guidance', '-1'], '--guidance must be between 0 and 100, but is -1.', 'Correct'],
    [['generate', 'x', '--seed', '1.5'], '--seed must be a whole number', 'Correct'],
    [
      ['generate', 'x', '--seed', '18446744073709551616'],
      '--seed must be a whole number from 0 to 18446744073709551615',
      'Correct',
    ],
    [['generate', 'x', '--width', '7'], '--width must be between 8 and 16384, but is 7.', 'Correct'],
    [['generate', 'x', '--clip-skip', '0'], '--clip-skip must be between 1 and 12', 'Correct'],
    [['generate', 'x', '--guidance-rescale', '2'], '--guidance-rescale must be between 0 and 1', 'Correct'],
    [['generate', 'x', '--sampler', 'magic'], "argument 'magic' is invalid", '--help'],
    [['generate', 'x', '--backend', 'cuda'], "argument 'cuda' is invalid", '--help'],
    [['generate', 'x', '--model', ''], '--model is empty.', 'Give a value'],
    [['generate', 'x', '--mask', 'm.png'], '--mask needs', '--init'],
    [['generate', 'x', '--words', 'car'], '--words does nothing without --maps', '--maps FOLDER'],
    [['generate', 'x', '--maps', 'm', '--maps-format', 'gif'], 'gif', 'png16'],
    [['generate', 'x', '--spot', '0,0'], '--spot does nothing without --maps', '--maps FOLDER'],
    [['generate', 'x', '--maps', 'm', '--spot', '2,0'], '--spot must be a point of the picture', '0.5,0.25'],
    [['generate', 'x', '--maps', 'm', '--spot', '0.5'], '--spot must be a point of the picture', 'x,y'],
    [['generate', 'x', '--maps', 'm', '--spot', '0,0', '--maps-format', 'csv'], '--spot is a map', 'overlay'],
    [['generate', 'x', '--maps-steps', 'each'], '--maps-steps does nothing without --maps', 'drop it'],
    [['generate', 'x', '--maps', 'm', '--maps-steps', 'each'], 'without the format webp', 'webp'],
    [
      ['generate', 'x', '--maps', 'm', '--maps-format', 'webp', '--maps-steps', 'x'],
      'does not know "x"',
      'running',
    ],
    [['generate', 'x', '--maps', 'm', '--maps-rule', 'x'], '--maps-rule does not know "x"', 'daam'],
    [
      ['generate', 'x '.repeat(76), '--maps', 'm', '--maps-rule', 'daam'],
      "DAAM's rule is for prompts of one chunk",
      'shorten',
    ],
    [['generate', 'x', '--maps', 'm', '--words', 'y'], 'The words "y" are not in the prompt.', 'among: x.'],
    [['generate', 'x', '--maps', '/dev/null/m'], '/dev/null is a file', 'another place'],
    [['generate', '--meter', 'a car', 'x'], '--meter takes the number of a step', '--meter 6'],
    [['generate', 'x', '--meter', '0'], '--meter takes the number of a step', '--meter 6'],
    [['generate', 'x', '--meter', '9', '--steps', '4'], '--meter 9 is behind the end', '1 to 4'],
    [['generate', 'x', '--curve', 'x'], 'has no words and points', 'Write it like'],
    [['generate', 'x', '--curve', '=0:1'], 'has no words and points', 'Write it like'],
    [['generate', 'x', '--curve', 'x=0.5'], 'the point "0.5", which is not share:weight', 'Write it like'],
    [['generate', 'x', '--curve', 'x=2:1'], 'outside of the run', 'from 0 to 1'],
    [['generate', 'x', '--curve', 'x=0:1000'], 'a weight beyond 100', '1 leaves'],
    [['generate', 'x', '--curve', 'x=1:1,0:2'], 'goes back in time', 'order'],
    [['generate', 'x', '--curve', 'x=0:1@jump'], 'unknown word behind @', '@hold'],
    [['generate', 'x', '--curve', 'x=0:1', '--curve', 'X=0:2'], 'gives "x" two curves', 'one of them'],
    [['generate', 'x', '--curve', 'y=0:1'], 'The weight curve for "y" cannot act', 'as they stand'],
    [['generate', 'x', '--curve', 'x=0:2', '--dialect', 'plain'], '--curve does nothing', '--emphasis'],
    [
      ['generate', 'x', '--curve', 'x=0:-1', '--emphasis', 'logit-bias'],
      'has no meaning under --emphasis logit-bias',
      'from 0',
    ],
    [['generate', 'x', '--strength', '0.5'], '--strength does nothing without --init', '--init'],
    [['generate', 'x', '--init', 'missing.png'], 'There is no file', 'Check the path'],
    [['generate', 'x', '--latents', 'missing.npy'], 'there is no file', 'Check the path'],
    [['generate', 'x', '--model', './missing'], 'There is no model ./missing', 'Check the path'],
    [['generate', 'x', '--tokenizer', 'missing'], 'is not a folder', 'vocab.json'],
    [['generate', 'x', '--out', 'x.jpg'], 'is not a .png name', '.png'],
    [['generate', 'x', '--save-latents', 'x.bin'], '.npy files only', '.npy'],
    [['generate', 'x', '--out', '/dev/null/x.png'], '/dev/null is a file', 'another place'],
    [['generate', 'x', '--paint', 'x@rect:0,0,1,1'], 'no strength', 'Write it like'],
    [['generate', 'x', '--paint', 'y@rect:0,0,1,1:1'], 'The words "y" are not in the prompt.', 'among: x.'],
    [['generate', 'x', '--paint', 'x@missing.png:1'], 'There is no file', 'Check the path'],
    [['generate', 'x AND y', '--paint', 'x@rect:0,0,1,1:1'], 'Painting words needs one text', 'AND'],
    [['generate', 'x', '--region', 'y'], 'has no mask', 'Write it like'],
    [['generate', 'x', '--region-base', '1'], '--region-base does nothing without --region', 'drop it'],
    [['generate', 'x', '--repair', 'magic'], "argument 'magic' is invalid", '--help'],
    [['generate', 'x', '--repair-tries', '2'], '--repair-tries does nothing without --repair', 'drop it'],
    [['generate', 'x', '--repair', '--repair-tries', '0'], '--repair-tries must be a whole', 'Correct'],
    [['generate', 'x', '--repair', '--repair-tries', '33'], 'number from 1 to 32', 'Correct'],
    [['generate', '--repair', 'words', '[x:y:0.5]'], 'A repair needs one text', 'schedule'],
    [['edit'], "Missing required argument 'picture'.", 'Name a picture'],
    [['edit', 'p.png'], 'Nothing is to change.', '--replace cat=dog'],
    [['edit', 'p.png', '--replace', 'cat'], 'does not say what is replaced', 'cat=dog'],
    [['edit', 'p.png', '--weight', 'cat'], 'does not say by how much', 'car=1.5'],
    [['edit', 'p.png', '--weight', 'cat=1000'], '--weight cat=1000 is beyond 100', '1 leaves'],
    [['edit', 'p.png', '--prompt', 'x', '--add', 'y'], '--prompt is a whole new prompt', 'one of them'],
    [['edit', 'p.png', '--add', 'y', '--cross', '0.8'], '--cross must be a part of the run', '0-0.6'],
    [['edit', 'p.png', '--add', 'y', '--self', '1-0'], '--self 1-0 is no part', 'forwards'],
    [['edit', 'p.png', '--add', 'y', '--blend', ','], 'is no list of words', 'commas'],
    [['edit', 'p.png', '--add', 'y', '--blend-threshold', '2'], 'must be between 0 and 1', 'Correct'],
    [['edit', 'p.png', '--add', 'y', '--seed', '3'], 'attune edit takes no --seed', 'attune generate'],
    [['edit', 'p.png', '--add', 'y', '--steps'], 'attune edit takes no --steps', 'attune generate'],
    [['edit', 'p.png', '--add', ''], '--add is empty', 'words'],
    [['edit', 'missing.png', '--add', 'y'], 'There is no file', 'Check the path'],
    [['models'], 'A command is missing.', 'attune help'],
    [['models', 'inspect', 'missing-folder'], 'There is nothing at', 'Check the path'],
  ] as const)('%j', async (argv, what, remedy) => {
    const engine = fakeEngine()
    const { code, out, err } = await run(argv, { engine })
    expect(err).toContain(what)
    expect(err).toContain(remedy)
    expect(err.startsWith('attune: ')).toBe(true)
    expect({ code, out, jobs: engine.jobs }).toEqual({ code: 2, out: '', jobs: [] })
  })

  it.each(['--lora'])('refuses %s by name until it is there, with a value or without', async option => {
    for (const argv of [
      ['generate', 'x', option],
      ['generate', 'x', option, 'value'],
    ]) {
      const { code, err } = await run(argv)
      expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining(`${option} is not there yet`) })
    }
  })

  it('refuses what serve does not take', async () => {
    for (const argv of [['x'], ['--any'], ['--port', '80'], ['--port', '1e4'], ['--open', '--no-browser']])
      expect([argv, (await run(['serve', ...argv])).code]).toEqual([argv, 2])
  })

  it('speaks JSON when asked, even about arguments', async () => {
    const { code, err, json } = await run(['generate', 'x', '--json', '--stpes', '1'])
    expect({ code, err }).toEqual({ code: 2, err: '' })
    expect(json()).toEqual([
      {
        type: 'error',
        code: 'bad-argument',
        message: "Unknown option '--stpes'.",
        remedy: 'Did you mean --steps?',
      },
    ])
  })

  it('shows terminal codes instead of sending them', async () => {
    const { err } = await run(['generate', 'x', '--model', './\u001b[31mred'])
    expect(err).toContain('\\u001b[31mred')
    expect(err).not.toContain('\u001b')
  })
})

describe('help and version', () => {
  it.each([[[]], [['--help']], [['help', 'generate']], [['generate', '--help']], [['--version']]])(
    '%j',
    async argv => {
      const { code, out, err } = await run(argv)
      expect({ code, err }).toEqual({ code: 0, err: '' })
      expect(out.length).toBeGreaterThan(4)
    },
  )

  it('names every option of the contract', async () => {
    const { out } = await run(['generate', '--help'])
    const contract =
      '--negative --model --tokenizer --steps --guidance --seed --sampler --width --height --precision --dialect --out --latents --step-noise --save-latents --init --strength --mask --lora --control --image-prompt --image-encoder --maps --maps-format --words --json --backend --clip-skip --guidance-rescale --rng --overwrite --region --paint --hide-padding --repair --no-effects --spot --meter --maps-rule --maps-steps --curve'
    for (const option of contract.split(' ')) expect(out).toContain(option)
  })
})

describe('values reach the engine as they were typed', () => {
  it('passes everything on', async () => {
    const engine = fakeEngine()
    const words =
      '--negative blur --model some-id --steps 7 --guidance 1.5 --guidance-rescale 0.7 --seed 18446744073709551615 --rng philox --sampler euler_a --width 32 --height 24 --precision f16 --clip-skip 2 --dialect compel --emphasis value-gain --old-timeline --backend wasm'
    await run(['generate', 'a car', ...words.split(' ')], { engine, cwd: await temporaryFolder() })
    expect(engine.jobs).toEqual([
      {
        backend: 'wasm',
        model: 'some-id',
        request: {
          prompt: 'a car',
          negativePrompt: 'blur',
          steps: 7,
          guidanceScale: 1.5,
          guidanceRescale: 0.7,
          seed: '18446744073709551615',
          rng: 'philox',
          sampler: 'euler_a',
          width: 32,
          height: 24,
          precision: 'f16',
          clipSkip: 2,
          dialect: 'compel',
          emphasis: 'value-gain',
          oldTimeline: true,
        },
      },
    ])
  })

  it('passes controls and repairs on, and measures effects where there are any', async () => {
    const engine = fakeEngine()
    const cwd = await temporaryFolder()
    const paint = ['--paint', 'car@rect:0,0,0.5,1:2', '--hide-padding']
    await run(['generate', 'a car', ...paint, '--repair', '--json'], { engine, cwd })
    await run(['generate', 'a car', ...paint, '--repair', 'seeds', '--no-effects'], { engine, cwd })
    await run(['generate', 'a car', '--repair', 'words', '--repair-tries', '5'], { engine, cwd })
    expect(engine.jobs[0]).toMatchObject({
      measureEffects: true,
      repair: { kind: 'words', tries: 3 },
      request: { controls: { paint: [{ phrase: 'car', strength: 2, law: 'constant' }], hidePadding: true } },
    })
    expect(engine.jobs[1]).not.toHaveProperty('measureEffects')
    expect(engine.jobs.map(({ repair }) => repair)).toEqual([
      { kind: 'words', tries: 3 },
      { kind: 'seeds', tries: 6 },
      { kind: 'words', tries: 5 },
    ])
    expect(engine.jobs[2]).not.toHaveProperty('measureEffects')
  })

  it('refuses more masks than a record holds, and noise for a choice of seeds', async () => {
    const engine = fakeEngine()
    const cwd = await temporaryFolder()
    const white = { create: { width: 256, height: 256, channels: 3 as const, background: '#fff' } }
    await sharp(white).png().toFile(join(cwd, 'm.png'))
    await writeFile(join(cwd, 'n.npy'), writeNpy([1, 4, 2, 2], new Float32Array(16)))
    const regions = Array.from({ length: 12 }, () => ['--region', 'a dog@m.png']).flat()
    for (const [words, message] of [
      [regions, 'masks of this picture'],
      [['--repair', 'seeds', '--latents', 'n.npy'], 'every seed draws the same'],
      [['--paint', `${'x'.repeat(2000)}@rect:0,0,1,1:1`], 'controls.paint.0.phrase'],
    ] as const) {
      const { code, err } = await run(['generate', 'a car', ...words], { engine, cwd })
      expect({ code, err }).toEqual({ code: 2, err: expect.stringContaining(message) })
    }
    expect(engine.jobs).toEqual([])
  })

  it('takes an empty prompt, a prompt like an option, and draws a seed for -1 or none', async () => {
    const engine = fakeEngine()
    const cwd = await temporaryFolder()
    await run(['generate', ''], { engine, cwd })
    await run(['generate', '--seed', '-1', '--', '--json'], { engine, cwd })
    const [first, second] = engine.jobs.map(job => job.request)
    expect(first?.prompt).toBe('')
    expect(second?.prompt).toBe('--json')
    for (const request of [first, second]) expect(request?.seed).toMatch(/^\d{1,10}$/)
    expect(first?.seed).not.toBe(second?.seed)
    expect(first).not.toHaveProperty('steps')
  })
})

const request = (changes: object = {}) => parseRequest({ prompt: 'x', seed: '007', ...changes })

describe('parseRequest and resolveRequest', () => {
  it('fills defaults, gives seeds one spelling, refuses unknown settings and endless prompts', () => {
    expect(request()).toEqual({
      prompt: 'x',
      negativePrompt: '',
      seed: '7',
      guidanceRescale: 0,
      rng: 'cpu',
      dialect: 'a1111',
    })
    expect(() => request({ stpes: 3 })).toThrow('Unknown setting stpes')
    expect(() => request({ prompt: 'x'.repeat(requestLimits.promptLength + 1) })).toThrow('at most 200000')
    expect(() => request({ guidanceScale: NaN })).toThrow('guidanceScale must be a number')
    expect(() => parseRequest(null)).toThrow('request')
  })

  it('takes the model’s choices, then the init image’s size', () => {
    expect(resolveRequest(request(), defaults, 8)).toMatchObject({
      width: 64,
      height: 48,
      steps: 3,
      sampler: 'ddim',
    })
    const fromInit = resolveRequest(request(), defaults, 8, { width: 103, height: 5 })
    expect(fromInit).toMatchObject({ width: 96, height: 8, strength: 0.8 })
    expect(resolveRequest(request(), defaults, 8)).not.toHaveProperty('strength')
  })

  it('names the nearest sizes', () => {
    expect(() => checkSize(500, 512, 16)).toThrow(
      'A picture of 500x512 does not fit this model: its width must be a multiple of 16',
    )
    try {
      checkSize(500, 30, 64)
    } catch (error) {
      expect(error).toMatchObject({ code: 'bad-argument', remedy: 'Use width 448 or 512 and height 64.' })
    }
    expect(() => checkSize(0, 64, 8)).toThrow('whole number')
    expect(() => checkSize(64, 128, 64)).not.toThrow()
  })
})
