/**
 * Scheduling of AUTOMATIC1111's dialect: `[from:to:when]`, `[to:when]`, `[from::when]` and `[a|b|c]`, nested at will,
 * with emphasis passing through untouched.
 *
 * Brackets that do not fit the grammar are text, and what is inside them may still be scheduled. One sign has no such
 * way out: a `|` outside of an alternation makes the whole prompt literal, as it does in A1111.
 */
import { deepestNesting } from './pieces.ts'
import { joinRuns, type Problems, type SourceText } from './source.ts'
import type { ScheduleNode, When } from './types.ts'

const numberPattern = /^\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*$/

/** A pair of brackets whose inside is balanced. */
interface Group {
  readonly open: number
  /** Of the closing bracket. */
  close: number
  readonly isSquare: boolean
  readonly children: Group[]
  /** Places of `:` and `|` directly inside. */
  readonly colons: number[]
  readonly bars: number[]
  meaning: Meaning
}

/** What a pair of brackets is: `text` keeps its signs, `loose` does not fit the grammar at all. */
type Meaning = { readonly kind: 'text' | 'loose' | 'alternate' } | SwitchMeaning

interface SwitchMeaning {
  readonly kind: 'switch'
  readonly when: When
  readonly lastColon: number
}

/** @returns undefined where nothing is scheduled: then the text is used as it is. */
export function parseSchedule(text: SourceText, problems: Problems): ScheduleNode[] | undefined {
  // Without brackets there is nothing to find, and most prompts have none.
  if (!text.text.includes('[')) return undefined
  return new ScheduleParser(text, problems).parse()
}

class ScheduleParser {
  private readonly source: SourceText
  private readonly text: string
  private readonly problems: Problems

  constructor(source: SourceText, problems: Problems) {
    this.source = source
    this.text = source.text
    this.problems = problems
  }

  parse(): ScheduleNode[] | undefined {
    const root: Group = newGroup(-1, false)
    root.close = this.text.length
    const refused = this.findGroups(root)
    for (const child of root.children) this.settle(child)
    const bar = refused ?? this.looseBar(root)
    const nodes: ScheduleNode[] = []
    this.collect(root, 0, this.text.length, nodes)
    if (!nodes.some(node => node.kind !== 'text')) return undefined
    if (bar === undefined) return nodes
    this.problems.add(
      'warning',
      this.source.span(bar, bar + 1),
      `This "${this.text[bar]}" does not fit, and so A1111 takes the whole prompt as it stands: nothing is scheduled.`,
      this.text[bar] === '|'
        ? 'Use | only between the words of [one|another].'
        : 'Remove it, or double the backslash.',
    )
    return undefined
  }

  /**
   * Pairs brackets. One that closes another kind ends all that are open: none of them has a balanced inside.
   * @returns the place of something that makes the whole prompt literal.
   */
  private findGroups(root: Group): number | undefined {
    const { text } = this
    const stack: Group[] = [root]
    for (let at = 0; at < text.length; at++) {
      const sign = text[at] as string
      const top = stack.at(-1) as Group
      if (sign === '\\') {
        // A backslash takes the next sign with it; at the end, or of a line, it has none.
        if (at + 1 === text.length || text[at + 1] === '\n') return at
        at++
      } else if (sign === '(' || sign === '[') {
        if (stack.length > deepestNesting) abandon(stack)
        stack.push(newGroup(at, sign === '['))
      } else if (sign === ':') {
        top.colons.push(at)
      } else if (sign === '|') {
        top.bars.push(at)
      } else if (sign === ')' || sign === ']') {
        if (stack.length === 1) continue
        if (top.isSquare !== (sign === ']')) {
          abandon(stack)
          continue
        }
        stack.pop()
        top.close = at
        stack.at(-1)?.children.push(top)
      }
    }
    abandon(stack)
    return undefined
  }

  /** Decides what a group is, after those inside it. */
  private settle(group: Group): void {
    for (const child of group.children) this.settle(child)
    const fits = group.children.every(child => child.meaning.kind !== 'loose')
    group.meaning = fits ? this.meaningOf(group) : { kind: 'loose' }
  }

  private meaningOf(group: Group): Meaning {
    const { isSquare, colons, bars } = group
    if (bars.length > 0) return { kind: isSquare && colons.length === 0 ? 'alternate' : 'loose' }
    if (!isSquare) return { kind: colons.length <= 1 ? 'text' : 'loose' }
    const lastColon = colons.at(-1)
    if (lastColon === undefined) return { kind: 'text' }
    const number = numberPattern.exec(this.text.slice(lastColon + 1, group.close))?.[1]
    if (number === undefined || colons.length > 2) return this.notASchedule(group)
    return { kind: 'switch', when: { value: Number(number), hasPoint: number.includes('.') }, lastColon }
  }

