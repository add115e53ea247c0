/** Guides as cards change them, and the ControlNets that the library has. */
import { create } from 'zustand'
import type { HostModel, HostNet } from '../../../model/contract/host-api.ts'
import { callHost, host } from '../../host/client.ts'
import { type GuideDraft, keepPicture, setGuideCheck } from '../../state/inputs.ts'
import { changeRequest, draft } from '../../state/request.ts'
import { settings } from '../../state/settings.ts'
import { reportError } from '../../state/ui.ts'
import { strings } from '../../strings/index.ts'

interface NetsState {
  readonly nets: readonly HostNet[]
  readonly models: readonly HostModel[]
  readonly isLoaded: boolean
}

export const useNets = create<NetsState>(() => ({ nets: [], models: [], isLoaded: false }))

async function loadNets(): Promise<void> {
  try {
    const { nets, models } = await callHost('models.list')
    useNets.setState({ nets, models, isLoaded: true })
  } catch (error) {
    useNets.setState({ isLoaded: true })
    reportError(error)
  }
}

/** Follows the library while cards are shown. @returns ends it */
export function followNets(): () => void {
  void loadNets()
  return host().subscribe(event => {
    if (event.type === 'models') void loadNets()
  })
}

/** The model that draws, as the library knows it. */
export function chosenModel({ models }: NetsState): HostModel | undefined {
  const id = settings().model
  return models.find(model => (id === null ? model.embedded : model.id === id))
}

/** Why a guide cannot act with what is chosen, in a sentence; undefined where it can. */
export function whyNot(guide: GuideDraft, state: NetsState): string | undefined {
  const { inputs } = strings()
  if (!guide.net || !state.isLoaded) return undefined
  const net = state.nets.find(({ id }) => id === guide.net?.id)
  if (!net) return inputs.netGone(guide.net.name)
  const model = chosenModel(state)
  if (!model || model.family === net.family) return undefined
  return inputs.wrongFamily(net.name, net.family, model.name, model.family)
}

// A guide that says that it does not act is not sent either.
setGuideCheck(guide => whyNot(guide, useNets.getState()) !== undefined)

/** A new card, with the first network that fits, and the source where there is one. */
export async function addGuide(): Promise<void> {
  if (!useNets.getState().isLoaded) await loadNets()
  const { nets } = useNets.getState()
  const model = chosenModel(useNets.getState())
  const { source } = draft()
  const fitting = nets.find(({ family }) => family === model?.family)
  const guide: GuideDraft = {
    id: crypto.randomUUID(),
    net: fitting && { id: fitting.id, name: fitting.name, file: fitting.file },
    picture: source && { key: source.key, name: source.name, width: source.width, height: source.height },
    preprocessor: undefined,
    weight: 1,
    start: 0,
    end: 1,
    mode: 'balanced',
    resize: 'crop',
    enabled: true,
  }
  changeRequest({ guides: [...draft().guides, guide] })
}

/** @param kind as of `changeRequest`: sliders are one step of the history */
export function changeGuide(id: string, patch: Partial<GuideDraft>, kind?: string): void {
  const guides = draft().guides.map(guide => (guide.id === id ? { ...guide, ...patch } : guide))
  changeRequest({ guides }, kind === undefined ? undefined : `guide ${id} ${kind}`)
}

export function removeGuide(id: string): void {
  changeRequest({ guides: draft().guides.filter(guide => guide.id !== id) })
}

export async function takeGuidePicture(id: string, file: File): Promise<void> {
  try {
    changeGuide(id, { picture: await keepPicture(file, file.name) })
  } catch (error) {
    reportError(error)
  }
}
