/**
 * Small random-weight models of true SD 1.x and SD 2.x architecture as complete diffusers folders. What diffusers
 * computes with them lies in `test/fixtures/parity` (see `parity.ts`).
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Shape } from '../../model/tensor/shape.ts'
import { formulaTensor, formulaTensorHalf } from './formula-weights.ts'

/**
 * - `sd1`: SD 1.x: conv projections, 8 heads of 4, 8 and 12, quick_gelu, epsilon; padded with EOS.
 * - `sd2`: SD 2.x: linear projections, heads of 10, 10, 8 and 6, gelu, v_prediction; padded with "!" (id 0).
 * - `inpaint9`: sd1 with 9 input channels; its VAE attention has the old names (query, key, value, proj_attn).
 * - `story`: like the embedded model: three levels, 16 latent channels, f = 16, zero terminal SNR, trailing.
 *
 * The text encoders of sd1 and inpaint9 have keys with the prefix "text_model.", as all published checkpoints; those
 * of sd2 and story have none, as transformers 5 writes them.
 */
export const tinyKinds = ['sd1', 'sd2', 'inpaint9', 'story'] as const
export type TinyKind = (typeof tinyKinds)[number]
export type TinyComponent = 'unet' | 'vae' | 'text_encoder'

export interface TinyModel {
  readonly seed: number
  readonly textPrefix: string
  readonly legacyVae: boolean
  readonly model_index: object
  readonly unet: Readonly<Record<string, unknown>>
  readonly vae: Readonly<Record<string, unknown>>
  readonly text_encoder: Readonly<Record<string, unknown>>
  readonly scheduler: Readonly<Record<string, unknown>>
  readonly tokenizer_config: object
  readonly special_tokens_map: object
  /** Shape of each tensor by its path in diffusers' present spelling, without "text_model.". */
  readonly tensors: Readonly<Record<TinyComponent, Readonly<Record<string, Shape>>>>
}

export interface TinyTensor {
  /** Name in the model's own file. */
  readonly key: string
  readonly shape: Shape
  readonly data: Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>
}

export const parityFolder = fileURLToPath(new URL('../fixtures/parity/', import.meta.url))

interface ModelsFile {
  readonly vocab: Readonly<Record<string, number>>
  readonly merges: readonly string[]
  readonly kinds: Readonly<Record<TinyKind, TinyModel>>
}

let modelsFile: ModelsFile | undefined

function models(): ModelsFile {
  modelsFile ??= JSON.parse(readFileSync(join(parityFolder, 'models.json'), 'utf8')) as ModelsFile
  return modelsFile
}

/** The configurations and shapes of a kind. */
export function tinyModel(kind: TinyKind): TinyModel {
  return models().kinds[kind]
}

/** All tensors of one component, computed. */
export function tinyTensors(
  kind: TinyKind,
  component: TinyComponent,
  dtype: 'F32' | 'F16' = 'F32',
): TinyTensor[] {
  const model = tinyModel(kind)
  return Object.entries(model.tensors[component]).map(([path, shape]) => {
    const formula = dtype === 'F32' ? formulaTensor : formulaTensorHalf
    return {
      key: keyOnDisk(model, component, path),
      shape,
      data: formula(`${component}/${path}`, shape, model.seed),
    }
  })
}

function keyOnDisk(model: TinyModel, component: TinyComponent, path: string): string {
  if (component === 'text_encoder') return model.textPrefix + path
  if (component === 'vae' && model.legacyVae) {
    const old = { to_q: 'query', to_k: 'key', to_v: 'value', 'to_out.0': 'proj_attn' } as const
    return path.replace(
      /(attentions\.0\.)(to_q|to_k|to_v|to_out\.0)\./,
      (_, start: string, name: keyof typeof old) => `${start}${old[name]}.`,
    )
  }
  return path
}

/**
 * Writes a complete diffusers folder. Takes a tenth of a second or so; nothing of it is committed.
 * @returns `folder`
 */
export function writeTinyModel(
  kind: TinyKind,
  folder: string,
  options: { readonly dtype?: 'F32' | 'F16' } = {},
): string {
  const dtype = options.dtype ?? 'F32'
  const { vocab, merges, kinds } = models()
  const model = kinds[kind]
  const file = (path: string, content: string | Uint8Array) => {
    mkdirSync(join(folder, path, '..'), { recursive: true })
    writeFileSync(join(folder, path), content)
  }
  const json = (path: string, value: object) => file(path, JSON.stringify(value, null, 2) + '\n')
  json('model_index.json', model.model_index)
  json('scheduler/scheduler_config.json', model.scheduler)
  json('tokenizer/vocab.json', vocab)
  file('tokenizer/merges.txt', merges.join('\n') + '\n')
  json('tokenizer/tokenizer_config.json', model.tokenizer_config)
  json('tokenizer/special_tokens_map.json', model.special_tokens_map)
  for (const component of ['unet', 'vae', 'text_encoder'] as const) {
    json(`${component}/config.json`, model[component])
    const name = component === 'text_encoder' ? 'model' : 'diffusion_pytorch_model'
    file(`${component}/${name}.safetensors`, encodeSafetensors(dtype, tinyTensors(kind, component, dtype)))
  }
  return folder
}

/** A writer of its own, so that the fixtures do not depend on the code under test. */
function encodeSafetensors(dtype: 'F32' | 'F16', tensors: readonly TinyTensor[]): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } }
  let end = 0
  for (const { key, shape, data } of tensors) {
    header[key] = { dtype, shape, data_offsets: [end, (end += data.byteLength)] }
  }
  const text = JSON.stringify(header)
  const json = new TextEncoder().encode(text.padEnd(Math.ceil(text.length / 8) * 8))
  const bytes = new Uint8Array(8 + json.length + end)
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true)
  bytes.set(json, 8)
  let position = 8 + json.length
  for (const { data } of tensors) {
    bytes.set(new Uint8Array(data.buffer), position)
    position += data.byteLength
  }
  return bytes
}
