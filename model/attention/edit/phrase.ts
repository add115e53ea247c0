/**
 * The words of an encoded text, and where phrases stand among them. What is asked for is looked up in the text as
 * typed and, since weights and brackets may stand between two words (`red (car:1.2)`), among the words alone.
 */
import { AttuneError } from '../../contract/errors.ts'
import { phrasePlaces } from '../../prompt/curves.ts'
import type { TokenPlace } from '../../text/chunks.ts'
import type { CaptureText } from '../capture.ts'

/** A word of the text and its tokens, in the order of the prompt. */
export interface TextWord {
  /** As typed. */
  readonly text: string
  /** In the text as typed. */
  readonly start: number
  readonly end: number
  readonly places: readonly TokenPlace[]
  /** Nothing but a backslash lies between it and the word before. */
  readonly touches: boolean
}

/** All words of a text, signs such as commas included. */
export function textWords({ prompt, places }: CaptureText): TextWord[] {
  const groups: TokenPlace[][] = []
  const touch = (before: TokenPlace | undefined, after: TokenPlace | undefined): boolean =>
    before !== undefined &&
    after !== undefined &&
    after.token.start >= before.token.start &&
    /^\\*$/.test(prompt.slice(before.token.end, after.token.start))
  for (const place of places) {
    const group = groups.at(-1)
    const before = group?.at(-1)
    // Texts of .and() count their words anew: only neighbours of one number are one word. Escapes part nothing.
    if (group && before?.token.word === place.token.word && touch(before, place)) group.push(place)
    else groups.push([place])
  }
  return groups.map((group, index) => {
    const start = group[0]?.token.start ?? 0
    const end = group.at(-1)?.token.end ?? start
    const touches = touch(groups[index - 1]?.at(-1), group[0])
    return { text: prompt.slice(start, end), start, end, places: group, touches }
  })
}

/** Words one after another as a person reads them, without the syntax between them. */
export function readable(words: readonly TextWord[]): string {
  return joined(words).text
}

/**
 * The rows of every place where a phrase stands: whole words, large or small letters alike.
 * @returns rows along S, ascending
 * @throws AttuneError `bad-argument` when it stands nowhere
 */
export function phraseRows(text: CaptureText, phrase: string, words = textWords(text)): number[] {
  const rows = findPhrase(text, phrase, words)
  if (rows.length > 0) return rows
  throw notAmong(
    phrase,
    words.map(word => word.text),
  )
}

/** As `phraseRows`, but no rows where the phrase stands nowhere. */
export function findPhrase(text: CaptureText, phrase: string, words = textWords(text)): number[] {
  const found = new Set<TextWord>()
  for (const { start, end } of phrasePlaces(text.prompt, phrase)) {
    for (const word of words) if (word.start < end && start < word.end) found.add(word)
  }
  const plain = joined(words)
  for (const { start, end } of phrasePlaces(plain.text, phrase)) {
    for (const [index, word] of words.entries()) {
      const from = plain.starts[index] as number
      if (from < end && start < from + word.text.length) found.add(word)
    }
  }
  return [...found].flatMap(({ places }) => places.map(({ row }) => row)).sort((a, b) => a - b)
}

/** The error for a phrase that a prompt does not have, naming the words that it has. */
export function notAmong(phrase: string, words: readonly string[]): AttuneError {
  const known = [...new Set(words)].filter(word => /[\p{L}\p{N}]/u.test(word))
  const some = known.slice(0, 40).join(', ')
  return new AttuneError(
    'bad-argument',
    `The words "${phrase.slice(0, 60)}" are not in the prompt.`,
    known.length > 0
      ? `Choose among: ${some}${known.length > 40 ? ' …' : ''}.`
      : 'Write a prompt with these words first.',
  )
}

/** Joins words with a space wherever they do not touch. */
function joined(words: readonly TextWord[]): { text: string; starts: number[] } {
  const starts: number[] = []
  let text = ''
  for (const word of words) {
    if (text !== '' && !word.touches) text += ' '
    starts.push(text.length)
    text += word.text
  }
  return { text, starts }
}
