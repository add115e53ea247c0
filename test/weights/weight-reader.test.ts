import { mkdtemp, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openFileSource } from '../../host/files.ts'
import type { ByteSource } from '../../model/contract/bytes.ts'
import { AttuneError } from '../../model/contract/errors.ts'
import { floatToHalf } from '../../model/tensor/dtype.ts'
import {
  countNonFinite,
  readAsFloat32,
  streamFloat32,
  WeightReader,
  type WeightDType,
  type WeightEntry,
} from '../../model/weights/weight-reader.ts'
import { writeSafetensors, type TensorToWrite } from '../../model/weights/write-safetensors.ts'
import { guardedSource } from './support.ts'

const f32 = (shape: readonly number[]): TensorToWrite => ({
  dtype: 'F32',
  shape,
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => i),
})

function refusal(act: () => unknown): AttuneError {
  try {
    act()
  } catch (error) {
    if (error instanceof AttuneError) return error
    throw error
  }
  throw new Error('nothing was refused')
}

describe('WeightReader', () => {
  const file = writeSafetensors({
    'down.0.weight': f32([2, 3]),
    'down.0.bias': f32([2]),
    'down.1.query.weight': f32([4, 4, 1, 1]),
    position_ids: { dtype: 'I64', shape: [1], data: new BigInt64Array(1) },
    eight: { dtype: 'F8_E4M3', shape: [2], data: new Uint8Array(2) },
  })
  const open = () => WeightReader.open([guardedSource('unet.safetensors', file)])

  it('reads by path and shape', async () => {
    const reader = await open()
    const down = reader.at('down').at(0)
    expect(down.path).toBe('down.0')
    expect(down.has('weight')).toBe(true)
    expect(down.has('gamma')).toBe(false)
    expect(down.names()).toEqual(['bias', 'weight'])
    expect(down.shapeOf('weight')).toEqual([2, 3])
    const entry = down.tensor('weight', [2, 3])
    expect(entry).toMatchObject({ path: 'down.0.weight', dtype: 'F32', shape: [2, 3], byteLength: 24 })
    expect(await readAsFloat32(entry)).toEqual(Float32Array.of(0, 1, 2, 3, 4, 5))
    expect(down.optionalTensor('gamma', [2])).toBeUndefined()
    expect(down.optionalTensor('bias', [2])?.path).toBe('down.0.bias')
    down.finish()
  })

  it('takes a 1×1 convolution for a matrix, under an old name', async () => {
    const reader = await open()
    const attention = reader.at('down.1')
    const entry = attention.tensor('to_q.weight', [4, 4], { names: ['query.weight'], shapes: [[4, 4, 1, 1]] })
    expect(entry.shape).toEqual([4, 4])
    expect(entry.path).toBe('down.1.to_q.weight')
    attention.finish()
  })

  it('tells everything that is wrong at once', async () => {
    const reader = await open()
    reader.at('down.0').tensor('weight', [3, 2])
    reader.tensor('eight', [2])
    for (let i = 0; i < 20; i++) reader.at('up').at(i).tensor('weight', [1])
    const { code, message, remedy } = refusal(() => reader.finish({ allowUnread: [/position_ids$/] }))
    expect(code).toBe('bad-model')
    expect(message).toContain('unet.safetensors')
    expect(message).toContain('20 missing: "up.0.weight"; "up.1.weight"')
    expect(message).toContain('"up.11.weight"; and 8 more')
    expect(message).toContain('2 of another shape or type: "down.0.weight" is [2, 3], wanted [3, 2]')
    expect(message).toContain('"eight" has the dtype F8_E4M3, which is not supported yet')
    expect(message).toContain('2 not part of this network: "down.0.bias"; "down.1.query.weight"')
    expect(message).not.toContain('position_ids')
    expect(remedy).toMatch(/config\.json/)
  })

  it('looks below its cursor only', async () => {
    const reader = await open()
    reader.at('down.0').tensor('weight', [2, 3])
    reader.at('down.0').tensor('bias', [2])
    reader.at('up').tensor('weight', [1])
    expect(() => reader.at('down.0').finish()).not.toThrow()
    expect(refusal(() => reader.at('up').finish()).message).toContain('1 missing: "up.weight"')
    expect(() => reader.finish()).toThrow('not part of this network')
  })

  it('does not read a weight that is not there', async () => {
    const reader = await open()
    await expect(readAsFloat32(reader.tensor('none', [2]))).rejects.toThrow('"none" cannot be read')
  })

  it('joins shards, and refuses a name in two of them', async () => {
    const second = guardedSource('2.safetensors', writeSafetensors({ other: f32([1]) }))
    const reader = await WeightReader.open([guardedSource('1.safetensors', file), second])
    expect(reader.tensor('other', [1]).source).toBe(second)
    await expect(
      WeightReader.open([second, guardedSource('3.safetensors', writeSafetensors({ other: f32([1]) }))]),
    ).rejects.toThrow('"other" is in 2.safetensors and again in 3.safetensors')
  })
})

