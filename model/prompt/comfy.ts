/**
 * ComfyUI's dialect: only round brackets. `(x)` multiplies the weight around it by 1.1; an explicit number replaces it
 * (nested numbers do not multiply: Comfy-Org/ComfyUI#4610). Escapes `\(` and `\)`. `embedding:name` is a tag.
 *
 * Behaviour: `comfy/sd1_clip.py` of that program, as it is publicly described; the code is ours.
 */
import { type Draft, deepestNesting, finite, mergePieces } from './pieces.ts'
import { Problems, SourceText } from './source.ts'
import type { ParsedPrompt, PromptTag } from './types.ts'

export const comfyFactor = 1.1

export function parseComfy(source: string): ParsedPrompt {
  const problems = new Problems(source)
  const drafts: Draft[] = []
  const tags: PromptTag[] = []
  const leaf = (text: SourceText, weight: number): void => {
    for (const part of unescape(takeEmbeddings(text, weight, tags))) drafts.push({ text: part, weight })
  }
  parseLevel(SourceText.of(source), 1, 0, leaf, problems)
  const pieces = mergePieces(drafts, problems, 0)
  const span = { start: 0, end: source.length }
  return {
    dialect: 'comfy',
    source,
    composition: 'single',
    parts: [{ weight: 1, texts: [{ weight: 1, pieces, swaps: [], span }], normalized: true, span }],
    tags,
    problems: problems.sorted(),
  }
}

/**
 * Brackets are counted, not matched: a `)` that nothing opens makes the count negative, and then the next `(` only
 * makes up for it. ComfyUI draws so, and so do we, with a warning.
 */
function parseLevel(
  source: SourceText,
  weight: number,
  depth: number,
  leaf: (text: SourceText, weight: number) => void,
  problems: Problems,
): void {
  const { text } = source
  let level = 0
  let from = 0
  let opened = -1
  let isOffCount = false
  for (let at = 0; at < text.length; at++) {
    const sign = text[at]
    if (sign === '\\' && (text[at + 1] === '(' || text[at + 1] === ')')) {
      at++
    } else if (sign === '(') {
      if (level === 0) {
        leaf(source.slice(from, at), weight)
        from = at
        opened = at
      }
      level++
    } else if (sign === ')') {
      level--
      if (level === 0 && opened >= 0) {
        group(source.slice(from, at + 1), weight, depth, leaf, problems)
        from = at + 1
        opened = -1
      } else if (level < 0 && !isOffCount) {
        isOffCount = true
        problems.add(
          'warning',
          source.span(at, at + 1),
          'Nothing opens this ")": ComfyUI then takes the next "(" as text too.',
          'Remove it, or write \\) if it is meant as text.',
        )
      }
    }
  }
  if (opened >= 0) {
    problems.add(
      'warning',
      source.span(opened, opened + 1),
      'This "(" is never closed: it and what follows count as text.',
      'Close it, or write \\( if it is meant as text.',
    )
  }
  leaf(source.slice(from), weight)
}

/** A bracketed text, signs included. */
function group(
  source: SourceText,
  weight: number,
  depth: number,
  leaf: (text: SourceText, weight: number) => void,
  problems: Problems,
): void {
  if (depth >= deepestNesting) {
    problems.add(
      'error',
      source.span(0, 1),
      `Brackets are nested more than ${deepestNesting} deep; these count as text.`,
      'Use a number: (word:1.5).',
    )
    leaf(source, weight)
    return
  }
  const inside = source.slice(1, source.length - 1)
  const colon = inside.text.lastIndexOf(':')
  if (colon > 0) {
    const written = inside.text.slice(colon + 1).trim()
    const value = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(written) ? Number(written) : NaN
    if (Number.isFinite(value)) {
      const span = inside.span(colon, inside.length)
      parseLevel(inside.slice(0, colon), finite(value, span, problems), depth + 1, leaf, problems)
      return
    }
    if (/^[+-]?[\d.][^()]*$/.test(written)) {
      problems.add(
        'error',
        inside.span(colon, inside.length),
        `"${written}" is not a number; it counts as text.`,
        'Write a weight such as (word:1.3).',
      )
    }
  }
  parseLevel(inside, weight * comfyFactor, depth + 1, leaf, problems)
}

/** Cuts `embedding:name` out, where a word begins with it; one comma behind it goes too. */
function takeEmbeddings(source: SourceText, weight: number, tags: PromptTag[]): SourceText {
  if (!source.text.includes('embedding:')) return source
  const kept: SourceText[] = []
  let from = 0
  for (const match of source.text.matchAll(/(?<=^|\s)embedding:([^\s,]+),?/g)) {
    kept.push(source.slice(from, match.index))
    from = match.index + match[0].length
    const span = source.span(match.index, from)
    tags.push({ name: 'embedding', args: [match[1] as string], named: {}, span, weight })
  }
  kept.push(source.slice(from))
  return SourceText.join(kept)
}

/** The text without the backslashes of `\(` and `\)`; other backslashes are text. */
function unescape(source: SourceText): SourceText[] {
  const parts: SourceText[] = []
  let from = 0
  for (const match of source.text.matchAll(/\\[()]/g)) {
    parts.push(source.slice(from, match.index))
    from = match.index + 1
  }
  parts.push(source.slice(from))
  return parts
}
