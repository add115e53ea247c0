/** Which engine draws and with which model: started once, opened anew when the choice changes or the seat failed. */
import { create } from 'zustand'
import { AttuneError, type ErrorRecord } from '../../model/contract/errors.ts'
import { hostPaths } from '../../model/contract/host-api.ts'
import {
  type AdapterFacts,
  openModel,
  type OpenedModel,
  type Seat,
  startEngine,
  type StartedEngine,
} from '../engine/session.ts'
import { callHost } from '../host/client.ts'
import { settings } from './settings.ts'
import { recordOf } from './ui.ts'

interface EngineState {
  readonly phase: 'starting' | 'opening' | 'ready' | 'failed'
  readonly seat: Seat
  readonly adapter: AdapterFacts | undefined
  /** No graphics adapter: pictures come from the processor. */
  readonly withoutGraphics: boolean
  /** Why there is no adapter at all. */
  readonly problem: ErrorRecord | undefined
  readonly model: OpenedModel | undefined
  readonly modelName: string
  readonly error: ErrorRecord | undefined
}

export const useEngine = create<EngineState>(() => ({
  phase: 'starting',
  seat: 'page',
  adapter: undefined,
  withoutGraphics: false,
  problem: undefined,
  model: undefined,
  modelName: '',
  error: undefined,
}))

const embedded = 'storybook'
let started: Promise<StartedEngine> | undefined
let opened: { readonly id: string; readonly done: Promise<OpenedModel> } | undefined

async function engine(): Promise<StartedEngine> {
  started ??= (async () => {
    const info = await callHost('app.info').catch(() => undefined)
    return startEngine(settings().engineSeat, info?.hostSeat !== undefined)
  })()
  const { seat, adapter, problem } = await started
  useEngine.setState({
    seat,
    adapter,
    withoutGraphics: problem !== undefined || adapter?.software === true,
    problem: problem?.toRecord(),
  })
  return started
}

/**
 * The engine with the chosen model open.
 * @throws AttuneError when neither starts; the state says the same.
 */
export async function readyEngine(): Promise<StartedEngine & { readonly model: OpenedModel }> {
  const id = settings().model ?? embedded
  try {
    const ready = await engine()
    if (opened?.id !== id) {
      const name = id === embedded ? 'Storybook' : (id.split(/[\\/]/).at(-1) ?? id)
      useEngine.setState({ phase: 'opening', modelName: name, error: undefined })
      opened = { id, done: openModel(ready, hostPaths.model(id), name) }
    }
    const model = await opened.done
    useEngine.setState({ phase: 'ready', model, error: undefined })
    return { ...ready, model }
  } catch (error) {
    opened = undefined
    useEngine.setState({ phase: 'failed', error: recordOf(error) })
    throw error
  }
}

/** Begins with a fresh seat: after a failure, or when another seat was chosen. */
export async function restartEngine(): Promise<void> {
  const before = started
  started = undefined
  opened = undefined
  useEngine.setState({ phase: 'starting', error: undefined })
  await before?.then(({ client }) => client.close()).catch(() => undefined)
  await readyEngine().catch(() => undefined)
}

/** A seat whose script failed answers nothing any more. */
export function isSeatGone(error: unknown): boolean {
  return (
    error instanceof AttuneError && error.code === 'internal' && /script|message|closed/.test(error.message)
  )
}
