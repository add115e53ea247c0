/** The host's own things as the contract shows them to a window. */
import type { HostDownload, HostJob, HostModel, HostRecipe } from '../../model/contract/host-api.ts'
import { type Recipe, toolNames } from '../../model/image/foreign-metadata/index.ts'
import type { Job } from '../jobs/runner.ts'
import { drawInputsOf } from './facts.ts'
import type { Download } from '../models/downloads.ts'
import type { LibraryModel } from '../models/library.ts'

/** The embedded model's id: settings and jobs outlive the place where it is installed. */
export const embeddedId = 'storybook'
/** As people read it. */
export const embeddedName = 'Storybook'

export function recipeView(recipe: Recipe): HostRecipe {
  return {
    ...recipe,
    toolName: toolNames[recipe.tool],
    ...(recipe.model && { model: { ...recipe.model } }),
    unknown: { ...recipe.unknown },
    notes: [...recipe.notes],
  }
}

export const familyNames: Readonly<Record<LibraryModel['family'], string>> = {
  sd1: 'Stable Diffusion 1.x',
  sd2: 'Stable Diffusion 2.x',
  sdxl: 'Stable Diffusion XL',
  'sdxl-refiner': 'Stable Diffusion XL refiner',
  sd3: 'Stable Diffusion 3',
  flux: 'FLUX',
  small: 'Small model',
  unknown: 'Unknown',
}

export function modelView(model: LibraryModel): HostModel {
  const { problems, family, role, layout, isEmbedded } = model
  const isModel = role === 'model'
  return {
    id: isEmbedded ? embeddedId : model.id,
    name: isEmbedded ? embeddedName : model.name,
    family: familyNames[family],
    ...(!isEmbedded && { path: model.path }),
    bytes: model.bytes,
    usable: isModel && layout === 'diffusers' && problems.length === 0,
    problems: [
      ...problems,
      ...(isModel ? [] : [`This is no model to draw with (${role}).`]),
      ...(isModel && layout === 'file' && problems.length === 0
        ? ['It is a single file; this version draws with folders of diffusers layout.']
        : []),
    ],
    ...(model.licence && { licence: model.licence.name }),
    embedded: isEmbedded,
    // Weights are half precision in memory, whatever they are on the disk.
    memory: model.parameters * 2,
  }
}

export function jobView(job: Job, secondsLeft: number | undefined, picture: number | undefined): HostJob {
  const { id, request, template, inputs, state, added, progress, problem } = job
  const drawn = drawInputsOf(job)
  return {
    id,
    request,
    ...(template && { template }),
    ...(inputs['model'] !== undefined && { model: inputs['model'] }),
    ...(drawn && { inputs: drawn }),
    state,
    added,
    ...(progress && { progress: { step: progress.step, steps: progress.steps } }),
    ...(picture !== undefined && { picture }),
    ...(problem && { problem }),
    ...(secondsLeft !== undefined && { secondsLeft }),
  }
}

/** Follows how fast downloads are, which they do not say themselves. */
export class DownloadViews {
  readonly #urls = new Map<string, string>()
  readonly #speeds = new Map<string, { time: number; bytes: number; perSecond?: number }>()

  setUrl(id: string, url: string): void {
    this.#urls.set(id, url)
  }

  urlOf(id: string): string | undefined {
    return this.#urls.get(id)
  }

  view(download: Download): HostDownload {
    const { id, name, state, bytes, total, problem } = download
    const bytesPerSecond = state === 'running' ? this.#speedOf(id, bytes) : undefined
    return {
      id,
      url: this.#urls.get(id) ?? '',
      name,
      state,
      received: bytes,
      ...(total !== undefined && { total }),
      ...(bytesPerSecond !== undefined && { bytesPerSecond }),
      ...(problem && { problem }),
    }
  }

  /** Over a second or more: less jumps about. */
  #speedOf(id: string, bytes: number): number | undefined {
    const time = performance.now()
    const last = this.#speeds.get(id)
    if (!last || bytes < last.bytes) {
      this.#speeds.set(id, { time, bytes })
      return undefined
    }
    if (time - last.time < 1000) return last.perSecond
    const perSecond = ((bytes - last.bytes) * 1000) / (time - last.time)
    this.#speeds.set(id, { time, bytes, perSecond })
    return perSecond
  }
}
