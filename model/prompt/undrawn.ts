/** What a prompt asks for and this version does not draw yet: said, never dropped in silence. */
import { type PromptProblem, Problems } from './source.ts'
import type { ParsedPrompt } from './types.ts'

/** Warnings beside `prompt.problems`, in the order of the text. */
export function undrawnProblems({ source, tags, parts }: ParsedPrompt): PromptProblem[] {
  const problems = new Problems(source)
  for (const { name, span } of tags) {
    problems.add(
      'warning',
      span,
      `"${source.slice(span.start, span.end).slice(0, 60)}" is understood (${name}), but this version does not draw it.`,
      'The rest of the prompt is drawn without it.',
    )
  }
  for (const { span } of parts.flatMap(part => part.texts.flatMap(text => text.swaps))) {
    problems.add(
      'warning',
      span,
      'A .swap() is understood, but this version draws its original words.',
      'Write the words that you want to see.',
    )
  }
  return problems.sorted()
}
