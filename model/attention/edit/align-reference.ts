/**
 * The token maps of the reference implementation of prompt-to-prompt with all their peculiarities, so that its pictures
 * can be had again: one chunk, words parted by single spaces, large and small letters different. What is peculiar:
 *
 * - replace: behind the last replaced word the map is the identity of the *target's* positions. After a change of the
 *   number of tokens the rest of the text therefore takes the columns of its neighbours; and where the source is
 *   longer, the last columns take nothing at all, not even their own.
 * - refine: tokens are aligned, not words; behind the target's EOS rows take the same row of the source, be it a word.
 *
 * Source: google/prompt-to-prompt `seq_aligner.py`, `get_replacement_mapper` and `get_refinement_mapper` (behaviour).
 */
import { AttuneError } from '../../contract/errors.ts'
import { chunkLength, type TokenPlace } from '../../text/chunks.ts'
import type { CaptureText } from '../capture.ts'
import { type Alignment, alignPrompts, checkRows, type TokenShare } from './align.ts'
import { alignSequences } from './sequence.ts'

/**
 * @param rows S of both texts; the reference knows one chunk only
 * @throws AttuneError `bad-argument` for longer texts, and for texts that it cannot pair
 */
export function alignAsReference(
  source: CaptureText,
  target: CaptureText,
  rows: number,
  kind: 'replace' | 'refine',
): Alignment {
  checkRows(source, rows)
  checkRows(target, rows)
  if (rows !== chunkLength) {
    throw new AttuneError(
      'bad-argument',
      `The reference's token maps are made for one chunk of ${chunkLength} tokens, not for ${rows}.`,
      'Shorten the prompt, or edit without the exact rules of the reference.',
    )
  }
  const { changes } = alignPrompts(source, target, rows)
  if (kind === 'replace') {
    return { kind, changes, from: replacement(source, target), mask: new Float32Array(rows).fill(1) }
  }
  const from = refinement(source, target)
  return { kind, changes, from, mask: Float32Array.from(from, column => (column.length > 0 ? 1 : 0)) }
}

function refinement(source: CaptureText, target: CaptureText): TokenShare[][] {
  const partners = alignSequences(framed(source), framed(target))
  return Array.from({ length: chunkLength }, (_, row) => {
    const partner = partners[row] ?? row
    return partner < 0 ? [] : [{ row: partner, share: 1 }]
  })
}

/** Ids with BOS and EOS; ids are not negative, so these are their own. */
function framed({ places }: CaptureText): number[] {
  return [-1, ...places.map(({ token }) => token.id), -2]
}

function replacement(source: CaptureText, target: CaptureText): TokenShare[][] {
  const [before, after] = [spacedWords(source), spacedWords(target)]
  if (before.length !== after.length) {
    throw new AttuneError(
      'bad-argument',
      `The reference replaces words only between texts of equally many: here ${before.length} and ${after.length}.`,
      'Write as many words as there were, or use refine.',
    )
  }
  const changed = before.flatMap((word, index) => {
    const now = after[index]
    return now && now.text !== word.text ? [[word.rows, now.rows] as const] : []
  })
  const columns: TokenShare[][] = Array.from({ length: chunkLength }, () => [])
  let next = 0
  for (let i = 0, j = 0; i < chunkLength && j < chunkLength; ) {
    const pair = changed[next]
    if (pair && pair[0][0] === i) {
      const [from, to] = pair
      const share = from.length === to.length ? 1 : 1 / to.length
      for (const [index, row] of to.entries()) {
        const rows = from.length === to.length ? from.slice(index, index + 1) : from
        columns[row] = rows.map(each => ({ row: each, share }))
      }
      next++
      i += from.length
      j += to.length
      continue
    }
    columns[j] = [{ row: pair ? i : j, share: 1 }]
    i++
    j++
  }
  return columns
}

interface SpacedWord {
  readonly text: string
  readonly rows: readonly number[]
}

/** Words between single spaces, signs included. */
function spacedWords({ prompt, places }: CaptureText): SpacedWord[] {
  let start = 0
  return prompt.split(' ').map(text => {
    const inWord = ({ token }: TokenPlace) => token.start >= start && token.start < start + text.length
    const rows = places.filter(inWord).map(({ row }) => row)
    start += text.length + 1
    if (rows.length > 0) return { text, rows }
    throw new AttuneError(
      'bad-argument',
      'The reference cannot read a prompt with spaces at its ends or two in a row.',
      'Remove the additional spaces.',
    )
  })
}
