/**
 * The preprocessors by the names that people know from other programs (conventions: the webui's), what each makes, its
 * options, and the two steps around it: the resolution at which it works and the size that the drawing wants.
 */
import { AttuneError, invariant } from '../../contract/errors.ts'
import type { Pixels } from '../resample.ts'
import { canny } from './canny.ts'
import { colourGrid, invert, recolorIntensity, recolorLuminance, threshold, tileResample } from './colours.ts'
import { resizePicture, toRgb } from './filters.ts'
import {
  checkWorkingSize,
  fitPicture,
  pixelPerfectResolution,
  type ResizeMode,
  type Size,
  workingSize,
} from './fit.ts'
import { inpaint } from './inpaint.ts'
import { blurGaussian, lineartDog, lineartStandard, scribbleXdog, softedgeSobel } from './lines.ts'
import {
  number,
  type OptionSpecs,
  type OptionValues,
  readOptions,
  toggle,
  type ValuesOf,
  whole,
} from './options.ts'
import { segmentColours } from './segment.ts'
import { shuffle } from './shuffle.ts'

export interface Preprocessor {
  readonly name: string
  /** Other names for the same. */
  readonly aliases: readonly string[]
  /** One line for people. */
  readonly what: string
  readonly options: OptionSpecs
  /** Areas of one colour each: resized without new colours. */
  readonly isFlat: boolean
  /** Needs a mask beside the picture. */
  readonly needsMask: boolean
  /** @param values all of `options`, checked */
  run(picture: Pixels, values: OptionValues, mask?: Pixels): Pixels
}

interface Definition<S extends OptionSpecs> {
  readonly aliases?: readonly string[]
  readonly what: string
  readonly options?: S
  readonly isFlat?: boolean
  readonly needsMask?: boolean
  readonly run: (picture: Pixels, values: ValuesOf<S>, mask?: Pixels) => Pixels
}

function define<S extends OptionSpecs>(name: string, definition: Definition<S>): Preprocessor {
  const { aliases = [], what, isFlat = false, needsMask = false, run } = definition
  const options = definition.options ?? {}
  return {
    name,
    aliases,
    what,
    options,
    isFlat,
    needsMask,
    // The values come from `readOptions` with these very specifications.
    run: (picture, values, mask) => run(picture, values as ValuesOf<S>, mask),
  }
}

const gamma = number(1, 0.1, 2, 'exponent of the brightness; above 1 is darker')
const seed = whole(0, 0, 4_294_967_295, 'where chance begins')

