/**
 * The window's one engine: starts a seat (this page's Worker, or the host's), opens models, and starts anew when a seat
 * fails. Everything else talks to the `EngineClient` that it hands out.
 */
import { AttuneError } from '../../model/contract/errors.ts'
import { EngineClient, type EnginePort } from '../../model/worker/client.ts'
import type { AdapterFacts, OpenedModel } from '../../model/worker/messages.ts'

export type { GenerateOptions } from '../../model/worker/client.ts'
export type {
  AdapterFacts,
  EngineProgress,
  EngineResult,
  EngineWatch,
  OpenedModel,
} from '../../model/worker/messages.ts'
export type { PromptExplanation } from '../../model/text/explain.ts'
export type { Pixels } from '../../model/image/resample.ts'

export type Seat = 'page' | 'host'

/** What `engine/host-port.ts` gives: a port to the engine that runs in the host. */
interface HostPortModule {
  openHostPort(): EnginePort | Promise<EnginePort>
}

export interface StartedEngine {
  readonly client: EngineClient
  readonly seat: Seat
  readonly adapter: AdapterFacts | undefined
  /** Why there is no graphics adapter; the seat draws on the processor then. */
  readonly problem: AttuneError | undefined
}

// The file may be missing, as in a window without a host.
const hostPorts = import.meta.glob<HostPortModule>('./host-port.ts')

/** @param hostHasSeat the host said that it can draw */
export async function startEngine(
  wish: 'auto' | 'page' | 'host',
  hostHasSeat: boolean,
): Promise<StartedEngine> {
  if (wish === 'host') return startHost()
  const page = await startPage()
  const isWeak = page.adapter === undefined || page.adapter.software
  if (wish === 'page' || !isWeak || !hostHasSeat) return page
  try {
    const host = await startHost()
    if (host.adapter && !host.adapter.software) {
      void page.client.close()
      return host
    }
    void host.client.close()
  } catch {
    // The page's own seat works all the same.
  }
  return page
}

async function startPage(): Promise<StartedEngine> {
  const worker = new Worker(new URL('../../model/worker/engine.ts', import.meta.url), {
    type: 'module',
    name: 'engine',
  })
  const client = await EngineClient.start(worker as EnginePort)
  return { client, seat: 'page', adapter: client.adapter, problem: client.problem }
}

async function startHost(): Promise<StartedEngine> {
  const load = hostPorts['./host-port.ts']
  if (!load) {
    throw new AttuneError('unsupported', 'This host cannot draw.', 'Choose the seat in this window.')
  }
  const { openHostPort } = await load()
  const client = await EngineClient.start(await openHostPort())
  return { client, seat: 'host', adapter: client.adapter, problem: client.problem }
}

/** Opens a model by its address relative to the page. */
export function openModel(engine: StartedEngine, address: string, name: string): Promise<OpenedModel> {
  const url = new URL(address, document.baseURI).href
  const runtime = {
    wasmPaths: new URL('ort/', document.baseURI).href,
    threads: crossOriginIsolated ? Math.max(1, Math.min(4, navigator.hardwareConcurrency - 1)) : 1,
  }
  return engine.client.open(
    { kind: 'url', url, name },
    // Only the page's seat loads onnxruntime by address.
    engine.seat === 'page' ? { runtime } : {},
  )
}
