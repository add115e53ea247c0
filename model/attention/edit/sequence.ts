/**
 * Needleman–Wunsch with prompt-to-prompt's scores: gap 0, match +1, mismatch −1. A mismatch never pays, so the best
 * alignments are the longest common subsequences; among several the reference's trace back decides: a gap in the
 * source before a gap in the target before a match, from the end. Every match so lies as early as it can.
 *
 * Source: google/prompt-to-prompt `seq_aligner.py` (behaviour).
 */
import { AttuneError } from '../../contract/errors.ts'

/** 4096 × 4096 words that differ: more than any prompt that a person edits, and 16 MB. */
const mostCells = 1 << 24

const inSource = 1
const inTarget = 2
const match = 3

/**
 * @returns for each item of the target the index of its partner in the source, −1 where it has none; rising
 * @throws AttuneError `bad-argument` when the differing parts are too long to compare
 */
export function alignSequences<T>(source: readonly T[], target: readonly T[]): Int32Array {
  const partners = new Int32Array(target.length).fill(-1)
  // A common beginning is aligned with itself by the rule above; a common end only where no other choice exists.
  let from = 0
  while (from < source.length && from < target.length && source[from] === target[from]) {
    partners[from] = from
    from++
  }
  let cut = 0
  if ((source.length - from) * (target.length - from) > mostCells) {
    const room = Math.min(source.length, target.length) - from
    while (cut < room && source.at(-1 - cut) === target.at(-1 - cut)) {
      partners[target.length - 1 - cut] = source.length - 1 - cut
      cut++
    }
  }
  const rows = source.length - from - cut
  const columns = target.length - from - cut
  if (rows * columns > mostCells) {
    throw new AttuneError(
      'bad-argument',
      `The two prompts differ in ${rows} and ${columns} words: that is too much to compare.`,
      'Write an edited prompt that keeps more of the original.',
    )
  }
  const trace = traceOf(source, target, from, rows, columns)
  for (let i = rows, j = columns; i > 0 && j > 0; ) {
    const step = trace[(i - 1) * columns + j - 1]
    if (step === match) partners[from + j - 1] = from + i - 1
    if (step !== inSource) i--
    if (step !== inTarget) j--
  }
  return partners
}

/** The step that leads to each pair of lengths, [rows, columns]. */
function traceOf<T>(
  source: readonly T[],
  target: readonly T[],
  from: number,
  rows: number,
  columns: number,
): Uint8Array {
  const trace = new Uint8Array(rows * columns)
  let above = new Int32Array(columns + 1)
  let scores = new Int32Array(columns + 1)
  for (let i = 0; i < rows; i++) {
    scores[0] = 0
    const item = source[from + i]
    for (let j = 0; j < columns; j++) {
      const left = scores[j] as number
      const up = above[j + 1] as number
      const diagonal = (above[j] as number) + (item === target[from + j] ? 1 : -1)
      const best = Math.max(left, up, diagonal)
      scores[j + 1] = best
      trace[i * columns + j] = best === left ? inSource : best === up ? inTarget : match
    }
    ;[above, scores] = [scores, above]
  }
  return trace
}