/** All that need no network. */
export const preprocessors: readonly Preprocessor[] = [
  define('canny', {
    what: 'edges one pixel wide, as OpenCV finds them',
    options: {
      low: number(100, 0, 2000, 'faint edges above this count if they touch a strong one'),
      high: number(200, 0, 2000, 'strong edges are above this'),
      l2: toggle('length of the gradient instead of the sum of its parts'),
    },
    run: canny,
  }),
  define('scribble_xdog', {
    what: 'a scribble in black and white',
    options: { threshold: number(32, 1, 64, 'higher draws fewer lines') },
    run: scribbleXdog,
  }),
  define('softedge_sobel', {
    what: 'soft edges by Sobel; stands in for softedge_hed',
    options: {
      sigma: number(1.4, 0, 16, 'blur before; larger leaves out texture'),
      clip: number(2, 0, 50, 'percent of the pixels that are white'),
      gamma: number(1, 0.1, 4, 'below 1 shows faint edges'),
    },
    run: softedgeSobel,
  }),
  define('lineart_dog', {
    what: 'line art by a difference of Gaussians',
    options: {
      sigma: number(1, 0.3, 16, 'half the width of the lines'),
      ratio: number(1.6, 1.1, 8, 'coarse blur by fine blur'),
      gain: number(0.25, 0.01, 4, 'how fast a line becomes white'),
      floor: number(1, 0, 64, 'differences below this are no line'),
    },
    run: lineartDog,
  }),
  define('lineart_standard', {
    what: 'line art of dark lines on bright ground',
    options: {
      sigma: number(6, 0.3, 32, 'size of the surroundings'),
      floor: number(8, 0, 64, 'differences below this are texture'),
    },
    run: lineartStandard,
  }),
  define('t2ia_color_grid', {
    aliases: ['color_grid'],
    what: 'a grid of colours',
    isFlat: true,
    options: { cell: whole(64, 2, 512, 'side of a cell in pixels') },
    run: colourGrid,
  }),
  define('tile_resample', {
    aliases: ['tile'],
    what: 'the picture without its detail, smaller',
    options: { rate: number(1, 1, 16, 'how many times smaller') },
    run: tileResample,
  }),
  define('blur_gaussian', {
    aliases: ['blur'],
    what: 'the picture blurred',
    options: { sigma: number(9, 0.01, 64, 'standard deviation in pixels') },
    run: blurGaussian,
  }),
  define('invert', {
    what: 'the negative: black lines on white become white on black',
    run: picture => invert(picture),
  }),
  define('threshold', {
    what: 'black and white',
    options: { threshold: number(127, 0, 255, 'what is above in all channels is white') },
    run: threshold,
  }),
  define('seg_kmeans', {
    what: 'flat areas by colour',
    isFlat: true,
    options: {
      colours: whole(8, 2, 64, 'how many colours'),
      seed,
      sigma: number(1.5, 0, 16, 'blur before'),
      clean: whole(2, 0, 16, 'radius of the vote that removes specks'),
    },
    run: segmentColours,
  }),
  define('inpaint', {
    aliases: ['inpaint_only', 'inpaint_global_harmonious'],
    what: 'the picture with its masked part taken out',
    needsMask: true,
    run: (picture, _values, mask) => {
      invariant(mask, 'inpaint was run without its mask')
      return inpaint(picture, mask)
    },
  }),
  define('recolor_luminance', { what: 'brightness (L of Lab)', options: { gamma }, run: recolorLuminance }),
  define('recolor_intensity', { what: 'brightness (V of HSV)', options: { gamma }, run: recolorIntensity }),
  define('shuffle', {
    what: 'colours and style without places',
    options: { seed, grain: whole(256, 8, 1024, 'distance of the knots of the warp') },
    run: shuffle,
  }),
]

const byName = new Map(preprocessors.flatMap(one => [one.name, ...one.aliases].map(name => [name, one])))

export function findPreprocessor(name: string): Preprocessor | undefined {
  return byName.get(name)
}

/** Where a hint is to fit: the drawing's size and how it comes to it. */
export interface HintTarget extends Size {
  readonly mode: ResizeMode
}

export interface HintRequest {
  readonly options?: Readonly<Record<string, unknown>>
  /** Length of the shorter side at which the preprocessor works. The picture's own unless given. */
  readonly resolution?: number
  /** Makes the hint in this size; works at the pixel-perfect resolution unless another is given. */
  readonly target?: HintTarget
  /** White is masked; for `inpaint`. */
  readonly mask?: Pixels
}

/**
 * Runs a preprocessor on a picture.
 * @throws AttuneError `bad-argument` for options that it has not, or a mask that is missing
 */
export function preprocess(one: Preprocessor, picture: Pixels, request: HintRequest = {}): Pixels {
  const values: OptionValues = readOptions(one.name, one.options, request.options ?? {})
  if (one.needsMask !== (request.mask !== undefined)) {
    throw new AttuneError(
      'bad-argument',
      one.needsMask ? `${one.name} needs a mask.` : `${one.name} takes no mask.`,
      one.needsMask ? 'Give a picture of the same view with --mask: white is drawn anew.' : 'Drop it.',
    )
  }
  const working = atWorkingSize(picture, request)
  return toTarget(one.run(working, values, request.mask), request.target, one.isFlat)
}

/** The picture at the size at which a preprocessor works. */
export function atWorkingSize(picture: Pixels, { resolution, target }: HintRequest): Pixels {
  const wanted = resolution ?? (target && pixelPerfectResolution(picture, target, target.mode))
  if (wanted === undefined) checkWorkingSize(picture)
  const { width, height } = wanted === undefined ? picture : workingSize(picture, wanted)
  return resizePicture(picture.channels === 4 ? toRgb(picture) : picture, width, height)
}

/** A hint at the drawing's size. */
export function toTarget(hint: Pixels, target: HintTarget | undefined, isFlat: boolean): Pixels {
  return target ? fitPicture(hint, target, target.mode, isFlat) : hint
}
