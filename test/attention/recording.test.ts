import { describe, expect, it } from 'vitest'
import {
  type AttentionRecording,
  makeRecording,
  readRecording,
  recordingKey,
  writeRecording,
} from '../../model/attention/recording.ts'
import { wordMaps } from '../../model/attention/maps.ts'
import { memorySource } from '../../model/contract/bytes.ts'
import { readSafetensorsHeader } from '../../model/weights/safetensors.ts'
import { writeSafetensors } from '../../model/weights/write-safetensors.ts'
import { syntheticCapture, syntheticSteps, wideGrids } from '../support/attention.ts'

const captured = syntheticCapture(wideGrids.slice(1), { width: 768, height: 512 })
const run = {
  model: { name: 'storybook', sha256: 'ab'.repeat(32) },
  sampler: 'ddim',
  seed: '18446744073709551615',
  sigmas: [14.6, 3.1, 1, 0.2],
  timesteps: [999, 600, 300, 50],
  tokenWeights: captured.tokens.map((_, at) => 1 + at / 8),
  dialect: 'a1111',
}
const full = makeRecording(captured, run, { perStep: syntheticSteps(captured, 24, 16) })
const spot = {
  point: { x: 0.25, y: 1 },
  rows: 12,
  width: 6,
  height: 4,
  data: Float32Array.from({ length: 24 }, (_, at) => at / 8),
}
const read = (bytes: Uint8Array) => readRecording(memorySource('r.safetensors', bytes))

/** A recording's file with its manifest or its tensors changed. */
async function changed(
  change: (manifest: Record<string, unknown>) => void,
  tensors: (
    data: Map<string, { shape: readonly number[]; data: Float32Array; dtype: 'F32' | 'I32' }>,
  ) => void = () => undefined,
): Promise<Uint8Array> {
  const bytes = writeRecording(full)
  const header = await readSafetensorsHeader(memorySource('x', bytes))
  const manifest = JSON.parse(header.metadata.get(recordingKey) as string) as Record<string, unknown>
  change(manifest)
  const data = new Map(
    [...header.tensors].map(([name, { shape, byteOffset, byteLength }]) => [
      name,
      {
        dtype: 'F32' as 'F32' | 'I32',
        shape,
        data: new Float32Array(bytes.slice(byteOffset, byteOffset + byteLength).buffer),
      },
    ]),
  )
  tensors(data)
  return writeSafetensors(data, { [recordingKey]: JSON.stringify(manifest) })
}

const grow = (manifest: Record<string, unknown>) =>
  ((manifest['layers'] as { height: number }[])[0]!.height = 31)
const nothing = () => undefined

