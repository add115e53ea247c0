/**
 * Opening a ControlNet for a model: a folder in diffusers layout, or one file of either layout, which has no
 * configuration and is taken to be a copy of the model's own encoder.
 */
import type { ByteSource } from '../contract/bytes.ts'
import { AttuneError } from '../contract/errors.ts'
import {
  checkFamily,
  type ControlNetFacts,
  type EncoderFamily,
  readControlNetConfig,
} from '../controlnet/config.ts'
import { ControlNetModel, slotChannelsOf } from '../controlnet/control-net-model.ts'
import { fileLayout, layoutCursor } from '../controlnet/file-layout.ts'
import { DownBlock2D, UNetMidBlock2DCrossAttn } from '../unet/blocks.ts'
import { parseUNetConfig, type UNet2DConditionConfig } from '../unet/config.ts'
import { WeightReader } from '../weights/weight-reader.ts'
import type { DiffusionModel } from './diffusion-model.ts'
import { type ModelFolder, readJson, weightSources } from './folder.ts'

/** Which UNet a net is to guide. */
export type GuidedModel = Pick<DiffusionModel, 'unet' | 'folder'>

/**
 * Opens a net whose folder holds config.json and diffusion_pytorch_model.safetensors. Nothing is uploaded yet.
 * @throws AttuneError `bad-model`, `bad-file`, `unsupported`: incomplete, damaged, of another kind or family
 */
export async function openControlNetFolder(
  folder: ModelFolder,
  model: GuidedModel,
): Promise<ControlNetModel> {
  const { name } = folder
  const json = await readJson(folder, 'config.json')
  const sources = await weightSources(folder, '.', 'diffusion_pytorch_model')
  if (json === undefined) {
    const [file, ...more] = sources
    if (file && more.length === 0) return openControlNetFile(file, model, { name })
    throw new AttuneError(
      'bad-model',
      `${name} has no config.json.`,
      'Choose a ControlNet folder in diffusers layout.',
    )
  }
  const { facts, encoderJson } = readControlNetConfig(json, `${name}/config.json`)
  const config = parseUNetConfig(encoderJson, `${name}/config.json`)
  checkFamily(familyOf(config, config.inChannels), baseFamily(model), { net: name, base: model.folder.name })
  refuseWithoutMiddle(config, name)
  const reader = await WeightReader.open(sources)
  return build(name, config, facts, reader)
}

export interface ControlNetFileOptions {
  /** What messages call it; the file's name when absent. */
  readonly name?: string
  /** Averages the residuals over the picture; what "shuffle" in the file's name says when absent. */
  readonly globalPool?: boolean
}

/**
 * Opens one .safetensors file, in lllyasviel's layout or diffusers'.
 * @throws AttuneError `bad-model`, `bad-file`, `unsupported`: ControlLoRAs, T2I adapters and others by name
 */
export async function openControlNetFile(
  file: ByteSource,
  model: GuidedModel,
  { name = file.name, globalPool = /shuffle/i.test(file.name) }: ControlNetFileOptions = {},
): Promise<ControlNetModel> {
  const reader = await WeightReader.open([file])
  const { family, embeddingChannels, layout, prefix } = fileLayout(reader, name)
  const base = baseFamily(model)
  checkFamily(family, base, { net: name, base: model.folder.name })
  const config: UNet2DConditionConfig = { ...model.unet.config, inChannels: base.inChannels, midBlock: true }
  const facts: ControlNetFacts = { embeddingChannels, channelOrder: 'rgb', globalPool }
  return build(name, config, facts, reader, { layout, prefix })
}

function build(
  name: string,
  config: UNet2DConditionConfig,
  facts: ControlNetFacts,
  reader: WeightReader,
  layout: Pick<ReturnType<typeof fileLayout>, 'layout' | 'prefix'> = fileLayout(reader, name),
): ControlNetModel {
  const weights = layoutCursor(reader, layout, config, facts.embeddingChannels)
  const net = ControlNetModel.create(name, config, facts, weights, {
    DownBlock: DownBlock2D,
    MidBlock: UNetMidBlock2DCrossAttn,
  })
  // The first files of ControlNet are whole checkpoints, of which the net is a part.
  reader.finish(layout.prefix === '' ? {} : { allowUnread: [/^(?!control_model\.)/] })
  return net
}

function baseFamily({ unet }: GuidedModel): EncoderFamily {
  // What an inpainting model sees beside the sample, a net does not.
  return familyOf(unet.config, unet.config.outChannels)
}

function familyOf(config: UNet2DConditionConfig, inChannels: number): EncoderFamily {
  return {
    crossAttentionDim: config.crossAttentionDim,
    inChannels,
    slotChannels: slotChannelsOf(config.levels),
  }
}

function refuseWithoutMiddle(config: UNet2DConditionConfig, name: string): void {
  if (config.midBlock) return
  throw new AttuneError(
    'unsupported',
    `${name}/config.json: a ControlNet without a middle block is not supported.`,
    'Choose a ControlNet of Stable Diffusion 1.x or 2.x.',
  )
}
