/** `attune explain`: what becomes of a prompt, as a table for people or as data for programs. Draws nothing. */
import { resolve } from 'node:path'
import { openModelFolder } from '../../host/model-folder.ts'
import type { PromptDialect, WeightLaw } from '../../model/contract/prompt.ts'
import { DiffusionModel } from '../../model/pipeline/diffusion-model.ts'
import { formatProblem } from '../../model/prompt/source.ts'
import { parsePrompt } from '../../model/prompt/parse.ts'
import { undrawnProblems } from '../../model/prompt/undrawn.ts'
import { type ExplainedText, explainPrompt, type PromptExplanation } from '../../model/text/explain.ts'
import { type CommandIO, printableText, writeJson } from '../io.ts'
import { embeddedModel } from '../local-engine.ts'

export interface ExplainArguments {
  readonly prompt: string
  readonly dialect: PromptDialect
  readonly emphasis?: WeightLaw
  readonly oldTimeline?: boolean
  /** The embedded model when not given. */
  readonly model?: string
  readonly steps: number
  readonly json: boolean
}

export async function explain(args: ExplainArguments, io: CommandIO): Promise<void> {
  const folder = args.model === undefined ? embeddedModel : resolve(io.cwd, args.model)
  const model = await DiffusionModel.open(await openModelFolder(folder))
  try {
    const explanation = await explainPrompt(
      args.prompt,
      args.dialect,
      { tokenizer: model.tokenizer, encoder: await model.textEncoder() },
      {
        steps: args.steps,
        oldTimeline: args.oldTimeline === true,
        clipSkip: model.defaults.clipSkip - 1,
        ...(args.emphasis && { law: args.emphasis }),
      },
    )
    const problems = [
      ...explanation.problems,
      ...undrawnProblems(parsePrompt(args.prompt, args.dialect)),
    ].toSorted((a, b) => a.span.start - b.span.start)
    const whole = { ...explanation, problems }
    if (args.json) writeJson(io, { type: 'explanation', ...whole })
    else io.stdout.write(`${explanationLines(whole).map(printableText).join('\n')}\n`)
  } finally {
    await model.close()
  }
}

/** The explanation for people. */
export function explanationLines(explanation: PromptExplanation): string[] {
  const { dialect, law, composition, parts, problems, notes } = explanation
  const lines = [`dialect ${dialect}, emphasis ${law}`]
  const joins = { single: '', noise: 'AND', concat: '.and()' }[composition]
  for (const [index, part] of parts.entries()) {
    if (parts.length > 1 || part.weight !== 1) {
      lines.push('', `Part ${index + 1} of ${parts.length}${joins && ` (${joins})`}, weight ${part.weight}`)
    }
    for (const { steps, texts } of part.states) {
      if (steps.length === 0) continue
      if (part.states.length > 1) {
        const ranges = steps.map(([first, last]) => (first === last ? `${first}` : `${first}–${last}`))
        lines.push(
          '',
          `${steps.length === 1 && steps[0]?.[0] === steps[0]?.[1] ? 'Step' : 'Steps'} ${ranges.join(', ')}`,
        )
      }
      for (const text of texts) lines.push('', ...textLines(text, texts.length > 1))
    }
  }
  if (problems.length + notes.length > 0) lines.push('')
  for (const problem of problems) lines.push(`${problem.level}: ${oneLine(formatProblem(problem))}`)
  for (const { message } of notes) lines.push(`note: ${oneLine(message)}`)
  return lines
}

function textLines({ share, chunks, tokens, words, masks }: ExplainedText, isBlended: boolean): string[] {
  const lines = isBlended ? [`Share of the blend: ${share}`] : []
  for (const [index, { used, free, scale }] of chunks.entries()) {
    const restored = scale === 1 ? '' : `, times ${round(scale)} to keep the mean`
    lines.push(`Chunk ${index + 1}: ${used} tokens, ${free} free${restored}`)
    const rows = words.flatMap(({ text, tokens: list, weight }) => {
      const own = list.flatMap(at => {
        const token = tokens[at]
        return token?.chunk === index ? [token] : []
      })
      const [first] = own
      if (!first) return []
      const pieces = own.map(token => token.text).join(' · ')
      return [
        [oneLine(text), pieces, own.map(({ id }) => id).join(' '), round(weight), round(first.effective)],
      ]
    })
    if (rows.length > 0) lines.push(...table(['word', 'tokens', 'ids', 'weight', 'in effect'], rows))
  }
  for (const { text, weight, share: part } of masks) {
    lines.push(
      `"${oneLine(text)}" (${round(weight)}) is also left out, with a share of ${round(part)} against 1`,
    )
  }
  return lines
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const all = [head, ...rows]
  const widths = head.map((_, column) => Math.max(...all.map(row => [...(row[column] ?? '')].length)))
  return all.map(row =>
    `  ${row.map((cell, column) => cell + ' '.repeat((widths[column] ?? 0) - [...cell].length)).join('  ')}`.trimEnd(),
  )
}

const oneLine = (text: string): string => text.replace(/\s*\n\s*/g, ' ')
const round = (value: number): string => String(Number(value.toPrecision(4)))
