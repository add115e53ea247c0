/**
 * What a seat does for guides: opens the networks that they name for the model that is open, keeps them until another
 * model is, and makes hints where a preprocessor is to.
 */
import { AttuneError } from '../contract/errors.ts'
import type { ControlGuide } from '../contract/guides.ts'
import type { ControlNetModel } from '../controlnet/control-net-model.ts'
import { findPreprocessor, type HintTarget, preprocess } from '../image/preprocess/catalogue.ts'
import type { ResizeMode } from '../image/preprocess/fit.ts'
import { unknownPreprocessor } from '../image/preprocess/names.ts'
import type { Pixels } from '../image/resample.ts'
import { openControlNetFile, openControlNetFolder } from '../pipeline/control-net.ts'
import type { DiffusionModel } from '../pipeline/diffusion-model.ts'
import type { ModelFolder } from '../pipeline/folder.ts'
import type { GuideInputs } from '../pipeline/guides.ts'
import type { EngineGuideInputs, ModelLocation } from './messages.ts'

type SeatFolder = ModelFolder & { trim?(): void }

interface OpenNet {
  readonly net: ControlNetModel
  readonly folder: SeatFolder
}

export class SeatNets {
  readonly #openFolder: (location: ModelLocation) => Promise<SeatFolder>
  /** By place: two guides may share a network. */
  readonly #open = new Map<string, OpenNet>()

  constructor(openFolder: (location: ModelLocation) => Promise<SeatFolder>) {
    this.#openFolder = openFolder
  }

  /**
   * The networks and pictures of a run.
   * @param size of the drawing, for which hints are made
   * @throws AttuneError `bad-argument` for a name that nothing was given for, and what opening throws: another family,
   *   damaged, incomplete
   */
  async prepare(
    guides: readonly ControlGuide[],
    given: EngineGuideInputs | undefined,
    model: DiffusionModel,
    size: { readonly width: number; readonly height: number },
  ): Promise<GuideInputs> {
    const nets = new Map<string, ControlNetModel>()
    const pictures = new Map<string, Pixels>()
    for (const { model: name, image, resize } of guides) {
      if (!nets.has(name)) {
        const place = given?.nets.find(each => each.name === name)
        if (!place) throw notGiven('ControlNet', name)
        nets.set(name, await this.#net(place.location, name, model))
      }
      if (pictures.has(image)) continue
      const picture = given?.pictures.find(each => each.name === image)
      if (!picture) throw notGiven('picture', image)
      pictures.set(image, hintOf(picture, { ...size, mode: modeOf(resize) }))
    }
    return { guides, nets, pictures }
  }

  /** Lets go of bytes that are on the GPU now. */
  trim(): void {
    for (const { folder } of this.#open.values()) folder.trim?.()
  }

  async close(): Promise<void> {
    const all = [...this.#open.values()]
    this.#open.clear()
    await Promise.all(all.map(({ folder }) => folder.close()))
  }

  async #net(location: ModelLocation, name: string, model: DiffusionModel): Promise<ControlNetModel> {
    const key = location.kind === 'url' ? `${location.url} ${location.file ?? ''}` : undefined
    const known = key === undefined ? undefined : this.#open.get(key)
    if (known) return known.net
    const folder = await this.#openFolder(location)
    try {
      const net = await openNet(folder, location, name, model)
      // Files that a person chose have no address; they are opened for one run.
      this.#open.set(key ?? `files ${this.#open.size}`, { net, folder })
      return net
    } catch (error) {
      await folder.close()
      throw error
    }
  }
}

async function openNet(
  folder: ModelFolder,
  location: ModelLocation,
  name: string,
  model: DiffusionModel,
): Promise<ControlNetModel> {
  const file = location.kind === 'url' ? location.file : undefined
  if (file === undefined) return openControlNetFolder({ ...folder, name }, model)
  const source = await folder.source(file)
  if (source) return openControlNetFile(source, model, { name, globalPool: /shuffle/i.test(file) })
  throw new AttuneError(
    'bad-model',
    `The ControlNet ${name} is no longer there: ${file} is missing.`,
    'Choose another one, or look through the library again.',
  )
}

/** A picture as it came, or what a preprocessor makes of it. @throws AttuneError `bad-argument` */
function hintOf({ pixels, preprocessor }: EngineGuideInputs['pictures'][number], target: HintTarget): Pixels {
  if (!preprocessor) return pixels
  const one = findPreprocessor(preprocessor.name)
  if (!one) throw unknownPreprocessor(preprocessor.name, [])
  return preprocess(one, pixels, { options: preprocessor.options, target })
}

const modeOf = (resize: ControlGuide['resize']): ResizeMode => (resize === 'stretch' ? 'resize' : resize)

const notGiven = (what: string, name: string): AttuneError =>
  new AttuneError(
    'bad-argument',
    `A guide names the ${what} "${name}", which was not given.`,
    `Choose the ${what} again, or remove the guide.`,
  )
