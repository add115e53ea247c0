/**
 * CLIP's tokenizer, with the place of every token in the prompt.
 *
 * The byte pair encoding is that of `@huggingface/tokenizers`, on which Transformers.js stands. That library tells
 * no positions, and lower-cases whole texts where the reference lower-cases characters; so clean-up and word
 * splitting are done here, with positions (see normalize.ts), and the library is given one word at a time.
 *
 * Reference: transformers `models/clip/tokenization_clip.py` (version 5.23, which diffusers uses).
 */
import { BPE } from '@huggingface/tokenizers'
import { normalize, type AlignedText } from './normalize.ts'
import {
  readTokenizerFiles,
  type AddedToken,
  type TokenizerFiles,
  type TokenizerSettings,
} from './tokenizer-files.ts'

export type { TokenizerFiles } from './tokenizer-files.ts'

export interface Token {
  readonly id: number
  /** The characters of the prompt that it stands for: `prompt.slice(start, end)`. */
  readonly text: string
  /** Position in the prompt as typed, in UTF-16 units. */
  readonly start: number
  /** Behind the last character. Tokens that share the bytes of one character have the same range. */
  readonly end: number
  /**
   * Index of the word that it belongs to. A word is what a reader takes for one: CLIP splits `1920` into four and
   * `don't` into two parts; here each is one word. A run of other signs is a word too.
   */
  readonly word: number
}

/** A word of the prompt, and the tokens that it became. */
export interface Word {
  readonly text: string
  readonly start: number
  readonly end: number
  /** Indices of its tokens in the list that `encodeText` gave. */
  readonly tokens: readonly number[]
}

/** The ids that frame a chunk. */
export interface SpecialIds {
  readonly bosId: number
  readonly eosId: number
  /** Fills a chunk behind its EOS: EOS again for Stable Diffusion 1, 0 (`!`) for 2. */
  readonly padId: number
}

// The words of CLIP, and how the byte-level step then splits them once more.
const wordPattern =
  /<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\p{White_Space}\p{L}\p{N}]+/gu
/** The parts of a word that the byte pair encoding sees one at a time. */
export const byteLevelPattern = /'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}+|[^\p{White_Space}\p{L}\p{N}]+/gu

const suffix = '</w>'
const utf8 = new TextEncoder()

/** What becomes of one piece of the text that the byte pair encoding sees at a time, or of one special token. */
interface Part {
  readonly kind: 'letters' | 'contraction' | 'apostrophe' | 'sign'
  readonly tokens: readonly { readonly id: number; readonly start: number; readonly end: number }[]
}

export class ClipTokenizer implements SpecialIds {
  readonly bosId: number
  readonly eosId: number
  readonly padId: number
  /** One more than the largest id. */
  readonly vocabSize: number
  private readonly settings: TokenizerSettings
  private readonly bpe: BPE
  private readonly asTyped: readonly AddedToken[]
  private readonly cleanedUp: readonly AddedToken[]

  /** @throws AttuneError `bad-model` when files are missing or damaged. */
  constructor(files: TokenizerFiles) {
    const settings = readTokenizerFiles(files)
    this.settings = settings
    this.bosId = settings.bosId
    this.eosId = settings.eosId
    this.padId = settings.padId
    this.asTyped = settings.added.filter(token => !token.normalized)
    this.cleanedUp = settings.added
      .filter(token => token.normalized)
      .map(token => ({ ...token, content: normalize(token.content).text }))
    this.bpe = new BPE({
      type: 'BPE',
      vocab: Object.fromEntries(settings.vocab),
      merges: settings.merges.map(([left, right]): [string, string] => [left, right]),
      end_of_word_suffix: suffix,
      ignore_merges: false,
    })
    let largest = 0
    for (const id of settings.vocab.values()) largest = Math.max(largest, id)
    for (const { id } of settings.added) largest = Math.max(largest, id)
    this.vocabSize = largest + 1
  }

  /**
   * Splits a prompt into tokens, without the frame of BOS and EOS. Any text is accepted, of any length.
   * White space has no tokens; every other character lies in the range of at least one.
   */
  encodeText(text: string): Token[] {
    const parts: Part[] = []
    for (const section of splitAt(text, this.asTyped)) {
      if (section.token) {
        parts.push(specialPart(section.token, section.from, section.to))
      } else {
        this.encodeSection(normalize(text, section.from, section.to), parts)
      }
    }
    return numberWords(text, parts)
  }

  private encodeSection(aligned: AlignedText, parts: Part[]): void {
    for (const section of splitAt(aligned.text, this.cleanedUp)) {
      if (section.token) {
        const start = aligned.starts[section.from] as number
        parts.push(specialPart(section.token, start, aligned.ends[section.to - 1] as number))
        continue
      }
      for (const word of aligned.text.slice(section.from, section.to).matchAll(wordPattern)) {
        for (const part of word[0].matchAll(byteLevelPattern)) {
          parts.push(this.encodePart(aligned, section.from + word.index + part.index, part[0]))
        }
      }
    }
  }

