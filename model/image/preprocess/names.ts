/** Names of preprocessors that Attune has not, and what comes nearest: nobody should guess why a known name fails. */
import { AttuneError } from '../../contract/errors.ts'
import { preprocessors } from './catalogue.ts'

/** Beginnings of names of other programs, with what to take instead. */
const elsewhere: readonly (readonly [prefix: string, instead: string])[] = [
  ['softedge_', 'softedge_sobel finds edges without a network'],
  ['hed', 'softedge_sobel finds edges without a network'],
  ['pidi', 'softedge_sobel finds edges without a network'],
  ['scribble_', 'scribble_xdog needs no network'],
  ['lineart', 'lineart_standard and lineart_dog need no network'],
  ['mlsd', 'canny finds edges, straight or not'],
  ['normal_', 'depth is the nearest'],
  ['densepose', 'pose is the nearest'],
  ['reference_', 'an image prompt does what it was for'],
  ['t2ia_', 't2ia_color_grid is the one of its kind'],
  ['tile_', 'tile_resample is the one of its kind'],
  ['inpaint_', 'inpaint is the one of its kind'],
  ['openpose_', 'pose draws the body, without face and hands'],
  ['dw_openpose', 'pose draws the body, without face and hands'],
  ['animal_', 'pose draws people'],
]

/**
 * The error for a name that there is not.
 * @param further names beside those of the catalogue
 */
export function unknownPreprocessor(name: string, further: readonly string[]): AttuneError {
  const shown = name.slice(0, 40)
  const near = elsewhere.find(([prefix]) => name.startsWith(prefix))
  if (near) {
    return new AttuneError(
      'bad-argument',
      `${shown} is a network that Attune does not run.`,
      `Of what there is, ${near[1]}; attune preprocess --list shows all.`,
    )
  }
  return new AttuneError(
    'bad-argument',
    `There is no preprocessor "${shown}".`,
    `There are ${[...preprocessors.map(one => one.name), ...further].join(', ')}.`,
  )
}
