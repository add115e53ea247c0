/**
 * When an edit acts, and on which words how much: what changes from evaluation to evaluation. An evaluation is one call
 * of the network, counted from 0; windows are shares of their number (`isInWindow`).
 *
 * The reference counts the windows of cross-attention over one evaluation more than there are (`num_steps + 1`), those
 * of self-attention over their number. Here all count alike; for usual windows and steps both come to the same.
 *
 * Source: google/prompt-to-prompt `ptp_utils.py`, `get_time_words_attention_alpha`, and `get_equalizer` of its
 * notebooks (behaviour).
 */
import { type ControlWindow, type EditControl, isInWindow } from '../../contract/controls.ts'
import type { CaptureText } from '../capture.ts'
import { phraseRows, textWords } from './phrase.ts'

/** Something to say before a run that will not do what was meant. */
export interface EditWarning {
  readonly message: string
  /** What to do, one sentence. */
  readonly remedy: string
}

/**
 * α of each token of the edited prompt at one evaluation: 1 where it takes the attention of the source. Windows of words
 * stand in place of `cross`, later ones in place of earlier; BOS, EOS and padding follow `cross`.
 * @returns [S]
 * @throws AttuneError `bad-argument` for a phrase that the edited prompt does not have
 */
export function crossAlphas(
  edit: Pick<EditControl, 'cross' | 'crossWords'>,
  target: CaptureText,
  rows: number,
  index: number,
  count: number,
): Float32Array {
  const alphas = new Float32Array(rows).fill(isInWindow(edit.cross, index, count) ? 1 : 0)
  const words = textWords(target)
  for (const { phrase, window } of edit.crossWords) {
    const alpha = isInWindow(window, index, count) ? 1 : 0
    for (const row of phraseRows(target, phrase, words)) alphas[row] = alpha
  }
  return alphas
}

/**
 * c of each token of the edited prompt: the factor on its probability. Later factors stand in place of earlier ones.
 * @returns [S]
 * @throws AttuneError `bad-argument` for a phrase that the edited prompt does not have
 */
export function reweightFactors(
  edit: Pick<EditControl, 'reweight'>,
  target: CaptureText,
  rows: number,
): Float32Array {
  const factors = new Float32Array(rows).fill(1)
  const words = textWords(target)
  for (const { phrase, factor } of edit.reweight) {
    for (const row of phraseRows(target, phrase, words)) factors[row] = factor
  }
  return factors
}

/** True where self-attention is the source's. */
export function selfActive(edit: Pick<EditControl, 'self'>, index: number, count: number): boolean {
  return isInWindow(edit.self, index, count)
}

/** True where, after this evaluation's step, the picture is held to the source outside of the mask. */
export function blendActive(edit: Pick<EditControl, 'blend'>, index: number, count: number): boolean {
  return edit.blend !== undefined && isInWindow({ start: edit.blend.start, end: 1 }, index, count)
}

/**
 * Windows that hold no evaluation although they have a length, a mask that comes too late, and an edit that does
 * nothing at all. A window without length is taken for meant.
 */
export function emptyWindows(
  edit: Pick<EditControl, 'cross' | 'crossWords' | 'self' | 'blend'>,
  count: number,
): EditWarning[] {
  const warnings: EditWarning[] = []
  const check = (name: string, window: ControlWindow): void => {
    if (window.start < window.end && isEmpty(window, count)) warnings.push(emptyWarning(name, window, count))
  }
  check('The window in which words keep their places', edit.cross)
  for (const { phrase, window } of edit.crossWords) check(`The window of "${phrase.slice(0, 60)}"`, window)
  check('The window in which the picture keeps its layout (self-attention)', edit.self)
  if (edit.blend && isEmpty({ start: edit.blend.start, end: 1 }, count)) {
    warnings.push({
      message: `The mask of the edit is to begin at ${edit.blend.start} of the run, when no evaluation is left: it will not act.`,
      remedy: 'Let it begin earlier: 0.2 is usual.',
    })
  }
  const all = [edit.cross, edit.self, ...edit.crossWords.map(({ window }) => window)]
  if (all.every(window => isEmpty(window, count))) {
    warnings.push({
      message: `Nothing is taken from the original prompt in the whole run: the edit is a picture of its own from the same seed.`,
      remedy: 'Give the cross or the self window a length: 0 to 0.8 and 0 to 0.4 are usual.',
    })
  }
  return warnings
}

function isEmpty({ start, end }: ControlWindow, count: number): boolean {
  return Math.floor(start * count) >= Math.floor(end * count)
}

function emptyWarning(name: string, { start, end }: ControlWindow, count: number): EditWarning {
  const first = Math.floor(start * count)
  return {
    message: `${name}, ${start} to ${end}, holds no evaluation of the run's ${count}: its ends are rounded down to whole ones.`,
    remedy:
      first < count
        ? `End it at ${upwards((first + 1) / count, count)} or later, or use more steps.`
        : 'Begin it earlier.',
  }
}

/** A short number from here on that still is worth so many evaluations. */
function upwards(share: number, count: number): number {
  const short = Math.min(1, Math.ceil(share * 1000 - 1e-9) / 1000)
  return Math.floor(short * count) >= Math.round(share * count) ? short : Math.min(1, short + 0.001)
}
