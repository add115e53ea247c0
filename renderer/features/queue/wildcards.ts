/**
 * Wildcards: `{a|b}` draws one of its options, `__name__` a line of a list. They are drawn before a request is made, by
 * the request's own seed, so that a template and a seed are one picture; what was drawn is what is recorded.
 *
 * - `{red|blue} car`, nested `{a {b|c}|d}`, an option may be empty `{very |}`; `{3::red|blue}` draws red three times as
 *   often. Without a bar braces are text: other programs weigh words with them.
 * - `__colour__`; names are letters, digits and `- . / _`. A line of a list may hold wildcards itself.
 * - `\{ \} \| \__` are the signs themselves. Bars in `[a|b]` belong to the prompt's own language.
 */
export type WildcardLists = Readonly<Record<string, readonly string[]>>

export type WildcardProblem =
  | { readonly kind: 'no-list'; readonly name: string }
  | { readonly kind: 'endless'; readonly name: string }
  | { readonly kind: 'too-long' }

export interface Expansion {
  readonly text: string
  readonly problems: readonly WildcardProblem[]
  /** Something was drawn. */
  readonly isDrawn: boolean
}

const deepest = 24
export const longestExpansion = 200_000
const listName = /^__([\p{L}\p{N}](?:[\p{L}\p{N}./-]|_(?!_)){0,99})__/u

/** A stream of numbers in [0, 1) that a text decides: mulberry32 over an FNV-1a hash. */
function numbersOf(text: string): () => number {
  let state = 0x811c9dc5
  for (const sign of text) state = Math.imul(state ^ (sign.codePointAt(0) ?? 0), 0x01000193)
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Where the group that opens at `start` closes and its bars stand; undefined when it does not close. */
function groupAt(
  text: string,
  start: number,
): { readonly end: number; readonly bars: readonly number[] } | undefined {
  const bars: number[] = []
  let braces = 0
  let brackets = 0
  for (let at = start; at < text.length; at++) {
    const sign = text[at]
    if (sign === '\\') at += 1
    else if (sign === '{') braces += 1
    else if (sign === '}') {
      braces -= 1
      if (braces === 0) return { end: at, bars }
    } else if (sign === '[') brackets += 1
    else if (sign === ']') brackets = Math.max(0, brackets - 1)
    else if (sign === '|' && braces === 1 && brackets === 0) bars.push(at)
  }
  return undefined
}

const weightBefore = /^\s*(\d+(?:\.\d+)?)::/

/** One of the options, by their weights. */
function drawOption(options: readonly string[], random: () => number): string {
  const weighed = options.map(option => {
    const weight = weightBefore.exec(option)
    return weight
      ? { text: option.slice(weight[0].length), weight: Number(weight[1]) }
      : { text: option, weight: 1 }
  })
  const sum = weighed.reduce((total, { weight }) => total + weight, 0)
  let place = random() * sum
  for (const { text, weight } of weighed) {
    place -= weight
    if (place < 0) return text
  }
  return weighed.at(-1)?.text ?? ''
}

/**
 * Draws the wildcards of a text.
 * @param seed the picture's seed; with `salt` it decides every draw
 * @param salt tells the texts of one request apart
 */
export function expandWildcards(text: string, seed: string, lists: WildcardLists, salt = ''): Expansion {
  const random = numbersOf(`${salt}\n${seed}`)
  const problems: WildcardProblem[] = []
  let isDrawn = false
  let length = 0

  const expand = (source: string, names: readonly string[]): string => {
    if (names.length > deepest || length > longestExpansion) {
      if (!problems.some(({ kind }) => kind === 'too-long')) problems.push({ kind: 'too-long' })
      return ''
    }
    let result = ''
    for (let at = 0; at < source.length; ) {
      const sign = source[at] as string
      if (sign === '\\') {
        // Only our own signs lose their backslash: `\(` is the prompt's.
        const escaped = /^\\([{}|]|__)/.exec(source.slice(at, at + 3))
        const kept = escaped ? (escaped[1] ?? '') : source.slice(at, at + 2)
        if (escaped) isDrawn = true
        result += kept
        at += escaped ? escaped[0].length : 2
        continue
      }
      const group = sign === '{' ? groupAt(source, at) : undefined
      if (group && group.bars.length > 0) {
        const edges = [at, ...group.bars, group.end]
        const options = edges.slice(1).map((edge, index) => source.slice((edges[index] ?? 0) + 1, edge))
        isDrawn = true
        result += expand(drawOption(options, random), [...names, ''])
        at = group.end + 1
        continue
      }
      const named = sign === '_' ? listName.exec(source.slice(at, at + 110)) : null
      const name = named?.[1]
      if (named && name !== undefined) {
        result += line(name, named[0], names)
        at += named[0].length
        continue
      }
      result += sign
      length += 1
      at += 1
    }
    return result
  }

  /** A line of a list; what cannot be drawn stays as it was typed, and is told. */
  const line = (name: string, typed: string, names: readonly string[]): string => {
    const list = lists[name] ?? lists[name.toLowerCase()]
    if (!list || list.length === 0) {
      if (!problems.some(each => each.kind === 'no-list' && each.name === name))
        problems.push({ kind: 'no-list', name })
      return typed
    }
    if (names.includes(name)) {
      if (!problems.some(each => each.kind === 'endless')) problems.push({ kind: 'endless', name })
      return typed
    }
    isDrawn = true
    return expand(list[Math.floor(random() * list.length)] ?? '', [...names, name])
  }

  const expanded = expand(text, [])
  return { text: expanded.slice(0, longestExpansion), problems, isDrawn }
}

/** Whether a text holds anything to draw. */
export function hasWildcards(text: string): boolean {
  return expandWildcards(text, '0', {}).isDrawn || /(?<!\\)__[\p{L}\p{N}]/u.test(text)
}

/** The entries of a list's file: a line each; empty lines and comments are none. */
export function readList(text: string): string[] {
  return text
    .replace(/^\uFEFF/, '')
    .split(/\r\n|\r|\n/)
    .map(entry => entry.trim())
    .filter(entry => entry !== '' && !entry.startsWith('#'))
    .slice(0, 100_000)
}

/** `My Colours.txt` → `My-Colours`: what stands between the underscores. */
export function listNameOf(fileName: string): string {
  const stem = fileName.replace(/\.[^.]*$/, '')
  const name = stem.replaceAll(/[^\p{L}\p{N}./-]+/gu, '-').replaceAll(/^[^\p{L}\p{N}]+|-+$/gu, '')
  return name.slice(0, 80) || 'list'
}
