/** One door to all dialects. Never throws: what cannot be read is a problem, and its text is taken literally. */
import { type A1111Options, parseA1111 } from './a1111.ts'
import { parseComfy } from './comfy.ts'
import { parseCompel } from './compel.ts'
import { emptyPiece, textPiece } from './pieces.ts'
import { SourceText } from './source.ts'
import type { Dialect, ParsedPrompt } from './types.ts'

export type ParseOptions = A1111Options

export function parsePrompt(source: string, dialect: Dialect, options: ParseOptions = {}): ParsedPrompt {
  switch (dialect) {
    case 'a1111':
      return parseA1111(source, options)
    case 'comfy':
      return parseComfy(source)
    case 'compel':
      return parseCompel(source)
    case 'plain':
      return parsePlain(source)
  }
}

function parsePlain(source: string): ParsedPrompt {
  const span = { start: 0, end: source.length }
  const piece = source === '' ? emptyPiece(0) : textPiece(SourceText.of(source), 1)
  return {
    dialect: 'plain',
    source,
    composition: 'single',
    parts: [{ weight: 1, texts: [{ weight: 1, pieces: [piece], swaps: [], span }], normalized: true, span }],
    tags: [],
    problems: [],
  }
}
