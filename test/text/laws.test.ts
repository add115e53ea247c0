/**
 * Weighted encodings of the tiny text encoders against PyTorch and compel (test/fixtures/make/prompt_laws.py): the
 * whole way from the prompt as typed to the rows that the network attends to.
 */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { memorySource } from '../../model/contract/bytes.ts'
import type { PromptDialect, WeightLaw } from '../../model/contract/prompt.ts'
import { parsePrompt } from '../../model/prompt/parse.ts'
import {
  blend,
  blendMasked,
  leaveEmpty,
  lawOfDialect,
  maskedShare,
  restoreMean,
  scaleRows,
} from '../../model/text/laws.ts'
import { PromptPlan } from '../../model/text/plan.ts'
import { PromptEncoder } from '../../model/text/prompt-encoder.ts'
import { readAsFloat32, WeightReader } from '../../model/weights/weight-reader.ts'
import { openTinyModel } from '../support/run-case.ts'
import type { TinyKind } from '../support/tiny-models.ts'

const file = (name: string) => readFileSync(new URL(`../fixtures/prompt/${name}`, import.meta.url))
interface Case {
  readonly id: string
  readonly kind: TinyKind
  readonly dialect: PromptDialect
  readonly prompt: string
  readonly law?: WeightLaw
  readonly clipSkip?: number
  readonly chunks?: number
  /** Of a schedule at 4 steps. */
  readonly state?: number
}
const { cases } = JSON.parse(file('laws.json').toString('utf8')) as { readonly cases: readonly Case[] }
const reader = await WeightReader.open([memorySource('laws', new Uint8Array(file('laws.safetensors')))])

async function encode({ kind, dialect, prompt, law, clipSkip = 1 }: Case, call = 0) {
  const model = await openTinyModel(kind)
  const plan = new PromptPlan(parsePrompt(prompt, dialect), model.tokenizer, { steps: 4 })
  const encoder = new PromptEncoder(await model.textEncoder(), model.tokenizer, {
    law: law ?? lawOfDialect(dialect),
    clipSkip: clipSkip - 1,
  })
  const [row] = plan.rows
  return { ...(await plan.encodingAt(0, call, encoder, row?.chunks ?? 1)), chunks: row?.chunks, encoder }
}

/** Largest difference, against the largest value. */
function distance(actual: Float32Array, expected: Float32Array): number {
  expect(actual.length).toBe(expected.length)
  const largest = expected.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  return (
    actual.reduce((most, value, i) => Math.max(most, Math.abs(value - (expected[i] ?? NaN))), 0) / largest
  )
}

describe('weighted encodings like PyTorch and compel', () => {
  it.each(cases.map(each => [each.id, each] as const))('%s', async (id, theCase) => {
    // The first of two texts holds at calls 0 to 2.
    const { data, chunks } = await encode(theCase, theCase.state === 1 ? 3 : 0)
    const rows = data.length / (theCase.kind === 'sd2' ? 40 : 48)
    const expected = await readAsFloat32(reader.tensor(id, [rows, data.length / rows]))
    expect(distance(data, expected)).toBeLessThan(1e-5)
    if (theCase.chunks !== undefined) expect(chunks).toBe(theCase.chunks)
  })
})

