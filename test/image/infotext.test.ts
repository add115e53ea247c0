import { describe, expect, it } from 'vitest'
import { makeRecord, readRecord, writeRecord } from '../../model/contract/record.ts'
import { samplers } from '../../model/contract/request.ts'
import { infotextOf, readInfotext, samplerFrom, writeInfotext } from '../../model/image/infotext.ts'

const record = makeRecord({
  appVersion: '0.1.0',
  created: new Date('2026-11-23T12:00:00Z'),
  request: {
    prompt: 'a red car\nunder a blue sky',
    negativePrompt: 'blurry, (bad:1.2)',
    width: 512,
    height: 768,
    steps: 20,
    guidanceScale: 7.5,
    guidanceRescale: 0,
    seed: '18446744073709551615',
    rng: 'cpu',
    sampler: 'dpmpp_2m_karras',
    precision: 'f16',
    clipSkip: 2,
    strength: 0.6,
  },
  model: { name: 'my, model', sha256: 'ab'.repeat(32) },
})

describe('infotextOf', () => {
  it("writes A1111's lines in A1111's order", () => {
    expect(infotextOf(record)).toBe(
      [
        'a red car',
        'under a blue sky',
        'Negative prompt: blurry, (bad:1.2)',
        'Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 18446744073709551615, Size: 512x768, Model hash: ababababab, Model: "my, model", Denoising strength: 0.6, Clip skip: 2, RNG: CPU, Version: Attune 0.1.0',
      ].join('\n'),
    )
  })

  it.each(samplers)('names the sampler %s so that it is found again', sampler => {
    const text = infotextOf({ ...record, request: { ...record.request, sampler } })
    expect(samplerFrom(readInfotext(text))).toBe(sampler)
  })
})

describe('readInfotext', () => {
  it('reads a text of A1111', () => {
    const { prompt, negativePrompt, parameters } = readInfotext(
      [
        'cat, (fluffy:1.3)',
        '<lora:x:0.8>',
        'Negative prompt: dog,',
        'two: three, four',
        'Steps: 28, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 1234, Size: 512x768, Model hash: 6ce0161689, Lora hashes: "x: 1234abcd, y: 5678", ControlNet 0: "Module: canny, Model: c [d14c016b], Weight: 1.0", Version: v1.9.4',
      ].join('\n'),
    )
    expect(prompt).toBe('cat, (fluffy:1.3)\n<lora:x:0.8>')
    expect(negativePrompt).toBe('dog,\ntwo: three, four')
    expect(parameters.get('Size')).toBe('512x768')
    expect(parameters.get('Lora hashes')).toBe('x: 1234abcd, y: 5678')
    expect(parameters.get('ControlNet 0')).toBe('Module: canny, Model: c [d14c016b], Weight: 1.0')
    expect(samplerFrom({ prompt, negativePrompt, parameters })).toBe('dpmpp_2m_karras')
  })

  it('takes a last line with fewer than three pairs for prompt', () => {
    expect(readInfotext('a sign that says: hello, you: there')).toEqual({
      prompt: 'a sign that says: hello, you: there',
      negativePrompt: '',
      parameters: new Map(),
    })
    expect(readInfotext('').prompt).toBe('')
  })

  it('keeps damaged quotes as they are, and answers hostile text at once', () => {
    expect(readInfotext('p\nOne: "a, Two: "b", Three: "\\x"').parameters.get('Three')).toBe('"\\x"')
    const began = performance.now()
    for (const piece of ['a', '"', 'aa: ', '\\', 'aa: "', ' ', 'aa: b,', '\n']) {
      readInfotext(`x${piece.repeat(2 ** 20 / piece.length)}x`)
    }
    expect(performance.now() - began).toBeLessThan(3000)
  })

  it('round-trips what the format can hold (property)', () => {
    let state = 3
    const random = (below: number) => (state = (state * 48271) % 2147483647) % below
    const pieces = ['a', 'Ä', '"', '\\', ',', ':', ' ', '\n', '🚗', 'x: y', '1.5', "'", '<b>', '\t', 'ÿ']
    const text = (most: number) =>
      Array.from({ length: random(most) }, () => pieces[random(pieces.length)]).join('')
    for (let round = 0; round < 500; round++) {
      const parameters = new Map([
        ['Steps', '20'],
        ['Seed', '1'],
        ['Size', '8x8'],
      ])
      for (let i = 0; i < random(6); i++) {
        const value = text(12)
        if (value !== '') parameters.set(`Key ${i}`, value)
      }
      // Outer spaces of lines, and texts whose own line starts with the mark, are beyond the format.
      const lines = (most: number) =>
        text(most)
          .split('\n')
          .map(line => line.trim())
          .join('\n')
          .trim()
      const infotext = { prompt: lines(30), negativePrompt: lines(20), parameters }
      expect(readInfotext(writeInfotext(infotext))).toEqual(infotext)
    }
  })

  it('leaves out what cannot be read back', () => {
    const parameters = new Map([
      ['Steps', '1'],
      ['Empty', ''],
      ['K', 'one letter'],
      ['Bad: key', 'x'],
    ])
    expect(writeInfotext({ prompt: '', negativePrompt: '', parameters })).toBe('Steps: 1')
  })
})

const text = (changes: object) => JSON.stringify({ ...record, ...changes })

describe('record', () => {
  it('fault I6: is read back, with unknown fields at every level', () => {
    const richer = { ...record, future: { a: [1] }, request: { ...record.request, regions: ['x'] } }
    expect(readRecord(writeRecord(richer))).toEqual(richer)
  })

  it('refuses what it does not understand, and says why', () => {
    expect(() => readRecord('<html>')).toThrow('not JSON')
    expect(() => readRecord('null')).toThrow('cannot be read')
    expect(() => readRecord(text({ format: 'other' }))).toThrow('format')
    expect(() => readRecord(text({ version: 99 }))).toThrow('newer Attune')
    expect(() => readRecord(text({ request: { ...record.request, seed: 5 } }))).toThrow('request.seed')
    expect(() => readRecord(text({ request: { ...record.request, seed: '18446744073709551616' } }))).toThrow(
      'seed',
    )
    expect(() => readRecord(' '.repeat(2 ** 20 + 1))).toThrow('characters')
  })
})
