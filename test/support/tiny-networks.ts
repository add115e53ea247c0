/** The networks of the tiny models, built from their files as a pipeline would. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { memorySource } from '../../model/contract/bytes.ts'
import { parseUNetConfig } from '../../model/unet/config.ts'
import { UNet2DConditionModel } from '../../model/unet/unet-2d-condition-model.ts'
import { AutoencoderKL } from '../../model/vae/autoencoder-kl.ts'
import { parseVaeConfig } from '../../model/vae/config.ts'
import { WeightReader } from '../../model/weights/weight-reader.ts'
import { type TinyKind, writeTinyModel } from './tiny-models.ts'

export interface TinyNetworks {
  readonly unet: UNet2DConditionModel
  readonly vae: AutoencoderKL
}

/** Builds both networks; every tensor of both files has been read, and nothing is left on disk. */
export async function tinyNetworks(kind: TinyKind): Promise<TinyNetworks> {
  const folder = mkdtempSync(join(tmpdir(), `attune-${kind}-`))
  try {
    writeTinyModel(kind, folder)
    const open = async (component: string): Promise<{ config: unknown; weights: WeightReader }> => {
      const bytes = readFileSync(join(folder, component, 'diffusion_pytorch_model.safetensors'))
      return {
        config: JSON.parse(readFileSync(join(folder, component, 'config.json'), 'utf8')),
        weights: await WeightReader.open([memorySource(component, bytes)]),
      }
    }
    const unetFiles = await open('unet')
    const vaeFiles = await open('vae')
    const unet = UNet2DConditionModel.create(parseUNetConfig(unetFiles.config), unetFiles.weights)
    const vae = AutoencoderKL.create(parseVaeConfig(vaeFiles.config), vaeFiles.weights)
    unetFiles.weights.finish()
    vaeFiles.weights.finish()
    return { unet, vae }
  } finally {
    rmSync(folder, { recursive: true })
  }
}
