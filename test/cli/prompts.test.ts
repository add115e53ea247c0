import { beforeAll, describe, expect, it } from 'vitest'
import { makeRecord, readRecord, writeRecord } from '../../model/contract/record.ts'
import { resolveRequest, parseRequest } from '../../model/contract/request.ts'
import { infotextOf } from '../../model/image/infotext.ts'
import { packChunks } from '../../model/text/chunks.ts'
import { explainPrompt } from '../../model/text/explain.ts'
import { PromptPlan } from '../../model/text/plan.ts'
import { parsePrompt } from '../../model/prompt/parse.ts'
import type { DiffusionModel } from '../../model/pipeline/diffusion-model.ts'
import { openTinyModel } from '../support/run-case.ts'
import { writeTinyModel } from '../support/tiny-models.ts'
import { defaults, fakeEngine, run, temporaryFolder } from './support.ts'

let model: DiffusionModel

beforeAll(async () => {
  model = await openTinyModel('sd1')
})

describe('the default dialect', () => {
  it.each(['', 'a red car', '  a red car,  under a sky\nby night ', "it's 3.5 m: wide", 'Émile & 東京'])(
    'reads %j, which has no brackets, as plain text',
    text => {
      const [row] = new PromptPlan(parsePrompt(text, 'a1111'), model.tokenizer, { steps: 4 }).rows
      const chunks = row?.parts[0]?.states[0]?.texts[0]?.chunks.map(({ ids }) => ids)
      const plain = packChunks(model.tokenizer.encodeText(text), model.tokenizer)
      expect(chunks).toEqual(plain.map(({ ids }) => ids))
    },
  )
})

describe('problems of prompts', () => {
  it('are told one a line, and the picture is drawn', async () => {
    const cwd = await temporaryFolder()
    const argv = ['generate', 'a (red car\nand a <lora:x:1> sky', '--negative', '(blur:1.2']
    const { code, err } = await run(argv, { cwd })
    expect(code).toBe(0)
    expect(err).toMatch(/^warning: prompt, line 2, column 7: "<lora:x:1>" is understood/m)
    expect(err).toMatch(/^\w+: prompt, column 3: /m)
    expect(err).toMatch(/^\w+: negative prompt, column 1: /m)
  })

  it('are events with --json', async () => {
    const cwd = await temporaryFolder()
    const { json, err } = await run(['generate', 'a <lora:x:1> sky', '--json'], { cwd })
    expect(err).toBe('')
    expect(json()[0]).toMatchObject({
      type: 'prompt-problem',
      field: 'prompt',
      level: 'warning',
      span: { start: 2, end: 12 },
    })
  })

  it('has none for plain text', async () => {
    const cwd = await temporaryFolder()
    const engine = fakeEngine()
    const { err } = await run(['generate', 'a (red', '--dialect', 'plain'], { cwd, engine })
    expect(err).not.toMatch(/prompt, column/)
    expect(engine.jobs[0]?.request.dialect).toBe('plain')
  })
})

const recordOf = (settings: object) =>
  makeRecord({
    appVersion: '0.1.0',
    created: new Date('2026-11-23T12:00:00Z'),
    request: resolveRequest(parseRequest({ prompt: 'a (red:1.2) car', seed: '1', ...settings }), defaults, 8),
    model: { name: 'some' },
  })

describe('the record', () => {
  it('keeps how prompts were read', () => {
    const weightCurves = [{ phrase: 'red', shape: 'hold', keys: [{ fraction: 0, weight: 2 }] }]
    const settings = { dialect: 'comfy', emphasis: 'logit-bias', oldTimeline: true, weightCurves }
    expect(readRecord(writeRecord(recordOf(settings))).request).toMatchObject(settings)
    expect(recordOf({}).request.dialect).toBe('a1111')
  })

  it("says it in A1111's words where A1111 has words", () => {
    expect(infotextOf(recordOf({}))).not.toMatch(/Emphasis|timelines/)
    expect(infotextOf(recordOf({ emphasis: 'a1111-no-norm', oldTimeline: true }))).toContain(
      'RNG: CPU, Emphasis: No norm, Old prompt editing timelines: True, Version',
    )
    expect(infotextOf(recordOf({ emphasis: 'ignore' }))).toContain('Emphasis: Ignore')
    expect(infotextOf(recordOf({ dialect: 'plain' }))).toContain('Emphasis: None')
    expect(infotextOf(recordOf({ dialect: 'comfy' }))).not.toContain('Emphasis')
  })
})

describe('explainPrompt', () => {
  it('tells tokens, weights, chunks and when words hold', async () => {
    const text = 'a (red:1.5) car [by day:by night:2]'
    const { parts, law, problems } = await explainPrompt(text, 'a1111', model, { steps: 4 })
    expect({ law, problems, parts: parts.length }).toEqual({ law: 'a1111', problems: [], parts: 1 })
    const [day, night] = parts[0]?.states ?? []
    expect(day?.steps).toEqual([[1, 3]])
    expect(night?.steps).toEqual([[4, 4]])
    const red = day?.texts[0]?.words.find(word => word.text === 'red')
    expect(red).toMatchObject({ weight: 1.5, span: { start: 3, end: 6 }, crossesChunk: false })
    const [chunk] = day?.texts[0]?.chunks ?? []
    expect((chunk?.used ?? 0) + (chunk?.free ?? 0)).toBe(75)
    expect(chunk?.ids).toHaveLength(77)
    for (const { span, row, position } of day?.texts[0]?.tokens ?? []) {
      expect(span.end).toBeGreaterThan(span.start)
      expect(row).toBe(position)
    }
    expect(JSON.parse(JSON.stringify({ parts }))).toEqual({ parts })
  })

  it('measures the restored mean with an encoder', async () => {
    const encoder = await model.textEncoder()
    const { tokenizer } = model
    const { parts } = await explainPrompt('a (red:1.5) car', 'a1111', { tokenizer, encoder })
    const text = parts[0]?.states[0]?.texts[0]
    const scale = text?.chunks[0]?.scale ?? 1
    expect(scale).not.toBe(1)
    const red = text?.tokens.find(token => token.weight === 1.5)
    expect(red?.effective).toBeCloseTo(1.5 * scale)
  })
})

describe('attune explain', () => {
  it('prints a table', async () => {
    const folder = writeTinyModel('sd1', await temporaryFolder())
    const argv = ['explain', 'a (red:1.5) car AND a [day:night:3] (sky', '--model', folder, '--steps', '6']
    const { code, out, err } = await run(argv)
    expect({ code, err }).toEqual({ code: 0, err: '' })
    expect(out).toMatch(/^dialect a1111, emphasis a1111$/m)
    expect(out).toMatch(/^Part 2 of 2 \(AND\), weight 1$/m)
    expect(out).toMatch(/^Steps 1–4$/m)
    expect(out).toMatch(/^ {2}red +.* 1\.5 /m)
    expect(out).toMatch(/^\w+: column \d+: /m)
  })

  it('speaks JSON, and refuses what it does not know', async () => {
    const folder = writeTinyModel('sd1', await temporaryFolder())
    const { json } = await run(['explain', 'a (red)1.5', '--dialect', 'compel', '--model', folder, '--json'])
    expect(json()).toHaveLength(1)
    expect(json()[0]).toMatchObject({ type: 'explanation', dialect: 'compel', law: 'compel' })
    expect((await run(['explain', 'x', '--dialect', 'klingon'])).code).toBe(2)
    expect((await run(['explain', 'x', '--steps', '0'])).err).toContain('--steps must be between')
  })
})
