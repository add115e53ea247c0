/** ControlNets of the library: what a guide can name, and where each lies. */
import { basename, dirname, join } from 'node:path'
import { AttuneError } from '../../model/contract/errors.ts'
import type { HostNet } from '../../model/contract/host-api.ts'
import type { LibraryModel } from '../models/library.ts'
import { exists } from '../write.ts'
import { familyNames } from './views.ts'

/** A network where an engine finds it: a folder in diffusers layout, or a file in a folder. */
export interface NetPlace {
  readonly folder: string
  readonly file?: string
}

/** The ControlNets among the library's finds. Every diffusers folder's file has the same name: its folder names it. */
export async function netsOf(models: readonly LibraryModel[]): Promise<Map<string, HostNet & NetPlace>> {
  const nets = new Map<string, HostNet & NetPlace>()
  for (const { id, path, role, family, bytes, layout } of models) {
    if (role !== 'controlnet') continue
    const folder = layout === 'file' ? dirname(path) : path
    const file = layout === 'file' ? basename(path) : undefined
    const isPart = file === undefined || file.startsWith('diffusion_pytorch_model')
    const isFolder = isPart && (await exists(join(folder, 'config.json')))
    // Several variants of one folder are one network: the engine chooses among them.
    const known = isFolder && [...nets.values()].some(net => net.folder === folder && net.file === undefined)
    if (known) continue
    nets.set(id, {
      id,
      name: isPart ? basename(folder) : basename(path, '.safetensors'),
      family: familyNames[family],
      path: isFolder ? folder : path,
      bytes,
      folder,
      ...(!isFolder && file !== undefined && { file }),
    })
  }
  return nets
}

export function noNet(id: string): AttuneError {
  return new AttuneError(
    'bad-model',
    `The ControlNet ${basename(id)} is not in the library.`,
    'Choose another one, or add its folder to the library.',
  )
}
