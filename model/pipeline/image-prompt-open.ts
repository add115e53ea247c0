/** Opening what image prompts need for a model: a vision encoder's folder and an adapter's file. */
import type { ByteSource } from '../contract/bytes.ts'
import { AttuneError } from '../contract/errors.ts'
import { adapterFacts } from '../ipadapter/file-layout.ts'
import { type AdaptedUNet, IPAdapterModel } from '../ipadapter/ip-adapter-model.ts'
import { readClipVisionConfig } from '../ipadapter/vision-config.ts'
import { ClipVisionModel } from '../ipadapter/vision-encoder.ts'
import { WeightReader } from '../weights/weight-reader.ts'
import type { DiffusionModel } from './diffusion-model.ts'
import { type ModelFolder, readJson, weightSources } from './folder.ts'

/** Which UNet an adapter is for. */
export type PromptedModel = Pick<DiffusionModel, 'unet' | 'folder'>

/** An adapter with the encoder that sees for it. */
export interface OpenIPAdapter {
  readonly adapter: IPAdapterModel
  readonly encoder: ClipVisionModel
}

/** Parts of a whole CLIP model that see nothing. */
const allowUnread = [/(^|\.)position_ids$/, /^text_model\./, /^text_projection\./, /^logit_scale$/]

/**
 * Opens a vision encoder whose folder holds config.json and model.safetensors (f32, f16 or bf16). Nothing is uploaded.
 * @throws AttuneError `bad-model`, `bad-file`, `unsupported`: incomplete, damaged, of another kind
 */
export async function openVisionEncoder(folder: ModelFolder): Promise<ClipVisionModel> {
  const name = `${folder.name}/config.json`
  const json = await readJson(folder, 'config.json')
  if (json === undefined) {
    throw new AttuneError(
      'bad-model',
      `${folder.name} has no config.json.`,
      'Choose the image_encoder folder of an IP-Adapter: config.json and model.safetensors.',
    )
  }
  const config = readClipVisionConfig(json, name)
  const reader = await WeightReader.open(await weightSources(folder, '.', 'model'))
  const model = ClipVisionModel.create(config, reader)
  reader.finish({ allowUnread })
  return model
}

/**
 * Opens one .safetensors file of an IP-Adapter, in the original layout or diffusers'. Nothing is uploaded yet.
 * @param names what messages call the adapter and its encoder
 * @throws AttuneError `bad-model`, `bad-file`, `unsupported`: FaceID, SDXL and others by name
 */
export async function openIPAdapterFile(
  file: ByteSource,
  model: PromptedModel,
  encoder: ClipVisionModel,
  names: { readonly adapter?: string; readonly encoder: string },
): Promise<OpenIPAdapter> {
  const { adapter: name = file.name } = names
  const reader = await WeightReader.open([file])
  const facts = adapterFacts(reader, name)
  const adapter = IPAdapterModel.create(facts, reader, adaptedUNet(model), encoder.config, {
    adapter: name,
    encoder: names.encoder,
  })
  // diffusers' layout is that of a whole UNet, which is not read here.
  reader.finish(
    facts.layout === 'original' ? {} : { allowUnread: [/^(?!encoder_hid_proj\.)(?!.*\.processor\.)/] },
  )
  return { adapter, encoder }
}

/** What an adapter must fit. */
export function adaptedUNet({ unet, folder }: PromptedModel): AdaptedUNet {
  return {
    name: folder.name,
    crossAttentionDim: unet.config.crossAttentionDim,
    layers: unet.crossAttentionLayers.map(({ path, keyOffset, valueOffset, numHeads, headDim }) => ({
      path,
      keyOffset,
      valueOffset,
      width: numHeads * headDim,
    })),
  }
}