describe('decoding', () => {
  const values = Float32Array.from({ length: 1001 }, (_, i) => Math.fround((i - 500) / 64))
  const stored: Readonly<Record<WeightDType, ArrayBufferView>> = {
    F32: values,
    F16: Uint16Array.from(values, floatToHalf),
    // Multiples of 1/64 below 8 need at most 9 bits, so the rounding to 8 is visible in the expected values below.
    BF16: Uint16Array.from(new Uint32Array(values.buffer), bits => bits >>> 16),
  }

  /** The same bytes at an odd offset, as a file whose header was not padded has them. */
  function entry(dtype: WeightDType, shift = 3): WeightEntry {
    const data = stored[dtype]
    const bytes = new Uint8Array(shift + data.byteLength)
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), shift)
    const source = guardedSource('w', bytes)
    return { path: 'w', dtype, shape: [7, 143], source, byteOffset: shift, byteLength: data.byteLength }
  }
  const expected = (dtype: WeightDType) =>
    dtype === 'BF16'
      ? new Float32Array(Uint32Array.from(stored.BF16 as Uint16Array, half => half << 16).buffer)
      : values

  it.each<WeightDType>(['F32', 'F16', 'BF16'])('reads %s whole and in pieces', async dtype => {
    expect(await readAsFloat32(entry(dtype))).toEqual(expected(dtype))
    const target = new Float32Array(1200).fill(-1)
    const view = await readAsFloat32(entry(dtype), target)
    expect(view.buffer).toBe(target.buffer)
    expect(target.subarray(0, 1001)).toEqual(expected(dtype))
    expect(target[1001]).toBe(-1)
    for (const size of [1, 100, 1001, 5000]) {
      const all: number[] = []
      for await (const { start, values: piece } of streamFloat32(entry(dtype), size)) {
        expect(start).toBe(all.length)
        all.push(...piece)
      }
      expect(Float32Array.from(all)).toEqual(expected(dtype))
    }
  })

  it('reads large tensors by ranges', async () => {
    const count = 3_000_001
    const bytes = new Uint8Array(count * 2)
    const source = guardedSource('w', bytes)
    const big: WeightEntry = {
      path: 'w',
      dtype: 'F16',
      shape: [count],
      source,
      byteOffset: 0,
      byteLength: count * 2,
    }
    expect((await readAsFloat32(big)).length).toBe(count)
    expect(source.largestRead).toBeLessThanOrEqual(1 << 21)
  })

  it('refuses a target that is too small, and counts what is not finite', async () => {
    await expect(readAsFloat32(entry('F32'), new Float32Array(1000))).rejects.toThrow('do not fit')
    expect(countNonFinite(Float32Array.of(1, NaN, Infinity, -Infinity, 0))).toBe(3)
  })

  it('tells when a source ends early', async () => {
    const liar: ByteSource = { name: 'w', byteLength: 4004, read: () => Promise.resolve(new Uint8Array(8)) }
    const broken: WeightEntry = {
      path: 'w',
      dtype: 'F32',
      shape: [1001],
      source: liar,
      byteOffset: 0,
      byteLength: 4004,
    }
    await expect(readAsFloat32(broken)).rejects.toThrow('w ended early: 8 of 4004 bytes at 0')
  })
})

describe('openFileSource', () => {
  let folder = ''
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'attune-'))
  })
  afterAll(() => rm(folder, { recursive: true }))

  it('reads ranges of a file with any name', async () => {
    const path = join(folder, 'mödel 🚗.safetensors')
    await writeFile(path, writeSafetensors({ w: f32([3]) }))
    const source = await openFileSource(path)
    const reader = await WeightReader.open([source])
    expect(await readAsFloat32(reader.tensor('w', [3]))).toEqual(Float32Array.of(0, 1, 2))
    await expect(source.read(source.byteLength - 1, 2)).rejects.toThrow('outside the file')
    await source.close()
  })

  it('refuses what is not a file', async () => {
    await expect(openFileSource(folder)).rejects.toThrow('is a folder')
    await expect(openFileSource('/dev/zero')).rejects.toThrow('is a device or a pipe')
    await expect(openFileSource(join(folder, 'none'))).rejects.toThrow('does not exist')
    await symlink(join(folder, 'loop'), join(folder, 'loop'))
    await expect(openFileSource(join(folder, 'loop'))).rejects.toThrow('leads back to itself')
  })

  it('notices that a file changed between two reads', async () => {
    const path = join(folder, 'changing')
    await writeFile(path, 'before')
    const source = await openFileSource(path)
    await source.read(0, 6)
    await utimes(path, 1, 1)
    await expect(source.read(0, 6)).rejects.toThrow('changed on disk')
    await source.close()
  })
})
