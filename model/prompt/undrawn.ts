/** What a prompt asks for and this version does not draw: said, never dropped in silence. */
import { type PromptProblem, Problems } from './source.ts'
import type { ParsedPrompt } from './types.ts'

/** True where a prompt's swaps are drawn: an edit needs one text, and `.and()` is several. */
export function drawsSwaps({ parts }: ParsedPrompt): boolean {
  return parts.length === 1 && parts[0]?.texts.length === 1 && parts[0].texts[0]?.swaps.length !== 0
}

/**
 * Warnings beside `prompt.problems`, in the order of the text.
 * @param isNegative a negative prompt, which is never edited
 */
export function undrawnProblems(parsed: ParsedPrompt, { isNegative = false } = {}): PromptProblem[] {
  const { source, tags, parts } = parsed
  const problems = new Problems(source)
  for (const { name, span } of tags) {
    problems.add(
      'warning',
      span,
      `"${source.slice(span.start, span.end).slice(0, 60)}" is understood (${name}), but this version does not draw it.`,
      'The rest of the prompt is drawn without it.',
    )
  }
  const swaps =
    isNegative || !drawsSwaps(parsed) ? parts.flatMap(part => part.texts.flatMap(text => text.swaps)) : []
  for (const { span } of swaps) {
    problems.add(
      'warning',
      span,
      isNegative
        ? 'A .swap() in a negative prompt draws its original words.'
        : 'A .swap() edits one text; beside .and() or in a blend it draws its original words.',
      'Write the words that you want to see.',
    )
  }
  return problems.sorted()
}
