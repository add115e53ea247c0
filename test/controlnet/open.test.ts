/** Nets from folders and single files, in every layout; other files and families are refused by name. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openModelFolder } from '../../host/model-folder.ts'
import { memorySource } from '../../model/contract/bytes.ts'
import { AttuneError } from '../../model/contract/errors.ts'
import type { ControlNetModel } from '../../model/controlnet/control-net-model.ts'
import { originalName } from '../../model/controlnet/file-layout.ts'
import { type Graph, weightsOf } from '../../model/graph/ops.ts'
import { openControlNetFile, openControlNetFolder } from '../../model/pipeline/control-net.ts'
import type { Shape } from '../../model/tensor/shape.ts'
import { readAsFloat32 } from '../../model/weights/weight-reader.ts'
import {
  netConfig,
  netTensors,
  openTinyNet,
  openTinyNetFile,
  safetensors,
  type TinyNet,
  writeNet,
} from '../support/controlnet.ts'
import { openTinyModel } from '../support/run-case.ts'

const nets = [
  ['sd1', 'sd1-a'],
  ['sd2', 'sd2-a'],
  ['story', 'story-a'],
] as const

/** All graphs' weights by path, with a sum that tells one tensor from another. */
async function weightsIn(net: ControlNetModel): Promise<Map<string, number>> {
  const size = { batch: 1, height: 4, width: 4, textTokens: 77 }
  const graphs: Graph[] = [
    net.recordTimeProjections(1),
    net.recordTextKeyValues(1, 77),
    net.recordHint(4, 4),
    net.recordDenoise(size),
  ]
  const found = new Map<string, number>()
  for (const weight of graphs.flatMap(({ ops }) => ops.flatMap(op => weightsOf(op)))) {
    const values = await readAsFloat32(weight)
    found.set(
      weight.path,
      values.reduce((sum, value, i) => sum + value * ((i % 97) + 1), 0),
    )
  }
  return found
}

async function refusal(run: Promise<unknown>): Promise<AttuneError> {
  const error: unknown = await run.then(
    () => undefined,
    (caught: unknown) => caught,
  )
  expect(error).toBeInstanceOf(AttuneError)
  return error as AttuneError
}

const file = (tensors: Readonly<Record<string, Shape>>) =>
  memorySource(
    'some-file.safetensors',
    safetensors(
      Object.entries(tensors).map(([key, shape]) => ({
        key,
        shape,
        data: new Float32Array(shape.reduce((a, b) => a * b, 1)),
      })),
    ),
  )

describe('a net opens the same', () => {
  it.each(nets)('%s: from a folder and from files of all layouts', async (kind, name) => {
    const model = await openTinyModel(kind)
    const folder = await weightsIn(await openTinyNet(name, model, kind))
    expect(folder.size).toBe(Object.keys(netTensors(name)).length)
    for (const layout of ['diffusers', 'original', 'original-bare'] as const) {
      const single = await openTinyNetFile(name, model, layout)
      expect(await weightsIn(single)).toEqual(folder)
      expect(single.facts.embeddingChannels).toEqual(netConfig(name)['conditioning_embedding_out_channels'])
    }
  })

  it('under the names that diffusers’ own converter reads', () => {
    for (const [kind, name] of nets) {
      const config = netConfig(name)
      const layersPerBlock = config['layers_per_block'] as number
      const levels = (config['block_out_channels'] as number[]).map(channels => ({
        channels,
        layersPerBlock,
      }))
      const sizes = config['conditioning_embedding_out_channels'] as number[]
      for (const [path, [, original]] of Object.entries(netTensors(name))) {
        expect(originalName(path, { levels }, sizes), `${kind} ${path}`).toBe(original)
      }
    }
  })

  it('pools what is called shuffle', async () => {
    const model = await openTinyModel('sd1')
    const pooled = await openTinyNet('sd1-pool', model, 'sd1')
    expect(pooled.facts).toMatchObject({ globalPool: true, channelOrder: 'bgr' })
    expect((await openTinyNetFile('sd1-a', model, 'original')).facts.globalPool).toBe(false)
  })
})

