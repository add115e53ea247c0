/** Files that are something else, of another family, or damaged: each is refused by what it is. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openModelFolder } from '../../host/model-folder.ts'
import { memorySource } from '../../model/contract/bytes.ts'
import { readClipVisionConfig } from '../../model/ipadapter/vision-config.ts'
import { openIPAdapterFile, openVisionEncoder } from '../../model/pipeline/image-prompt-open.ts'
import { netBytes, safetensors } from '../support/controlnet.ts'
import {
  adapterBytes,
  openTinyAdapter,
  openTinyEncoder,
  type TinyAdapter,
  type TinyEncoder,
  tinyModels,
  writeEncoder,
} from '../support/ipadapter.ts'
import { openTinyModel } from '../support/run-case.ts'

/** A file of tensors of one element, or of a shape. */
function fileOf(...tensors: readonly (string | readonly [string, readonly number[]])[]): Uint8Array {
  return safetensors(
    tensors.map(each => {
      const [key, shape] = typeof each === 'string' ? [each, [1]] : each
      return { key, shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) }
    }),
  )
}

async function open(bytes: Uint8Array, encoder: TinyEncoder = 'quick'): Promise<unknown> {
  return openIPAdapterFile(
    memorySource('x.safetensors', bytes),
    await openTinyModel('sd1'),
    await openTinyEncoder(encoder),
    { encoder: 'clip' },
  )
}

describe('other files', () => {
  it.each([
    ['FaceID Plus', fileOf('image_proj.perceiver_resampler.proj_in.weight', 'image_proj.norm.weight')],
    ['FaceID', fileOf('image_proj.norm.weight', 'image_proj.proj.2.weight')],
    ['FaceID', fileOf('image_proj.proj.weight', 'ip_adapter.0.to_q_lora.down.weight')],
    [
      'FaceID',
      fileOf(
        ['encoder_hid_proj.image_projection_layers.0.ff.net.0.proj.weight', [8, 4]],
        ['encoder_hid_proj.image_projection_layers.0.ff.net.2.weight', [24, 8]],
        ['encoder_hid_proj.image_projection_layers.0.norm.weight', [6]],
      ),
    ],
    ['Stable Diffusion XL', fileOf('image_proj.proj.weight', 'ip_adapter.101.to_k_ip.weight')],
    ['Flux, SD3 or HunyuanDiT', fileOf('double_blocks.0.processor.ip_adapter_double_stream_k_proj.weight')],
    ['a ControlNet', netBytes('sd1-a', 'original')],
    [
      'several IP-Adapters',
      fileOf(
        'encoder_hid_proj.image_projection_layers.0.image_embeds.weight',
        'encoder_hid_proj.image_projection_layers.1.image_embeds.weight',
      ),
    ],
    ['a kind that this version does not know', fileOf('image_proj.other.weight')],
    ['no IP-Adapter: it has no image_proj (it begins with a)', fileOf('a')],
  ])('are refused by name: %s', async (words, bytes) => {
    await expect(open(bytes)).rejects.toThrow(words)
  })

  it('are refused where they are cut off', async () => {
    const whole = adapterBytes('sd1-base')
    await expect(open(whole.slice(0, 200))).rejects.toMatchObject({ code: 'bad-file' })
    await expect(open(whole.slice(0, whole.length - 40))).rejects.toMatchObject({ code: 'bad-file' })
  })

  it('are refused with what is missing, misshapen or too much', async () => {
    const { tensors } = tinyModels.adapters['sd1-base']
    const shapes = Object.entries(tensors)
    const missing = shapes.filter(([key]) => !key.endsWith('norm.bias'))
    await expect(open(fileOf(...missing))).rejects.toThrow('1 missing: "image_proj.norm.bias"')
    await expect(open(fileOf(...shapes, 'image_proj.extra'))).rejects.toThrow('not part of this network')
    const reshaped = (end: string, to: readonly number[]): [string, readonly number[]][] =>
      shapes.map(([key, shape]) => (key.endsWith(end) ? [key, to] : [key, shape]))
    await expect(open(fileOf(...reshaped('proj.weight', [7, 40])))).rejects.toThrow('no whole tokens')
    const bent = reshaped('.1.to_v_ip.weight', [32, 3])
    await expect(open(fileOf(...bent))).rejects.toThrow(
      '"ip_adapter.1.to_v_ip.weight" is [32, 3], wanted [32, 48]',
    )
  })
})

