import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { memorySource } from '../../model/contract/bytes.ts'
import { PackedWeights, placeInFiles } from '../../model/onnx/weights.ts'
import { OnnxSession } from '../../model/onnx/session.ts'
import { chunkLength } from '../../model/text/chunks.ts'
import { readClipTextConfig } from '../../model/text/clip-config.ts'
import { clipTextGraph } from '../../model/text/clip-graph.ts'
import { ClipTextEncoder } from '../../model/text/text-encoder.ts'
import { readSafetensorsHeader } from '../../model/weights/safetensors.ts'
import { readAsFloat32, WeightReader } from '../../model/weights/weight-reader.ts'
import { writeSafetensors, type TensorToWrite } from '../../model/weights/write-safetensors.ts'

const read = (name: string) =>
  new Uint8Array(readFileSync(new URL(`../fixtures/clip/${name}`, import.meta.url)))
const description = JSON.parse(new TextDecoder().decode(read('description.json'))) as {
  readonly ids: readonly (readonly number[])[]
  readonly variants: Readonly<Record<string, { readonly config: Readonly<Record<string, unknown>> }>>
}
const chunks = description.ids.map(ids => ({ ids }))
const configOf = (variant: string) => description.variants[variant]?.config
const expectedReader = await WeightReader.open([memorySource('expected', read('expected.safetensors'))])
const expectedOf = (variant: string, clipSkip: number) =>
  readAsFloat32(expectedReader.tensor(`${variant}.${clipSkip}`, [2, 77, 16]))

function largestDifference(actual: Float32Array, expected: Float32Array): number {
  expect(actual.length).toBe(expected.length)
  return actual.reduce((largest, value, i) => Math.max(largest, Math.abs(value - (expected[i] ?? NaN))), 0)
}

/** The tensors of a file, to write a changed one. */
async function tensorsOf(file: Uint8Array): Promise<Map<string, TensorToWrite>> {
  const { tensors } = await readSafetensorsHeader(memorySource('f', file))
  return new Map(
    [...tensors].map(([name, { dtype, shape, byteOffset, byteLength }]) => [
      name,
      { dtype, shape, data: file.slice(byteOffset, byteOffset + byteLength) },
    ]),
  )
}

const encoders: ClipTextEncoder[] = []
async function load(
  variant: string,
  weights: Uint8Array = read(`${variant}.safetensors`),
  config = configOf(variant),
) {
  const encoder = await ClipTextEncoder.load({ config, weights })
  encoders.push(encoder)
  return encoder
}
afterAll(() => Promise.all(encoders.map(encoder => encoder.dispose())))

describe.each(['quick-gelu', 'gelu', 'bfloat'])('CLIPTextModel like transformers: %s', variant => {
  let encoder: ClipTextEncoder
  beforeAll(async () => {
    encoder = await load(variant)
  })

  it.each([0, 1, 2])('clip skip %i, two chunks in one run', async clipSkip => {
    const { data, shape } = await encoder.encode(chunks, { clipSkip })
    expect(shape).toEqual([2 * chunkLength, 16])
    expect(largestDifference(data, await expectedOf(variant, clipSkip))).toBeLessThan(1e-5)
  })

  it('one chunk alone gives the same', async () => {
    const { data, shape } = await encoder.encode(chunks.slice(1))
    expect(shape).toEqual([chunkLength, 16])
    expect(largestDifference(data, (await expectedOf(variant, 0)).subarray(chunkLength * 16))).toBeLessThan(
      1e-5,
    )
  })
})