describe('what stays as it is', () => {
  it.each<[PromptDialect, WeightLaw]>([
    ['a1111', 'a1111'],
    ['a1111', 'comfy'],
    ['comfy', 'comfy'],
    ['compel', 'compel'],
    ['plain', 'ignore'],
  ])('%s, %s: without weights, every bit of the plain encoding', async (dialect, law) => {
    const plain = await encode({ id: '', kind: 'sd1', dialect: 'plain', prompt: 'a red car' })
    const { data } = await encode({ id: '', kind: 'sd1', dialect, prompt: 'a red car', law })
    expect(data).toEqual(plain.data)
  })

  it.each<WeightLaw>(['logit-bias', 'value-gain', 'ignore'])('%s leaves the encoding alone', async law => {
    const plain = await encode({ id: '', kind: 'sd1', dialect: 'plain', prompt: 'a red car' })
    const { data, weights } = await encode({
      id: '',
      kind: 'sd1',
      dialect: 'a1111',
      prompt: 'a (red:1.5) car',
      law,
    })
    expect(data).toEqual(plain.data)
    const { tokenizer } = await openTinyModel('sd1')
    const [a, red] = ['a', 'red'].map(word => tokenizer.encodeText(word).length) as [number, number]
    const expected = new Float32Array(77).fill(1).fill(1.5, 1 + a, 1 + a + red)
    expect(weights).toEqual(expected)
  })

  it('hiding nothing changes no bit, hiding a token changes what follows it', async () => {
    const encoder = await (await openTinyModel('sd1')).textEncoder()
    const { tokenizer } = await openTinyModel('sd1')
    const ids = [tokenizer.bosId, 5, 6, 7, ...Array<number>(73).fill(tokenizer.eosId)]
    const { data } = await encoder.encode([{ ids }])
    expect((await encoder.encode([{ ids, hidden: [] }])).data).toEqual(data)
    const hidden = (await encoder.encode([{ ids, hidden: [2] }])).data
    expect(hidden.subarray(0, 2 * 48)).toEqual(data.subarray(0, 2 * 48))
    expect(hidden.subarray(3 * 48, 4 * 48)).not.toEqual(data.subarray(3 * 48, 4 * 48))
  })

  it('every distinct chunk is encoded once', async () => {
    const { encoder } = await encode({ id: '', kind: 'sd1', dialect: 'a1111', prompt: '[a|b|a|b] cat' })
    expect(encoder.encodedChunks).toBe(3)
  })
})

const rows = (data: number[], weights: number[], count?: number) => ({
  data: Float32Array.from(data),
  weights: Float32Array.from(weights),
  ...(count !== undefined && { count }),
})

describe('the laws themselves', () => {
  it('a negative weight turns a row round', () => {
    expect([...scaleRows(rows([1, 2, 3, 4], [1, -1]))]).toEqual([1, 2, -3, -4])
    expect([...leaveEmpty(rows([1, 2, 3, 4], [1, -1]), Float32Array.of(1, 1))]).toEqual([1, 2, -1, -2])
  })

  it('keeps the mean, and lets be what has no usable mean', () => {
    const [kept] = restoreMean([rows([1, 1, 2, 2], [1, 2])])
    expect([...(kept ?? [])]).toEqual([0.6, 0.6, 2.4, 2.4].map(Math.fround))
    expect([...(restoreMean([rows([1, 1, -1, -1], [1, 2])])[0] ?? [])]).toEqual([1, 1, -2, -2])
    expect([...(restoreMean([rows([2, -1], [1, 2])])[0] ?? [])]).toEqual([2, -2])
    expect([...(restoreMean([rows([1, 1], [0, 0])])[0] ?? [])]).toEqual([0, 0])
    expect([...(restoreMean([rows([1, NaN], [2, 2])])[0] ?? [])]).toEqual([2, NaN])
  })

  it('a group has one mean, each member as often as it counts', () => {
    const twice = restoreMean([rows([1, 1], [1, 3]), rows([4, 4], [1, 1]), rows([4, 4], [1, 1])])
    const counted = restoreMean([rows([1, 1], [1, 3]), rows([4, 4], [1, 1], 2)])
    expect(counted[0]).toEqual(twice[0])
    expect(counted[1]).toEqual(twice[1])
    expect(counted[1]?.[0]).toBeCloseTo((4 * 18) / 20, 6)
  })

  it('the share of a masked encoding', () => {
    expect([1, 0.75, 0.5, 0.25].map(maskedShare)).toEqual([0, 0.414, 1, 2.414].map(x => expect.closeTo(x, 3)))
    expect(maskedShare(0)).toBe(maskedShare(1e-5))
    expect(maskedShare(-2)).toBe(maskedShare(1e-5))
    const half = blendMasked(Float32Array.of(0), [{ weight: 0.5, data: Float32Array.of(1) }])
    expect(half[0]).toBeCloseTo(0.5, 6)
  })

  it('a blend', () => {
    const [a, b] = [Float32Array.of(1), Float32Array.of(3)]
    expect(blend([a, b], [1, 3], true)[0]).toBe(2.5)
    expect(blend([a, b], [1, -1], false)[0]).toBe(-2)
    expect(blend([a], [0.5], true)).toBe(a)
  })
})
