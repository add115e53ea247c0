/**
 * Prompts from one dialect to another, by the value of their weights: what each word is multiplied with stays the
 * same, however it was written. The laws that the programs then apply to that number differ (see laws.ts in
 * model/text): ComfyUI's 1.3 acts stronger than A1111's.
 *
 * What has no equal form is named, and the nearest is written.
 */
import { formatWeight, writePieces, type WeightedDialect } from './write.ts'
import { parseA1111State } from './a1111.ts'
import { parsePrompt } from './parse.ts'
import type { Span } from './source.ts'
import { runsAt } from './timeline.ts'
import type { ParsedPrompt, Piece, PromptPart, PromptText } from './types.ts'

export type LossName =
  | 'schedule'
  | 'alternation'
  | 'and'
  | 'and-weight'
  | 'prompt-weight'
  | 'break'
  | 'blend'
  | 'concat'
  | 'swap'
  | 'tag'
  | 'negative-weight'

/** Something that the other dialect cannot say. */
export interface Loss {
  readonly name: LossName
  /** Where it stands in the text that was converted. */
  readonly span: Span
  /** What is written instead. */
  readonly message: string
}

export interface Converted {
  readonly text: string
  readonly losses: readonly Loss[]
}

/** @param prompt a text, or what `parsePrompt` made of one. */
export function convertPrompt(prompt: ParsedPrompt, to: WeightedDialect): Converted {
  return new Converter(prompt, to).convert()
}

/** `convertPrompt` of a text. */
export function convertText(text: string, from: ParsedPrompt['dialect'], to: WeightedDialect): Converted {
  return convertPrompt(parsePrompt(text, from), to)
}

class Converter {
  private readonly prompt: ParsedPrompt
  private readonly to: WeightedDialect
  private readonly losses: Loss[] = []

  constructor(prompt: ParsedPrompt, to: WeightedDialect) {
    this.prompt = prompt
    this.to = to
  }

  convert(): Converted {
    const body = this.composed()
    const tags = this.tags()
    const text = [body, ...tags].filter(each => each !== '').join(' ')
    return { text, losses: this.losses.toSorted((a, b) => a.span.start - b.span.start) }
  }

  private composed(): string {
    const { composition, parts } = this.prompt
    if (composition === 'noise') return this.noise(parts)
    if (composition === 'concat') return this.concat(parts)
    const [part] = parts
    if (!part) return ''
    if (part.weight !== 1) {
      if (this.to === 'a1111') return `${this.part(part)} :${formatWeight(part.weight)}`
      this.lose(
        'prompt-weight',
        part.span,
        'The weight of the whole prompt is left out: multiply --guidance by it.',
      )
    }
    return this.part(part)
  }

  private noise(parts: readonly PromptPart[]): string {
    if (this.to === 'a1111') {
      return parts
        .map(part => this.part(part).trim() + (part.weight === 1 ? '' : ` :${formatWeight(part.weight)}`))
        .join(' AND ')
    }
    this.lose(
      'and',
      this.wholeSpan(),
      'AND mixes predictions of the network; its parts are written as one text.',
    )
    return parts
      .map(part => {
        if (part.weight !== 1) {
          this.lose('and-weight', part.span, `The weight ${part.weight} of this part is left out.`)
        }
        return this.part(part).trim()
      })
      .join(', ')
  }

  private concat(parts: readonly PromptPart[]): string {
    if (this.to === 'compel') return this.asAnd(parts.map(part => [this.part(part), part.weight]))
    if (this.to === 'a1111' && parts.every(part => part.weight === 1)) {
      // The same: each text in chunks of its own, one after another.
      return parts.map(part => this.part(part).trim()).join(' BREAK ')
    }
    const instead = this.to === 'a1111' ? 'BREAK, without their weights' : 'one text'
    this.lose(
      'concat',
      this.wholeSpan(),
      `.and() has no equal form here; its texts are written as ${instead}.`,
    )
    return parts.map(part => this.part(part).trim()).join(this.to === 'a1111' ? ' BREAK ' : ', ')
  }

  private part(part: PromptPart): string {
    const { texts } = part
    const [only] = texts
    if (texts.length === 1 && only) return this.text(only, part)
    if (this.to === 'compel') {
      const list = texts.map(text => this.quoted(this.text(text, part)))
      const weights = texts.map(text => formatWeight(text.weight))
      return `(${list.join(', ')}).blend(${[...weights, ...(part.normalized ? [] : ['no_normalize'])].join(', ')})`
    }
    if (this.to === 'a1111' && this.prompt.composition === 'single') {
      const sum = part.normalized ? texts.reduce((total, text) => total + text.weight, 0) : 1
      this.lose(
        'blend',
        part.span,
        'blend() mixes encodings; AND with the same shares, which mixes predictions, is the nearest.',
      )
      return texts
        .map(text => `${this.text(text, part).trim()} :${formatWeight(text.weight / sum)}`)
        .join(' AND ')
    }
    this.lose('blend', part.span, 'blend() has no equal form here; its texts are written as one.')
    return texts.map(text => this.text(text, part).trim()).join(', ')
  }

