/** The words of `attune preprocess`; what it does stands in `commands/preprocess.ts`, loaded when it runs. */
import { Command } from 'commander'
import { AttuneError } from '../model/contract/errors.ts'
import { resizeModes, type ResizeMode } from '../model/image/preprocess/fit.ts'
import type { CommandIO } from './io.ts'

/** Options of preprocessors as words; which of them one takes, it says itself. */
const optionNames = {
  low: 'canny: faint edges above this count if they touch a strong one',
  high: 'canny: strong edges are above this',
  threshold: 'scribble, threshold, pose: where it cuts',
  sigma: 'blur, line art, soft edge, segments: width of the blur in pixels',
  ratio: 'lineart_dog: coarse blur by fine blur',
  gain: 'lineart_dog: how fast a line becomes white',
  floor: 'line art: differences below this are no line',
  clip: 'softedge_sobel: percent of the pixels that are white',
  gamma: 'soft edge, recolouring: exponent of the brightness',
  cell: 't2ia_color_grid: side of a cell',
  rate: 'tile_resample: how many times smaller',
  colours: 'seg_kmeans: how many colours',
  clean: 'seg_kmeans: radius of the vote that removes specks',
  seed: 'seg_kmeans, shuffle: where chance begins',
  grain: 'shuffle: distance of the knots of the warp',
} as const

const switchNames = {
  l2: 'canny: length of the gradient instead of the sum of its parts',
  flip: 'depth: turn near and far round',
} as const

export interface PreprocessArguments {
  readonly name: string
  readonly input: string
  readonly output: string
  readonly options: Readonly<Record<string, number | boolean>>
  readonly resolution?: number
  readonly target?: { readonly width: number; readonly height: number; readonly mode: ResizeMode }
  readonly mask?: string
  readonly model?: string
  readonly overwrite: boolean
  readonly json: boolean
}

interface RawOptions extends Readonly<Record<string, string | boolean | undefined>> {
  readonly list?: boolean
  readonly size?: string
  readonly width?: string
  readonly height?: string
  readonly resizeMode?: string
  readonly mask?: string
  readonly model?: string
  readonly overwrite?: boolean
  readonly json?: boolean
}

/** `attune preprocess`, with its action. */
export function preprocessCommand(io: CommandIO): Command {
  const command = new Command('preprocess')
    .description('make the hint of a ControlNet from a picture: edges, lines, depth, colours')
    .argument('[name]', 'canny, scribble_xdog, lineart_dog, depth …: --list shows all')
    .argument('[input]', 'a picture')
    .argument('[output]', 'where the hint is written (.png)')
    .option('--list', 'all preprocessors and their options')
    .option('--size <n>', 'work at this resolution: pixels of the shorter side (default: the picture’s own)')
    .option('--width <n>', 'make the hint this wide; works pixel-perfect unless --size is given')
    .option('--height <n>', 'and this high')
    .option('--resize-mode <mode>', `${resizeModes.join(', ')}: how it comes to that size (default: crop)`)
    .option('--mask <file>', 'inpaint: white is drawn anew')
    .option('--model <dir>', 'depth, pose, seg: folder of the network')
    .option('--overwrite', 'replace a file that is there')
    .option('--json', 'one JSON line')
  for (const [name, what] of Object.entries(optionNames)) command.option(`--${name} <n>`, what)
  for (const [name, what] of Object.entries(switchNames)) command.option(`--${name}`, what)
  command.action(async (name?: string, input?: string, output?: string) => {
    const raw = command.opts<RawOptions>()
    if (raw.list) {
      const { listPreprocessing } = await import('./commands/preprocess.ts')
      listPreprocessing(raw.json === true, io)
      return
    }
    const args = readPreprocessArguments(name, input, output, raw)
    const { preprocessPicture } = await import('./commands/preprocess.ts')
    await preprocessPicture(args, io)
  })
  return command
}

/** @throws AttuneError `bad-argument` */
export function readPreprocessArguments(
  name: string | undefined,
  input: string | undefined,
  output: string | undefined,
  raw: RawOptions,
): PreprocessArguments {
  if (name === undefined || input === undefined || output === undefined) {
    throw wrong(
      `${name === undefined ? 'The name of a preprocessor' : input === undefined ? 'A picture' : 'A name for the hint'} is missing.`,
      'Write for example attune preprocess canny in.png out.png; attune preprocess --list shows what there is.',
    )
  }
  const options: Record<string, number | boolean> = {}
  for (const key of Object.keys(optionNames)) {
    const value = raw[key]
    if (typeof value === 'string') options[key] = parseNumber(value, key)
  }
  for (const key of Object.keys(switchNames)) if (raw[key] === true) options[key] = true
  const target = readTarget(raw)
  return {
    name,
    input,
    output,
    options,
    ...(raw.size !== undefined && { resolution: parseSide(raw.size, 'size') }),
    ...(target && { target }),
    ...(raw.mask !== undefined && { mask: raw.mask }),
    ...(raw.model !== undefined && { model: raw.model }),
    overwrite: raw.overwrite === true,
    json: raw.json === true,
  }
}

function readTarget({ width, height, resizeMode }: RawOptions): PreprocessArguments['target'] {
  if (width === undefined && height === undefined) {
    if (resizeMode === undefined) return undefined
    throw wrong('--resize-mode does nothing without --width and --height.', 'Add both or drop it.')
  }
  if (width === undefined || height === undefined) {
    throw wrong(
      `--${width === undefined ? 'height' : 'width'} needs --${width === undefined ? 'width' : 'height'} beside it.`,
      'Give both, or --size for the shorter side.',
    )
  }
  const mode = resizeModes.find(one => one === (resizeMode ?? 'crop'))
  if (mode === undefined) {
    throw wrong(
      `--resize-mode must be one of ${resizeModes.join(', ')}, but is "${resizeMode?.slice(0, 40)}".`,
      'crop covers and cuts, fill fits inside, resize does not keep the aspect.',
    )
  }
  return { width: parseSide(width, 'width'), height: parseSide(height, 'height'), mode }
}

function parseNumber(text: string, option: string): number {
  // Not Number() alone, which takes '', '0x10' and 'Infinity'.
  if (/^-?(\d+\.?\d*|\.\d+)$/.test(text)) return Number(text)
  throw wrong(`--${option} must be a number, but is "${text.slice(0, 40)}".`, `Correct --${option}.`)
}

function parseSide(text: string, option: string): number {
  const value = /^\d{1,5}$/.test(text) ? Number(text) : 0
  if (value >= 8 && value <= 16_384) return value
  throw wrong(
    `--${option} must be a whole number from 8 to 16384, but is "${text.slice(0, 40)}".`,
    `Correct --${option}; 512 is usual.`,
  )
}

function wrong(message: string, remedy: string): AttuneError {
  return new AttuneError('bad-argument', message, remedy)
}