describe('ClipTextEncoder', () => {
  let encoder: ClipTextEncoder
  beforeAll(async () => {
    encoder = await load('quick-gelu')
  })

  it('finds its weights in a larger file, by a cursor', async () => {
    const inner = await tensorsOf(read('quick-gelu.safetensors'))
    const outer = new Map(
      [...inner].map(([name, tensor]) => [`cond_stage_model.transformer.${name}`, tensor]),
    )
    outer.set('model.diffusion_model.w', { dtype: 'F32', shape: [1], data: new Float32Array(1) })
    const reader = await WeightReader.open([memorySource('checkpoint', writeSafetensors(outer))])
    const weights = reader.at('cond_stage_model.transformer')
    const inside = await ClipTextEncoder.load({ config: configOf('quick-gelu'), weights })
    encoders.push(inside)
    const { data } = await inside.encode(chunks)
    expect(largestDifference(data, await expectedOf('quick-gelu', 0))).toBeLessThan(1e-5)
  })

  it('runs straight from the file as well', async () => {
    const file = read('gelu.safetensors')
    const reader = await WeightReader.open([memorySource('model.safetensors', file)])
    const graph = clipTextGraph(readClipTextConfig(configOf('gelu'), 'c'), reader, placeInFiles())
    const session = await OnnxSession.create({
      name: 'text encoder',
      model: graph.toModel(),
      externalData: [{ location: 'model.safetensors', data: file }],
    })
    const ids = BigInt64Array.from(description.ids.flat(), BigInt)
    const results = await session.run({ input_ids: { data: ids, shape: [2, 77] } }, ['clip_skip_1'])
    const data = results.clip_skip_1?.data as Float32Array
    expect(largestDifference(data, await expectedOf('gelu', 1))).toBeLessThan(1e-5)
    await session.release()
  })

  it('reads only what it uses', async () => {
    const reader = await WeightReader.open([memorySource('w', read('quick-gelu.safetensors'))])
    const packed = new PackedWeights()
    const graph = clipTextGraph(readClipTextConfig(configOf('quick-gelu'), 'c'), reader, packed)
    expect(packed.byteLength).toBeLessThan(read('quick-gelu.safetensors').length)
    expect(graph.toModel().length).toBeLessThan(50_000)
  })

  it('a later token changes nothing before it', async () => {
    const before = await encoder.encode(chunks.slice(0, 1))
    const ids = [...(description.ids[0] ?? [])]
    ids[5] = 3
    const after = await encoder.encode([{ ids }])
    expect(after.data.subarray(0, 5 * 16)).toEqual(before.data.subarray(0, 5 * 16))
    expect(after.data.subarray(5 * 16, 6 * 16)).not.toEqual(before.data.subarray(5 * 16, 6 * 16))
  })

  it('refuses requests that it cannot serve', async () => {
    await expect(encoder.encode(chunks, { clipSkip: 4 })).rejects.toMatchObject({
      code: 'bad-argument',
      message: expect.stringContaining('Clip skip 4') as string,
    })
    await expect(encoder.encode(chunks, { clipSkip: 0.5 })).rejects.toMatchObject({ code: 'bad-argument' })
    await expect(encoder.encode(chunks, { clipSkip: -1 })).rejects.toMatchObject({ code: 'bad-argument' })
    const foreign = [{ ids: [...(description.ids[0] ?? []).slice(1), 48] }]
    await expect(encoder.encode(foreign)).rejects.toThrow(
      'made the token 48, but this text encoder knows only 48',
    )
    await expect(encoder.encode([{ ids: [1] }])).rejects.toThrow('a chunk of 1 ids')
  })

  it('tells of weights that give no numbers', async () => {
    const tensors = await tensorsOf(read('quick-gelu.safetensors'))
    tensors.set('text_model.final_layer_norm.bias', {
      dtype: 'F32',
      shape: [16],
      data: new Float32Array(16).fill(NaN),
    })
    const damaged = await load('quick-gelu', writeSafetensors(tensors))
    await expect(damaged.encode(chunks)).rejects.toMatchObject({ code: 'non-finite' })
  })

  it('lists all weights that do not fit', async () => {
    const tensors = await tensorsOf(read('quick-gelu.safetensors'))
    tensors.delete('text_model.encoder.layers.1.mlp.fc1.bias')
    tensors.set('text_model.final_layer_norm.bias', { dtype: 'F32', shape: [8], data: new Float32Array(8) })
    tensors.set('text_model.encoder.layers.3.mlp.fc1.bias', {
      dtype: 'F32',
      shape: [1],
      data: new Float32Array(1),
    })
    await expect(load('quick-gelu', writeSafetensors(tensors))).rejects.toMatchObject({
      code: 'bad-model',
      message: expect.stringMatching(
        /1 missing: "text_model.encoder.layers.1.mlp.fc1.bias"\n.*"text_model.final_layer_norm.bias" is \[8\], wanted \[16\]\n.*"text_model.encoder.layers.3.mlp.fc1.bias"/,
      ) as string,
    })
  })

  it('says so when the file holds something else', async () => {
    const file = writeSafetensors({
      'conv_in.weight': { dtype: 'F32', shape: [1], data: new Float32Array(1) },
    })
    await expect(load('quick-gelu', file)).rejects.toThrow(
      /52 missing: "text_model.embeddings.token_embedding.weight"/,
    )
  })
})

describe('readClipTextConfig', () => {
  it("fills in transformers' defaults, and finds an inner text_config", () => {
    expect(readClipTextConfig({}, 'c')).toEqual({
      vocabSize: 49408,
      hiddenSize: 512,
      intermediateSize: 2048,
      numHiddenLayers: 12,
      numAttentionHeads: 8,
      maxPositionEmbeddings: 77,
      hiddenAct: 'quick_gelu',
      layerNormEps: 1e-5,
    })
    expect(readClipTextConfig({ model_type: 'clip', text_config: { hidden_size: 64 } }, 'c').hiddenSize).toBe(
      64,
    )
  })

  it.each<[unknown, RegExp]>([
    [null, /not a JSON object/],
    [[], /not a JSON object/],
    [{ model_type: 't5' }, /of the type "t5" are not supported/],
    [{ hidden_size: 0 }, /"hidden_size" is 0, not a positive integer/],
    [{ num_hidden_layers: '12' }, /"num_hidden_layers" is "12"/],
    [{ hidden_size: 10, num_attention_heads: 3 }, /cannot be divided among 3 heads/],
    [{ hidden_act: 'relu' }, /"relu" is not supported/],
    [{ layer_norm_eps: -1 }, /"layer_norm_eps" is -1/],
  ])('refuses %j', (json, message) => {
    expect(() => readClipTextConfig(json, 'text_encoder/config.json')).toThrow(message)
    expect(() => readClipTextConfig(json, 'text_encoder/config.json')).toThrow('text_encoder/config.json')
  })

  it('refuses a context shorter than a chunk', async () => {
    const config = { ...configOf('quick-gelu'), max_position_embeddings: 32 }
    await expect(load('quick-gelu', undefined, config)).rejects.toMatchObject({ code: 'unsupported' })
  })
})
