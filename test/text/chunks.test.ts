import { describe, expect, it } from 'vitest'
import { chunkContent, chunkLength, packChunks, padChunks, tokenPlaces } from '../../model/text/chunks.ts'
import type { Token } from '../../model/text/tokenizer.ts'

const sd1 = { bosId: 100, eosId: 101, padId: 101 }
const sd2 = { bosId: 100, eosId: 101, padId: 0 }

/** Tokens with the ids 1, 2, 3 …, and commas at some indices. */
const prompt = (length: number, commas: readonly number[] = []): Token[] =>
  Array.from({ length }, (_, index) => ({
    id: index + 1,
    text: commas.includes(index) ? ',' : 'x',
    start: index,
    end: index + 1,
    word: index,
  }))
const contents = (chunks: ReturnType<typeof packChunks>) => chunks.map(chunk => chunk.contentCount)

describe('packChunks', () => {
  it('frames an empty prompt', () => {
    const [chunk, ...rest] = packChunks([], sd1)
    expect(rest).toEqual([])
    expect(chunk?.ids).toEqual([100, ...Array<number>(76).fill(101)])
    expect(chunk?.tokens).toEqual(Array<null>(77).fill(null))
  })

  it('pads with the id of the model', () => {
    const [chunk] = packChunks(prompt(2), sd2)
    expect(chunk?.ids).toEqual([100, 1, 2, 101, ...Array<number>(73).fill(0)])
    expect(chunk?.tokens.slice(0, 4).map(token => token?.id)).toEqual([undefined, 1, 2, undefined])
  })

  it.each([
    [74, [74]],
    [75, [75]],
    [76, [75, 1]],
    [150, [75, 75]],
    [151, [75, 75, 1]],
  ])('packs %i tokens', (length, expected) => {
    const chunks = packChunks(prompt(length), sd1)
    expect(contents(chunks)).toEqual(expected)
    for (const chunk of chunks) {
      expect(chunk.ids.length).toBe(chunkLength)
      expect(chunk.tokens.length).toBe(chunkLength)
      expect(chunk.ids[0]).toBe(100)
      expect(chunk.ids[chunk.contentCount + 1]).toBe(101)
    }
    expect(tokenPlaces(chunks).map(place => place.token.id)).toEqual(prompt(length).map(token => token.id))
  })

  it('moves what follows a comma only when asked', () => {
    expect(contents(packChunks(prompt(80, [60]), sd1))).toEqual([75, 5])
    expect(contents(packChunks(prompt(80, [60]), sd1, { commaBackoff: 20 }))).toEqual([61, 19])
    expect(contents(packChunks(prompt(80, [55, 60]), sd1, { commaBackoff: 20 }))).toEqual([61, 19])
    expect(contents(packChunks(prompt(80, [54]), sd1, { commaBackoff: 20 }))).toEqual([75, 5])
    expect(contents(packChunks(prompt(80, [74]), sd1, { commaBackoff: 20 }))).toEqual([75, 5])
    expect(contents(packChunks(prompt(75, [60]), sd1, { commaBackoff: 20 }))).toEqual([75])
  })
})

it('padChunks makes two prompts equally long', () => {
  const chunks = padChunks(packChunks(prompt(3), sd1), 3, sd1)
  expect(contents(chunks)).toEqual([3, 0, 0])
  expect(padChunks(chunks, 1, sd1)).toEqual(chunks)
})

it('tokenPlaces finds rows of the joined chunks', () => {
  const places = tokenPlaces(packChunks(prompt(chunkContent + 2), sd1))
  expect(places[0]).toMatchObject({ chunk: 0, position: 1, row: 1 })
  expect(places[chunkContent]).toMatchObject({ chunk: 1, position: 1, row: 78 })
})