describe('an attention recording', () => {
  it('comes back exactly, with equal bytes for equal recordings', async () => {
    const bytes = writeRecording(full)
    const again = await read(bytes)
    expect(again).toEqual(full)
    expect(writeRecording(again)).toEqual(bytes)
  })

  it('keeps a spot, curves and what acted beside the prompt', async () => {
    const facts = {
      ...run,
      weightCurves: [{ phrase: 'car', keys: [{ fraction: 0.5, weight: 2 }], shape: 'hold' }],
      sourcePrompt: 'a blue car',
      controls: {
        regions: { law: 'mix', baseWeight: 0.2, regions: [{ prompt: 'grass', weight: 1 }] },
        paint: [{ phrase: 'car', strength: 2 }],
        edit: { cross: { start: 0, end: 0.8 }, reweight: [{ phrase: 'car', factor: 2 }] },
        hidePadding: true,
      },
    }
    const recording = makeRecording(captured, facts, { spot })
    const again = await read(writeRecording(recording))
    expect(again).toEqual(recording)
    const broken = { ...spot, data: spot.data.map((value, at) => (at === 3 ? NaN : value)) }
    expect(() => writeRecording(makeRecording(captured, run, { spot: broken }))).toThrow('"spot" holds NaN')
  })

  it('keeps metadata and fields that it does not know', async () => {
    const recording: AttentionRecording = {
      ...full,
      run: { ...run, later: { deep: [1] } },
      otherMetadata: { note: 'mine', format: 'pt' },
    }
    const again = await read(writeRecording(await read(writeRecording(recording))))
    expect(again.run).toEqual({ ...run, later: { deep: [1] } })
    expect(again.otherMetadata).toEqual({ note: 'mine', format: 'pt' })
  })

  it('reduces heads without changing word maps', async () => {
    const small = writeRecording(makeRecording(captured, run, { heads: 'mean' }))
    expect(small.length).toBeLessThan(writeRecording(makeRecording(captured, run)).length * 0.6)
    const again = await read(small)
    expect(again.heads).toBe('mean')
    const size = { width: 48, height: 32 }
    const [mine, theirs] = [wordMaps(again.captured, size), wordMaps(captured, size)]
    mine.forEach((map, word) =>
      map.data.forEach((value, at) => expect(value).toBeCloseTo(theirs[word]?.data[at] as number, 6)),
    )
  })

  it('refuses every truncation', async () => {
    const bytes = writeRecording(full)
    for (const length of [0, 1, 7, 8, 100, 3000, bytes.length - 4, bytes.length - 1]) {
      await expect(read(bytes.slice(0, length)), String(length)).rejects.toMatchObject({ code: 'bad-file' })
    }
  })

  it('refuses other safetensors files, broken JSON and newer versions, saying what to do', async () => {
    await expect(read(writeSafetensors({}, { format: 'pt' }))).rejects.toThrow('no attention recording')
    await expect(read(writeSafetensors({}, { [recordingKey]: '{' }))).rejects.toThrow('not JSON')
    await expect(read(writeSafetensors({}, { [recordingKey]: '[]' }))).rejects.toThrow('no version')
    await expect(read(await changed(manifest => (manifest['version'] = 2)))).rejects.toMatchObject({
      code: 'unsupported',
      remedy: expect.stringContaining('Update Attune') as string,
    })
  })

  it.each<[string, (manifest: Record<string, unknown>) => void]>([
    ['width', manifest => (manifest['width'] = -1)],
    ['width', manifest => (manifest['width'] = 1e9)],
    ['half', manifest => (manifest['half'] = 'both')],
    ['sigmas has 1', manifest => (manifest['sigmas'] = [1])],
    ['tokenWeights has 1', manifest => (manifest['tokenWeights'] = [1])],
    ['column 99', manifest => ((manifest['words'] as { columns: number[] }[])[0]!.columns = [99])],
    ['spans 3 to 999', manifest => ((manifest['words'] as { span: number[] }[])[0]!.span = [3, 999])],
    ['belongs to word 77', manifest => ((manifest['tokens'] as { word: number }[])[1]!.word = 77)],
    ['do not rise', manifest => ((manifest['perStep'] as { steps: number[] }).steps = [0, 1, 1, 2])],
    ['same path', manifest => (manifest['layers'] = Array(3).fill((manifest['layers'] as object[])[0]))],
    ['spot.point.x', manifest => (manifest['spot'] = { ...spot, data: undefined, point: { x: 2, y: 0 } })],
    ['weightCurves.0.keys', manifest => (manifest['weightCurves'] = [{ phrase: 'car', keys: 'none' }])],
    ['controls.paint.0.strength', manifest => (manifest['controls'] = { paint: [{ phrase: 'car' }] })],
    ['controls.edit.cross', manifest => (manifest['controls'] = { edit: { cross: { start: 0, end: 9 } } })],
    ['reduced', manifest => (manifest['heads'] = 'mean')],
  ])('refuses a manifest with a wrong %s', async (why, change) => {
    await expect(read(await changed(change))).rejects.toThrow(why)
  })

  it('compares every tensor with the manifest before reading it', async () => {
    await expect(read(await changed(grow))).rejects.toThrow('but its manifest says')
    const withSpot = await changed(manifest => {
      manifest['spot'] = { point: spot.point, rows: 1, width: 60_000, height: 60_000 }
    })
    await expect(read(withSpot)).rejects.toThrow('"spot" is missing')
    await expect(read(await changed(nothing, data => void data.delete('steps')))).rejects.toThrow(
      '"steps" is missing',
    )
    await expect(
      read(
        await changed(
          nothing,
          data => void data.set('extra', { dtype: 'F32', shape: [1], data: new Float32Array(1) }),
        ),
      ),
    ).rejects.toThrow('does not know the tensor "extra"')
    await expect(
      read(await changed(nothing, data => void data.set('steps', { ...data.get('steps')!, dtype: 'I32' }))),
    ).rejects.toThrow('not F32')
  })

  it.each([NaN, Infinity, -1])('refuses %s among the numbers, read or written', async value => {
    const path = `layer.${captured.layers[0]?.path}`
    const broken = await changed(
      () => undefined,
      data => void (data.get(path)!.data[7] = value),
    )
    await expect(read(broken)).rejects.toMatchObject({ code: 'non-finite' })
    const [first, ...others] = captured.layers
    const layers = [{ ...first!, sums: first!.sums.map((sum, at) => (at === 7 ? value : sum)) }, ...others]
    expect(() => writeRecording(makeRecording({ ...captured, layers }))).toThrow(
      'which no sum of probabilities is',
    )
  })
})