describe('families', () => {
  it('names both where the adapter is for another model', async () => {
    const model = await openTinyModel('sd1')
    const error = await openTinyAdapter('sd2-base', model).catch((each: unknown) => each)
    expect(error).toMatchObject({ code: 'bad-model' })
    expect(String(error)).toMatch(/sd2-base\.safetensors belongs to another family than .*sd1/)
    expect(String(error)).toContain('the IP-Adapter has a text width of 40')
    expect(String(error)).toContain('the model a text width of 48 and 16 layers')
  })

  it('names both where the encoder is another', async () => {
    await expect(open(adapterBytes('sd1-base'), 'gelu')).rejects.toThrow(
      'clip is not the image encoder of x.safetensors: it gives embeddings of 32 numbers, and the IP-Adapter takes 40',
    )
    await expect(open(adapterBytes('sd1-plus'), 'gelu')).rejects.toThrow('hidden states of 40 numbers')
  })

  it.each(Object.keys(tinyModels.adapters) as TinyAdapter[])('opens %s in both layouts', async name => {
    const model = await openTinyModel(tinyModels.adapters[name].kind)
    const [one, other] = [await openTinyAdapter(name, model), await openTinyAdapter(name, model, 'diffusers')]
    expect({ ...one.adapter.facts, layout: '' }).toMatchObject({
      kind: other.adapter.facts.kind,
      crossAttentionDim: other.adapter.facts.crossAttentionDim,
      featureDim: other.adapter.facts.featureDim,
    })
    expect(one.adapter.tokens).toBe(other.adapter.tokens)
  })
})

describe('vision encoders', () => {
  const whole = { ...tinyModels.encoders.quick.config }
  it.each([
    [[], 'cannot|expected|Invalid'],
    [{ ...whole, model_type: 'siglip_vision_model' }, 'type "siglip_vision_model"'],
    [{ ...whole, hidden_act: 'relu' }, 'activation "relu"'],
    [{ ...whole, num_attention_heads: 5 }, 'cannot be divided among 5 heads'],
    [{ ...whole, patch_size: 60 }, 'larger than the picture'],
    [{ ...whole, image_size: 4096, patch_size: 1 }, 'positions are more than'],
    [{ ...whole, hidden_size: -1 }, 'hidden_size'],
    [{ ...whole, num_channels: 1 }, 'num_channels: must be 3'],
  ])('refuses the configuration %#', (json, words) => {
    expect(() => readClipVisionConfig(json, 'x/config.json')).toThrow(new RegExp(words))
  })

  it('reads the vision half of a whole CLIP model', () => {
    const config = readClipVisionConfig(
      { model_type: 'clip', projection_dim: 40, vision_config: { ...whole, projection_dim: 512 } },
      'x',
    )
    expect(config).toMatchObject({ hiddenSize: 48, projectionDim: 40, imageSize: 56 })
  })

  it('refuses folders without weights, with pickles, or with other shapes', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'attune-clip-')), 'image_encoder')
    const opened = () => openModelFolder(path).then(openVisionEncoder)
    writeEncoder('quick', path, { config: { ...whole, intermediate_size: 64 } })
    await expect(opened()).rejects.toThrow('fc1.weight" is [96, 48], wanted [64, 48]')
    rmSync(join(path, 'model.safetensors'))
    await expect(opened()).rejects.toThrow('has no weights (model.safetensors)')
    writeFileSync(join(path, 'pytorch_model.bin'), 'x')
    await expect(opened()).rejects.toThrow('pickle')
    rmSync(join(path, 'config.json'))
    await expect(opened()).rejects.toThrow('has no config.json')
  })
})