  private notASchedule(group: Group): Meaning {
    const many = group.colons.length > 2
    this.problems.add(
      'warning',
      this.source.span(group.open, group.close + 1),
      many
        ? 'More than two colons in square brackets: this is no schedule, it counts as text.'
        : 'Square brackets with a colon but no number at the end: this is no schedule, it counts as text.',
      'Write [from:to:0.5], or [from:to:10] for step 10.',
    )
    return { kind: 'loose' }
  }

  /** A `|` that belongs to no alternation. Inside a group that does not fit, it is as loose as outside of all. */
  private looseBar(group: Group): number | undefined {
    if (group.meaning.kind !== 'loose') return undefined
    const own = group.bars[0]
    if (own !== undefined) return own
    for (const child of group.children) {
      const bar = this.looseBar(child)
      if (bar !== undefined) return bar
    }
    return undefined
  }

  /** The nodes of [from, to), which lies directly inside `group`. */
  private collect(group: Group, from: number, to: number, nodes: ScheduleNode[]): void {
    let begin = from
    const { children } = group
    for (let index = firstFrom(children, from); index < children.length; index++) {
      const child = children[index] as Group
      if (child.close >= to) break
      const { meaning } = child
      if (meaning.kind === 'loose' || meaning.kind === 'text') {
        this.addText(begin, child.open + 1, nodes)
        this.collect(child, child.open + 1, child.close, nodes)
        begin = child.close
        continue
      }
      this.addText(begin, child.open, nodes)
      nodes.push(meaning.kind === 'switch' ? this.switch(child, meaning) : this.alternate(child))
      begin = child.close + 1
    }
    this.addText(begin, to, nodes)
  }

  private alternate(group: Group): ScheduleNode {
    const borders = [group.open, ...group.bars, group.close]
    const options = borders
      .slice(1)
      .map((border, index) => this.part(group, borders[index] as number, border))
    return { kind: 'alternate', options, span: this.source.span(group.open, group.close + 1) }
  }

  private switch(group: Group, { when, lastColon }: SwitchMeaning): ScheduleNode {
    const first = group.colons[0] as number
    const span = this.source.span(group.open, group.close + 1)
    const hasBefore = first !== lastColon
    if (!hasBefore && when.hasPoint && when.value >= 1) {
      this.problems.add(
        'warning',
        span,
        'Square brackets take no weight: this is a schedule, and its words never appear (a share of 1 or more).',
        'Write (word:1.2) for a weight, or [word:0.5] to let it appear half-way.',
      )
    }
    return {
      kind: 'switch',
      before: hasBefore ? this.part(group, group.open, first) : [],
      after: this.part(group, hasBefore ? first : group.open, lastColon),
      when,
      span,
    }
  }

  /** What stands between two signs of a group. */
  private part(group: Group, after: number, before: number): ScheduleNode[] {
    const nodes: ScheduleNode[] = []
    this.collect(group, after + 1, before, nodes)
    return nodes
  }

  private addText(from: number, to: number, nodes: ScheduleNode[]): void {
    if (from >= to) return
    const text = this.source.slice(from, to)
    const last = nodes.at(-1)
    if (last?.kind === 'text') {
      const joined = joinRuns(last.runs, text.runs)
      nodes[nodes.length - 1] = { kind: 'text', runs: joined }
    } else {
      nodes.push({ kind: 'text', runs: text.runs })
    }
  }
}

function newGroup(open: number, isSquare: boolean): Group {
  // The root is `loose`: its colons and bars stand outside of all brackets.
  return { open, close: -1, isSquare, children: [], colons: [], bars: [], meaning: { kind: 'loose' } }
}

/** Index of the first group that opens at or after a place, by halving. */
function firstFrom(groups: readonly Group[], at: number): number {
  let low = 0
  let high = groups.length
  while (low < high) {
    const middle = (low + high) >> 1
    if ((groups[middle] as Group).open < at) low = middle + 1
    else high = middle
  }
  return low
}

/** Gives up all open groups but the root: their insides, which are whole groups or text, become the root's. */
function abandon(stack: Group[]): void {
  const root = stack[0] as Group
  for (const group of stack.splice(1)) {
    root.children.push(...group.children)
    root.bars.push(...group.bars)
  }
}