describe('refused by name', () => {
  const refusals: [string, Readonly<Record<string, Shape>>, string][] = [
    ['ControlLoRA', { lora_controlnet: [1], 'input_blocks.0.0.weight': [1] }, 'is a ControlLoRA'],
    ['T2I adapter', { 'body.0.block1.weight': [1] }, 'is a T2I adapter'],
    ['T2I adapter of diffusers', { 'adapter.body.0.resnets.0.block1.weight': [1] }, 'is a T2I adapter'],
    ['difference', { difference: [1], 'control_model.zero_convs.0.0.weight': [1] }, 'is a difference'],
    ['SDXL', { 'label_emb.0.0.weight': [1], 'zero_convs.0.0.weight': [1] }, 'Stable Diffusion XL'],
    ['IP-Adapter', { 'image_proj.proj.weight': [1] }, 'is an IP-Adapter'],
    ['anything else', { 'first.weight': [1], 'second.bias': [1] }, 'begins with first.weight, second.bias'],
  ]
  it.each(refusals)('%s', async (_, tensors, message) => {
    const error = await refusal(openControlNetFile(file(tensors), await openTinyModel('sd1')))
    expect(error.message).toContain(message)
    expect(error.message).toContain('some-file.safetensors')
    expect(error.remedy).toBeTruthy()
  })

  it('a net of another family: both sides are named', async () => {
    const model = await openTinyModel('sd1')
    const folder = await openModelFolder(writeNet('sd2-a'))
    for (const open of [
      () => openControlNetFolder(folder, model),
      () => openTinyNetFile('sd2-a', model, 'original'),
      () => openTinyNetFile('sd2-a', model, 'diffusers'),
    ]) {
      const error = await refusal(open())
      expect(error.code).toBe('bad-model')
      expect(error.message).toContain('the ControlNet has a text width (cross_attention_dim) of 40')
      expect(error.message).toContain('the model a text width (cross_attention_dim) of 48')
      expect(error.message).toContain('40-80-96 channels in 13 slots')
      expect(error.message).toContain('32-64-96 channels in 13 slots')
    }
    await folder.close()
    const story = await refusal(openTinyNetFile('story-a', model, 'original'))
    expect(story.message).toContain('latent channels: 16')
  })

  it.each([
    ['T2IAdapter', { _class_name: 'T2IAdapter' }, 'is of a T2IAdapter'],
    ['unions', { _class_name: 'ControlNetUnionModel' }, 'ControlNetUnionModel'],
    ['SDXL', { addition_embed_type: 'text_time' }, 'addition_embed_type'],
    ['other pictures', { conditioning_channels: 4 }, 'conditioning_channels 4'],
    ['no middle', { mid_block_type: null }, 'without a middle block'],
    ['nonsense', { conditioning_embedding_out_channels: 'many' }, 'conditioning_embedding_out_channels'],
    ['a wrong size', { conditioning_embedding_out_channels: [4, 8, 12] }, 'controlnet_cond_embedding'],
  ])('configurations: %s', async (_, change, message) => {
    const model = await openTinyModel('sd1')
    const folder = await openModelFolder(writeNet('sd1-a', { ...netConfig('sd1-a'), ...change }))
    expect((await refusal(openControlNetFolder(folder, model))).message).toContain(message)
    await folder.close()
  })

  it('a folder whose config is damaged, and weights that lack a part', async () => {
    const model = await openTinyModel('sd1')
    const path = writeNet('sd1-a')
    writeFileSync(join(path, 'config.json'), '{')
    const damaged = await openModelFolder(path)
    expect((await refusal(openControlNetFolder(damaged, model))).message).toContain('not valid JSON')
    await damaged.close()
    const name: TinyNet = 'sd1-a'
    const tensors = Object.fromEntries(
      Object.entries(netTensors(name))
        .filter(([key]) => !key.startsWith('mid_block.attentions'))
        .map(([, [shape, original]]) => [`control_model.${original}`, shape]),
    )
    const error = await refusal(openControlNetFile(file(tensors), model))
    expect(error.message).toContain('missing: "mid_block.attentions.0')
  })

  it('reads a net out of a whole checkpoint', async () => {
    const model = await openTinyModel('sd1')
    const tensors = Object.fromEntries(
      Object.values(netTensors('sd1-a')).map(([shape, original]) => [`control_model.${original}`, shape]),
    )
    const net = await openControlNetFile(file({ ...tensors, 'first_stage_model.x': [2] }), model)
    expect(net.slotChannels).toHaveLength(13)
  })
})
