import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { normalize } from '../../model/text/normalize.ts'
import { ClipTokenizer, wordsOf, type Token } from '../../model/text/tokenizer.ts'
import { seeded } from '../weights/support.ts'

const read = (name: string) => readFileSync(new URL(`../fixtures/tokenizer/${name}`, import.meta.url), 'utf8')

interface Case {
  readonly text: string
  readonly ids: readonly number[]
  readonly offsets: readonly (readonly [number, number])[]
}
interface Variant {
  readonly files: Readonly<Record<string, unknown>>
  readonly special: { readonly bos: number; readonly eos: number; readonly pad: number }
  readonly cases: readonly Case[]
}
const expected = JSON.parse(read('expected.json')) as {
  readonly saved_config: unknown
  readonly variants: Readonly<Record<'sd1' | 'sd2' | 'sdxl2' | 'bare', Variant>>
}
const vocab: unknown = JSON.parse(read('vocab.json'))
const merges = read('merges.txt')

const open = (variant: Variant) =>
  new ClipTokenizer({
    name: 'test',
    vocab,
    merges,
    tokenizerConfig: variant.files['tokenizer_config.json'],
    specialTokensMap: variant.files['special_tokens_map.json'],
  })
const fromSaved = new ClipTokenizer({
  name: 'test',
  tokenizerJson: JSON.parse(read('tokenizer.json')),
  tokenizerConfig: expected.saved_config,
})
const tokenizers: readonly (readonly [string, ClipTokenizer, Variant])[] = [
  ['sd1', open(expected.variants.sd1), expected.variants.sd1],
  ['sd2', open(expected.variants.sd2), expected.variants.sd2],
  ['sdxl2', open(expected.variants.sdxl2), expected.variants.sdxl2],
  ['bare', open(expected.variants.bare), expected.variants.bare],
  ['tokenizer.json', fromSaved, expected.variants.sd2],
]
const tokenizer = open(expected.variants.sd1)

describe.each(tokenizers)('like transformers: %s', (_name, variantTokenizer, { special, cases }) => {
  it('has the same special ids', () => {
    const { bosId, eosId, padId, vocabSize } = variantTokenizer
    expect({ bos: bosId, eos: eosId, pad: padId }).toEqual(special)
    expect(vocabSize).toBe(special.eos + 1)
  })

  it(`gives the same ids and positions for ${cases.length} texts`, () => {
    for (const { text, ids, offsets } of cases) {
      const tokens = variantTokenizer.encodeText(text)
      expect(
        tokens.map(token => token.id),
        JSON.stringify(text),
      ).toEqual(ids)
      const isComposed = text.normalize('NFC') === text
      for (const [index, [start, end]] of offsets.entries()) {
        const token = tokens[index] ?? { start: -1, end: -1 }
        // Of characters that it composes the reference keeps the first only, and leaves the mark to nobody.
        if (isComposed) expect([token.start, token.end], JSON.stringify(text)).toEqual([start, end])
        else expect(token.start <= start && end <= token.end, JSON.stringify(text)).toBe(true)
      }
    }
  })
})