  private text(text: PromptText, part: PromptPart): string {
    for (const swap of text.swaps) {
      if (this.to === 'compel') continue
      this.lose('swap', swap.span, 'swap() has no form here; the original words are written.')
    }
    const pieces = part.schedule ? this.unscheduled(part) : text.pieces
    return this.sections(text, pieces)
  }

  /** The text as it is at the end, with what is lost by that. */
  private unscheduled(part: PromptPart): readonly Piece[] {
    const { schedule = [] } = part
    const runs = runsAt(schedule, 1, { calls: 0 })
    for (const node of schedule) {
      if (node.kind === 'switch') this.lose('schedule', node.span, 'The text of the last step is written.')
      else if (node.kind === 'alternate') this.lose('alternation', node.span, 'The first choice is written.')
    }
    return parseA1111State(this.prompt.source, runs)
  }

  /** Pieces between breaks. */
  private sections(text: PromptText, pieces: readonly Piece[]): string {
    const sections: Piece[][] = [[]]
    const breaks: Span[] = []
    for (const piece of pieces) {
      if (piece.kind === 'text') sections.at(-1)?.push(piece)
      else {
        sections.push([])
        breaks.push(piece.span)
      }
    }
    const written = sections.map(section => this.write(text, section))
    if (breaks.length === 0) return written[0] ?? ''
    if (this.to === 'a1111')
      return written
        .map(each => each.trim())
        .join(' BREAK ')
        .trim()
    if (this.to === 'compel' && this.prompt.parts.length === 1) {
      return this.asAnd(written.map(each => [each, 1]))
    }
    for (const span of breaks) this.lose('break', span, 'Chunks are filled as they come; a comma is written.')
    return written
      .map(each => each.trim())
      .filter(each => each !== '')
      .join(', ')
  }

  private write(text: PromptText, pieces: readonly Piece[]): string {
    const words = pieces.filter(piece => piece.kind === 'text')
    for (const piece of words) {
      if (this.to !== 'compel' || piece.weight >= 0) continue
      this.lose(
        'negative-weight',
        piece.span,
        'compel itself reads no negative weights; written as .attend(), which Attune reads.',
      )
    }
    if (text.swaps.length === 0 || this.to !== 'compel') return writePieces(words, this.to)
    let from = 0
    const out: string[] = []
    for (const { at, edited, sStart, sEnd, tStart, tEnd } of text.swaps) {
      out.push(writePieces(words.slice(from, at[0]), 'compel').trim())
      const options = [
        `s_start=${formatWeight(sStart)}`,
        `s_end=${formatWeight(sEnd)}`,
        `t_start=${formatWeight(tStart)}`,
        `t_end=${formatWeight(tEnd)}`,
      ]
      const original = writePieces(words.slice(at[0], at[1]), 'compel').trim()
      const replacement = writePieces(edited, 'compel').trim().replaceAll(',', '\\,')
      out.push(`(${original}).swap(${[replacement, ...options].join(', ')})`)
      from = at[1]
    }
    out.push(writePieces(words.slice(from), 'compel').trim())
    return out.filter(each => each !== '').join(' ')
  }

  private asAnd(texts: readonly (readonly [text: string, weight: number])[]): string {
    const list = texts.map(([text]) => this.quoted(text))
    const isPlain = texts.every(([, weight]) => weight === 1)
    const weights = isPlain ? '' : texts.map(([, weight]) => formatWeight(weight)).join(', ')
    return `(${list.join(', ')}).and(${weights})`
  }

  /** A member of a composition. One that is a composition itself stands without quotes. */
  private quoted(text: string): string {
    if (/\)\.blend\([^()]*\)$/.test(text) && text.startsWith('("')) return text
    return `"${text.trim()}"`
  }

  private tags(): string[] {
    return this.prompt.tags.flatMap(({ name, args, named, span, weight = 1 }) => {
      const [first = '', second] = args
      if (name === 'embedding') {
        // A1111 and compel know embeddings by their bare names.
        if (this.to === 'comfy') return [wrapped(`embedding:${first}`, weight)]
        return [writePieces([{ text: first, weight }], this.to)]
      }
      if (this.to === 'a1111') {
        const pairs = Object.entries(named).map(([key, value]) => `${key}=${value}`)
        return [`<${[name, ...args, ...pairs].join(':')}>`]
      }
      const isSimple = name === 'lora' && args.length <= 2 && Object.keys(named).length === 0
      if (this.to === 'compel' && isSimple && /^[\w-]+$/.test(first)) {
        return [`withLora(${first}, ${formatWeight(Number(second ?? 1) || 0)})`]
      }
      this.lose('tag', span, `<${name}:…> is left out: load it beside the prompt.`)
      return []
    })
  }

  private wholeSpan(): Span {
    return { start: 0, end: this.prompt.source.length }
  }

  private lose(name: LossName, span: Span, message: string): void {
    this.losses.push({ name, span, message })
  }
}

function wrapped(text: string, weight: number): string {
  return weight === 1 ? text : `(${text}:${formatWeight(weight)})`
}
