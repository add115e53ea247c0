/**
 * Edits of a prompt as they are asked for by a person: `--replace cat=dog --add "in the snow" --weight car=1.5`. What
 * comes out is the edited prompt's text; what the attention makes of the difference is found by `alignPrompts`.
 */
import { AttuneError } from '../../contract/errors.ts'
import { phrasePlaces } from '../../prompt/curves.ts'
import type { Span } from '../../prompt/source.ts'
import { notAmong } from './phrase.ts'
import type { EditWarning } from './windows.ts'

export interface Replacement {
  /** Words as they stand in the prompt, large or small letters alike. */
  readonly from: string
  /** Empty to take them out. */
  readonly to: string
}

export interface PromptEdits {
  /** All are looked up in the original, so that `cat=dog` and `dog=cat` change places. */
  readonly replace?: readonly Replacement[]
  /** Put at the end, each behind a comma. */
  readonly add?: readonly string[]
}

export interface EditedPrompt {
  readonly prompt: string
  readonly problems: readonly EditWarning[]
}

/**
 * The text with its words replaced at every place where they stand as whole words (those of `<lora:…>` tags are no
 * words), and with words added. A replacement begins with a capital where the replaced words did.
 * @throws AttuneError `bad-argument` when words are not in the text, or are a part of others that go
 */
export function editedPrompt(sourcePrompt: string, edits: PromptEdits): EditedPrompt {
  const problems: EditWarning[] = []
  const accepted = placesOf(sourcePrompt, edits.replace ?? [])
  let prompt = sourcePrompt
  // From the end, so that places before stay where they are.
  for (const { span, to } of accepted.toSorted((a, b) => b.span.start - a.span.start)) {
    prompt = replaced(prompt, span, to)
  }
  for (const { from, to } of edits.replace ?? []) {
    const count = accepted.filter(each => each.from === from).length
    if (count > 1) {
      problems.push({
        message: `"${from.trim()}" stands in the prompt ${count} times; all are replaced.`,
        remedy: 'Name more of the words around it to mean one of them.',
      })
    }
    if (from.trim().toLowerCase() === to.trim().toLowerCase()) {
      problems.push({ message: `"${from.trim()}" is replaced by itself.`, remedy: 'Write other words.' })
    }
  }
  for (const text of edits.add ?? []) prompt = added(prompt, text)
  return { prompt, problems }
}

/**
 * Reads `cat=dog`; nothing behind the `=` takes the words out.
 * @throws AttuneError `bad-argument`
 */
export function parseReplacement(text: string): Replacement {
  const at = text.indexOf('=')
  const from = text.slice(0, Math.max(0, at)).trim()
  if (from !== '') return { from, to: text.slice(at + 1).trim() }
  throw new AttuneError(
    'bad-argument',
    `"${text.slice(0, 60)}" does not say what is replaced by what.`,
    'Write it as old words=new words: cat=dog.',
  )
}

/**
 * Reads `car=1.5`, a factor of `EditControl.reweight`.
 * @throws AttuneError `bad-argument`
 */
export function parseWeight(text: string): { readonly phrase: string; readonly factor: number } {
  const at = text.lastIndexOf('=')
  const phrase = text.slice(0, Math.max(0, at)).trim()
  const number = text.slice(at + 1).trim()
  if (phrase !== '' && /^[+-]?(\d+\.?\d*|\.\d+)$/.test(number)) return { phrase, factor: Number(number) }
  throw new AttuneError(
    'bad-argument',
    `"${text.slice(0, 60)}" does not say by how much which words count.`,
    'Write it as words=number: car=1.5.',
  )
}

interface Place extends Replacement {
  readonly span: Span
}

/** Where each replacement acts; of places that overlap the longer. */
function placesOf(prompt: string, replacements: readonly Replacement[]): Place[] {
  const tags = [...prompt.matchAll(/<[\w-]+:[^<>]*>/g)].map(({ index, 0: text }) => ({
    start: index,
    end: index + text.length,
  }))
  const wanted = replacements.flatMap(each => {
    const spans = phrasePlaces(prompt, each.from).filter(span => !tags.some(tag => overlap(span, tag)))
    if (spans.length === 0) throw notAmong(each.from, wordsIn(prompt, tags))
    return spans.map(span => ({ ...each, span }))
  })
  const accepted: Place[] = []
  for (const place of wanted.toSorted((a, b) => lengthOf(b.span) - lengthOf(a.span))) {
    if (!accepted.some(other => overlap(other.span, place.span))) accepted.push(place)
  }
  for (const each of replacements) {
    if (accepted.some(({ from, to }) => from === each.from && to === each.to)) continue
    throw new AttuneError(
      'bad-argument',
      `"${each.from}" cannot be replaced by "${each.to}": wherever it stands, another replacement takes the words.`,
      'Join the two replacements into one.',
    )
  }
  return accepted
}

function overlap(a: Span, b: Span): boolean {
  return a.start < b.end && b.start < a.end
}

function lengthOf({ start, end }: Span): number {
  return end - start
}

/** Words of a prompt without its tags, for an error. */
function wordsIn(prompt: string, tags: readonly Span[]): string[] {
  return [...prompt.matchAll(/[\p{L}\p{N}_'’-]+/gu)]
    .filter(({ index }) => !tags.some(({ start, end }) => index >= start && index < end))
    .map(([word]) => word)
    .filter(word => /\p{L}/u.test(word))
}

function replaced(prompt: string, { start, end }: Span, to: string): string {
  const before = prompt.slice(0, start)
  const behind = prompt.slice(end)
  if (to !== '') return before + likeFound(prompt.slice(start, end), to) + behind
  // Nothing is left between two commas, or between two spaces.
  if (/(^|,)\s*$/.test(before) && /^\s*,/.test(behind)) {
    return before.trimEnd() === ''
      ? behind.replace(/^\s*,\s*/, '')
      : before.trimEnd() + behind.replace(/^\s*,/, '')
  }
  if (/,\s*$/.test(before) && behind.trim() === '') return before.replace(/\s*,\s*$/, '')
  if (/[([{"]$/.test(before)) return before + behind.trimStart()
  if (/(^|\s)$/.test(before))
    return before.trimEnd() === '' ? behind.trimStart() : before.trimEnd() + spaced(behind)
  return before + behind
}

/** What follows words that were taken out together with the space before them. */
function spaced(behind: string): string {
  return behind === '' || /^[\s,.;:!?)\]}]/.test(behind) ? behind : ` ${behind}`
}

/** A capital where there was one: `Cat` → `Dog`. A name keeps its own: `cat` → `Paris`. */
function likeFound(found: string, to: string): string {
  const [first = ''] = found
  const [initial = ''] = to
  const isCapital = first !== first.toLowerCase()
  return isCapital ? initial.toUpperCase() + to.slice(initial.length) : to
}

function added(prompt: string, text: string): string {
  const more = text.trim()
  const base = prompt.trimEnd()
  if (more === '') return prompt
  if (base === '') return more
  if (/^[,.;:!?]/.test(more)) return base + more
  return /[,;.:!?]$/.test(base) ? `${base} ${more}` : `${base}, ${more}`
}