describe('positions', () => {
  it('cover every character but white space, in order, for any text', () => {
    const random = seeded(77)
    const characters = [
      ..."aAzZ09'’!?,.-_<|>\t\n  éÉİßΣς東한\u0301\u0327\u1100\u1161\u11a8🚗👍🏽\u200d☁\ufe0f½٣\u0000\ud800\u00a0",
    ]
    for (let round = 0; round < 2000; round++) {
      const text = Array.from({ length: random(24) }, () => characters[random(characters.length)]).join('')
      const covered = new Uint8Array(text.length)
      const isOrdered = (token: Token, previous: Token | undefined) =>
        token.start < token.end &&
        token.start >= (previous?.start ?? 0) &&
        token.end >= (previous?.end ?? 0) &&
        token.text === text.slice(token.start, token.end) &&
        token.word - (previous?.word ?? -1) <= 1 &&
        token.word >= (previous?.word ?? 0)
      const tokens = tokenizer.encodeText(text)
      const misplaced = tokens.filter((token, index) => !isOrdered(token, tokens[index - 1]))
      expect(misplaced, JSON.stringify(text)).toEqual([])
      for (const token of tokens) covered.fill(1, token.start, token.end)
      const forgotten = [...covered.keys()].filter(
        unit => !covered[unit] && !/\p{White_Space}/u.test(text[unit] ?? ''),
      )
      expect(forgotten, JSON.stringify(text)).toEqual([])
    }
  })

  it('of one prompt', () => {
    const text = 'A  red Café, 1920s'
    const tokens = tokenizer.encodeText(text)
    expect(tokens.map(token => [token.text, token.word])).toEqual([
      ['A', 0],
      ['red', 1],
      ['Café', 2],
      [',', 3],
      ['1', 4],
      ['9', 4],
      ['2', 4],
      ['0', 4],
      ['s', 4],
    ])
  })

  it('lead from a character of several tokens to all of them', () => {
    const tokens = tokenizer.encodeText('a 🚗')
    expect(tokens.length).toBe(5)
    expect(tokens.slice(1).every(token => token.start === 2 && token.end === 4 && token.word === 1)).toBe(
      true,
    )
  })

  it('survive the clean-up of characters that change their length', () => {
    const { text, starts, ends } = normalize('İ e\u0301\t\n x', 0)
    expect(text).toBe('i\u0307 é x')
    expect(starts).toEqual([0, 0, 1, 2, 4, 7])
    expect(ends).toEqual([1, 1, 2, 4, 7, 8])
  })
})

describe('words', () => {
  it.each([
    ["don't stop", ["don't", 'stop']],
    ['a red-haired girl!', ['a', 'red', '-', 'haired', 'girl', '!']],
    ['wow!!! 4k, f/1.8', ['wow', '!!!', '4k', ',', 'f', '/', '1', '.', '8']],
    ['हिन्दी पाठ', ['हिन्दी', 'पाठ']],
    ["rock'n'roll it\u2019s", ["rock'n'roll", 'it\u2019s']],
    ["it's 'it' dogs'", ["it's", "'", 'it', "'", 'dogs', "'"]],
    ["the cats' 'n' dogs", ['the', 'cats', "'", "'", 'n', "'", 'dogs']],
    ['', []],
  ])('of %s', (text, words) => {
    expect(wordsOf(text, tokenizer.encodeText(text)).map(word => word.text)).toEqual(words)
  })

  it('name their tokens', () => {
    const text = 'an astronaut zzq'
    const tokens = tokenizer.encodeText(text)
    const words = wordsOf(text, tokens)
    expect(words.map(word => word.text)).toEqual(['an', 'astronaut', 'zzq'])
    expect(words.flatMap(word => word.tokens)).toEqual(tokens.map((_, index) => index))
  })
})

describe('damaged files', () => {
  it.each<[string, ConstructorParameters<typeof ClipTokenizer>[0], RegExp]>([
    ['nothing', { name: 'model/tokenizer' }, /model\/tokenizer cannot be used: it has no vocabulary/],
    ['a list for a vocabulary', { name: 't', vocab: [], merges }, /no vocabulary/],
    ['an id that is a text', { name: 't', vocab: { a: '1' }, merges }, /gives "a" the id "1"/],
    ['no merges', { name: 't', vocab }, /no merges/],
    [
      'merges that are not pairs',
      { name: 't', tokenizerJson: { model: { vocab, merges: [['a']] } } },
      /not pairs/,
    ],
    ['no end of text', { name: 't', vocab: { a: 0 }, merges }, /lacks the special token "<\|startoftext\|>"/],
    [
      'a role that is a number',
      { name: 't', vocab, merges, tokenizerConfig: { bos_token: 3 } },
      /bos_token is neither/,
    ],
  ])('are refused: %s', (_title, files, message) => {
    expect(() => new ClipTokenizer(files)).toThrow(message)
  })

  it('a merge of number signs is no comment', () => {
    const small = { '#': 0, '#</w>': 1, '##</w>': 2, '<|startoftext|>': 3, '<|endoftext|>': 4 }
    const signs = new ClipTokenizer({ name: 't', vocab: small, merges: '#version: 0.2\n# #</w>\n' })
    expect(signs.encodeText('##').map(token => token.id)).toEqual([2])
    expect(signs.encodeText('x').map(token => token.id)).toEqual([4])
  })
})