  /** Byte pair encoding of a part at a position of the cleaned-up text; lengths in bytes lead back to characters. */
  private encodePart(aligned: AlignedText, from: number, text: string): Part {
    const bytes: string[] = []
    const unitOfByte: number[] = []
    let unit = from
    for (const character of text) {
      for (const byte of utf8.encode(character)) {
        bytes.push(byteCharacters[byte] as string)
        unitOfByte.push(unit)
      }
      unit += character.length
    }
    const tokens: Part['tokens'][number][] = []
    let first = 0
    for (const piece of this.bpe.bpe(bytes.join(''))) {
      // Every byte is one character of the piece, and the last piece carries the end-of-word mark besides.
      const behind = Math.min(first + piece.length, bytes.length)
      tokens.push({
        id: this.settings.vocab.get(piece) ?? this.settings.unkId,
        start: aligned.starts[unitOfByte[first] as number] as number,
        end: aligned.ends[unitOfByte[behind - 1] as number] as number,
      })
      first = behind
    }
    return { kind: kindOf(text), tokens }
  }
}

/** Gathers tokens into the words that they belong to. */
export function wordsOf(text: string, tokens: readonly Token[]): Word[] {
  const words: { start: number; end: number; tokens: number[] }[] = []
  for (const [index, token] of tokens.entries()) {
    const word = words[token.word]
    if (word) {
      word.end = Math.max(word.end, token.end)
      word.tokens.push(index)
    } else {
      words[token.word] = { start: token.start, end: token.end, tokens: [index] }
    }
  }
  return words.map(word => ({ ...word, text: text.slice(word.start, word.end) }))
}

/** CLIP's printable stand-ins of the 256 bytes: itself where printable in Latin-1, else the next letter from U+0100. */
const byteCharacters: readonly string[] = Array.from({ length: 256 }, (_, byte) =>
  String.fromCharCode(isPrintable(byte) ? byte : 256 + unprintableBefore(byte)),
)

function isPrintable(byte: number): boolean {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae
}

function unprintableBefore(byte: number): number {
  let count = 0
  for (let other = 0; other < byte; other++) if (!isPrintable(other)) count++
  return count
}

function specialPart(token: AddedToken, start: number, end: number): Part {
  return { kind: 'sign', tokens: [{ id: token.id, start, end }] }
}

function kindOf(text: string): Part['kind'] {
  if (/^[\p{L}\p{N}\p{M}]+$/u.test(text)) return 'letters'
  if (/^'(?:s|t|re|ve|m|ll|d)$/.test(text)) return 'contraction'
  return text === "'" || text === '\u2019' ? 'apostrophe' : 'sign'
}

/** Numbers the words: parts that touch are one word when a reader would not part them. */
function numberWords(text: string, parts: readonly Part[]): Token[] {
  const tokens: Token[] = []
  let word = -1
  let previousKind: Part['kind'] | undefined
  let previousEnd = -1
  for (const [index, part] of parts.entries()) {
    const next = parts[index + 1]
    const end = part.tokens.at(-1)?.end ?? 0
    const touches = (part.tokens[0]?.start ?? 0) <= previousEnd
    // An apostrophe between letters is part of their word: it\u2019s, rock'n'roll.
    const binds =
      part.kind === 'apostrophe' &&
      previousKind === 'letters' &&
      next?.kind === 'letters' &&
      (next.tokens[0]?.start ?? 0) <= end
    const kind = binds ? 'letters' : part.kind === 'apostrophe' ? 'sign' : part.kind
    const joins = touches && (previousKind === kind || (previousKind === 'letters' && kind === 'contraction'))
    if (!joins) word++
    for (const { id, start, end: behind } of part.tokens) {
      tokens.push({ id, text: text.slice(start, behind), start, end: behind, word })
    }
    previousKind = kind
    previousEnd = end
  }
  return tokens
}

interface Section {
  readonly from: number
  readonly to: number
  readonly token?: AddedToken
}

/** Cuts a text at added tokens: leftmost first, the longest where several begin at one place. */
function splitAt(text: string, added: readonly AddedToken[]): Section[] {
  const sections: Section[] = []
  let from = 0
  for (let position = 0; position < text.length; ) {
    let found: AddedToken | undefined
    for (const token of added) {
      const isLonger = token.content.length > (found?.content.length ?? 0)
      if (isLonger && text.startsWith(token.content, position)) found = token
    }
    if (!found) {
      position++
      continue
    }
    if (from < position) sections.push({ from, to: position })
    from = position + found.content.length
    sections.push({ from: position, to: from, token: found })
    position = from
  }
  if (from < text.length) sections.push({ from, to: text.length })
  return sections
}
