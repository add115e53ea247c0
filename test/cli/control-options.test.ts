/** The options that paint, place and hide: their grammar with its awkward cases, and refusals that say what to do. */
import { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import {
  addControlOptions,
  parsePaint,
  parseRegion,
  parseWindow,
  type RawControlOptions,
  readControlArguments,
  resolveControls,
} from '../../cli/control-options.ts'
import { controlsSchema } from '../../model/contract/controls.ts'

const leftHalf = { kind: 'rect', x: 0, y: 0, width: 0.5, height: 1 } as const
const file = (path: string) => ({ kind: 'file', path })
const read = (...argv: string[]) => {
  const command = addControlOptions(new Command('generate'))
    .exitOverride()
    .configureOutput({ writeErr: () => undefined })
  command.parse(argv, { from: 'user' })
  return readControlArguments(command.opts<RawControlOptions>())
}

describe('--region', () => {
  it.each([
    ['a dog@rect:0,0,0.5,1', { prompt: 'a dog', mask: leftHalf }],
    ['a (red:1.3) dog, big @ rect.png', { prompt: 'a (red:1.3) dog, big', mask: file('rect.png') }],
    [
      'a dog@rect: 0, 0, .5, 1:feather=0.1:weight=2',
      { prompt: 'a dog', mask: leftHalf, weight: 2, feather: 0.1 },
    ],
    [
      'a dog@C:\\my masks\\a,b.png:weight=2',
      { prompt: 'a dog', mask: file('C:\\my masks\\a,b.png'), weight: 2 },
    ],
    ['a dog@C:\\k:x=1\\dog.png', { prompt: 'a dog', mask: file('C:\\k:x=1\\dog.png') }],
    ['a dog@/x/@y/m.png', { prompt: 'a dog', mask: file('/x/@y/m.png') }],
    ['night @ sea@file:/x/@y/m.png', { prompt: 'night @ sea', mask: file('/x/@y/m.png') }],
    ['night @ sea@rect:0,0,0.5,1', { prompt: 'night @ sea', mask: leftHalf }],
    [
      'a dog@m.png:weight=0.5:negative=a (cat:1.3), me@home:weight=7',
      { prompt: 'a dog', mask: file('m.png'), weight: 0.5, negativePrompt: 'a (cat:1.3), me@home:weight=7' },
    ],
    ['a dog@m.png:negative=b@rect:1', { prompt: 'a dog', mask: file('m.png'), negativePrompt: 'b@rect:1' }],
    ['a dog@m.png:negative=', { prompt: 'a dog', mask: file('m.png'), negativePrompt: '' }],
  ])('%s', (text, expected) => {
    expect(parseRegion(text)).toEqual(expected)
  })

  it.each([
    ['a dog', 'has no mask', 'a dog@rect:0,0,0.5,1'],
    ['a dog@', 'has no mask', 'a dog@rect:0,0,0.5,1'],
    ['@mask.png', 'has no words', 'a dog@rect:0,0,0.5,1'],
    ['a dog@m.png:wieght=2', 'unknown option "wieght"', 'weight, feather, negative'],
    ['a dog@m.png:weight=1:weight=2', 'two values for weight', 'one of them'],
    ['a dog@m.png:weight=heavy', 'must be a number, but is "heavy"', 'Correct'],
    ['a dog@m.png:weight=101', 'between 0 and 100, but is 101', 'Correct'],
    ['a dog@m.png:feather=-0.1', 'between 0 and 1, but is -0.1', 'Correct'],
    ['a dog@rect:0,0,1', 'not four shares', 'rect:x,y,width,height'],
    ['a dog@rect:0,0,512,512', 'not four shares', 'rect:x,y,width,height'],
    ['a dog@rect:0,0,0x1,1', 'not four shares', 'rect:x,y,width,height'],
    ['a dog@rect:0,0,0,1', 'empty rectangle', 'above 0'],
    ['a dog@rect:0.5,0,1,1', 'reaches beyond the picture', 'not its other corner'],
  ])('refuses %s', (text, what, remedy) => {
    expect(() => parseRegion(text)).toThrow(
      expect.objectContaining({
        code: 'bad-argument',
        message: expect.stringContaining(what),
        remedy: expect.stringContaining(remedy),
      }),
    )
  })
})

describe('--paint', () => {
  it.each([
    ['car@rect:0,0,0.5,1:0.8', { phrase: 'car', mask: leftHalf, strength: 0.8 }],
    ['red car=mask.png:-2', { phrase: 'red car', mask: file('mask.png'), strength: -2 }],
    [
      'car@C:\\m.png:1e-1:feather=0.1',
      { phrase: 'car', mask: file('C:\\m.png'), strength: 0.1, feather: 0.1 },
    ],
    ['car=/x/@y/m.png:1', { phrase: 'car', mask: file('/x/@y/m.png'), strength: 1 }],
    ['a=b@file:m=n.png:1', { phrase: 'a=b', mask: file('m=n.png'), strength: 1 }],
  ])('%s', (text, expected) => {
    expect(parsePaint(text)).toEqual(expected)
  })

  it.each([
    ['car', 'has no mask'],
    ['car@mask.png', 'has no strength'],
    ['car@rect:0,0,0.5,1', 'has no strength'],
    ['car@C:\\mask.png', 'has no strength'],
    ['car@mask.png:200', 'between -100 and 100, but is 200'],
    ['car@:0.5', 'has no mask'],
    ['car@mask.png:0.5:weight=1', 'unknown option "weight"'],
  ])('refuses %s', (text, what) => {
    expect(() => parsePaint(text)).toThrow(
      expect.objectContaining({ message: expect.stringContaining(what), remedy: expect.any(String) }),
    )
  })
})

describe('all together', () => {
  it('is nothing where nothing is asked for', () => {
    expect(read()).toBeUndefined()
    expect(read('--hide-padding')).toEqual({ hidePadding: true })
  })

  it('collects repeated options and becomes controls that the contract takes, each file read once', async () => {
    const regions = ['--region', 'a dog@rect:0,0,0.5,1', '--region', 'a cat@cat.png:weight=2']
    const paint = ['--paint', 'car@cat.png:0.8', '--paint', 'red@rect:0,0,0.5,1:1']
    const given = read(
      ...regions,
      ...paint,
      '--region-base=0.3',
      '--region-law=isolate',
      '--region-window=0-0.6',
      '--paint-law=paint-with-words',
      '--paint-window=0.2 - 1',
    )
    const paths: string[] = []
    const bitmap = { kind: 'bitmap', width: 1, height: 1, data: '/w==' } as const
    const controls = await resolveControls(given ?? {}, path => {
      paths.push(path)
      return Promise.resolve(bitmap)
    })
    expect(paths).toEqual(['cat.png'])
    const common = { law: 'paint-with-words', window: { start: 0.2, end: 1 }, feather: 0 }
    expect(controlsSchema.parse(controls)).toEqual({
      paint: [
        { phrase: 'car', mask: bitmap, strength: 0.8, ...common },
        { phrase: 'red', mask: leftHalf, strength: 1, ...common },
      ],
      regions: {
        regions: [
          { prompt: 'a dog', mask: leftHalf, weight: 1, feather: 0 },
          { prompt: 'a cat', mask: bitmap, weight: 2, feather: 0 },
        ],
        baseWeight: 0.3,
        law: 'isolate',
        window: { start: 0, end: 0.6 },
      },
    })
  })

  it.each(['--region-base', '--region-law', '--region-window', '--paint-law', '--paint-window'])(
    'refuses %s alone',
    option => {
      const value = { '--region-law': 'mix', '--paint-law': 'constant' }[option] ?? '0-1'
      expect(() => read(option, value)).toThrow(new RegExp(`^${option} does nothing without --`))
    },
  )

  it('refuses laws and windows that are not there, and too many regions', () => {
    expect(() => read('--region', 'a@b', '--region-law', 'magic')).toThrow(/magic/)
    for (const window of ['0.5', '0.6-0.2', '0-1.5', '-0.5-1', 'a-b', '']) {
      expect(() => parseWindow(window, '--paint-window')).toThrow(/^--paint-window/)
    }
    expect(() => read(...Array.from({ length: 33 }, () => ['--paint', 'a@b:1']).flat())).toThrow(/33 times/)
    expect(() => read('--region', 'a@b', '--region-base', '-1')).toThrow(/--region-base must be between/)
  })
})
