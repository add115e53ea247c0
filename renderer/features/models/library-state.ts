/** The library as the host lists it, with its downloads; and whether a model fits this machine. */
import { create } from 'zustand'
import type { ErrorRecord } from '../../../model/contract/errors.ts'
import type { HostDownload, HostModel } from '../../../model/contract/host-api.ts'
import { callHost, host } from '../../host/client.ts'
import { recordOf, reportError, tell } from '../../state/ui.ts'
import { strings } from '../../strings/index.ts'

interface LibraryState {
  readonly phase: 'loading' | 'ready' | 'failed'
  readonly error: ErrorRecord | undefined
  readonly models: readonly HostModel[]
  readonly downloads: readonly HostDownload[]
  /** Bytes of this machine; 0 where it is not known. */
  readonly memory: number
  /** The window of the shell can ask for a folder with the system's dialog. */
  readonly hasDialog: boolean
}

export const useLibrary = create<LibraryState>(() => ({
  phase: 'loading',
  error: undefined,
  models: [],
  downloads: [],
  memory: 0,
  hasDialog: false,
}))

export async function loadLibrary(): Promise<void> {
  try {
    const [{ models }, info] = await Promise.all([callHost('models.list'), callHost('app.info')])
    useLibrary.setState({
      phase: 'ready',
      error: undefined,
      models,
      memory: info.memory,
      hasDialog: info.shell === 'electron',
    })
  } catch (error) {
    useLibrary.setState({ phase: 'failed', error: recordOf(error) })
  }
}

async function loadDownloads(): Promise<void> {
  const { downloads } = await callHost('downloads.list').catch(() => ({ downloads: [] }))
  useLibrary.setState({ downloads })
}

/** Follows the host while the screen is shown. @returns ends it */
export function followLibrary(): () => void {
  void loadLibrary()
  void loadDownloads()
  return host().subscribe(event => {
    if (event.type === 'models') void loadLibrary()
    if (event.type !== 'download') return
    const { download } = event
    useLibrary.setState(({ downloads }) => ({
      downloads: downloads.some(({ id }) => id === download.id)
        ? downloads.map(each => (each.id === download.id ? download : each))
        : [...downloads, download],
    }))
  })
}

/** @param path without one, the shell asks with its dialog. @returns whether a folder was added */
export async function addFolder(path?: string): Promise<boolean> {
  const before = useLibrary.getState().models.length
  try {
    const { models, cancelled } = await callHost('models.addFolder', path === undefined ? {} : { path })
    if (cancelled) return false
    useLibrary.setState({ models })
    const { models: words } = strings()
    const found = models.length - before
    tell(found > 0 ? { tone: 'good', text: words.added(found) } : { tone: 'info', text: words.addedNone })
    return true
  } catch (error) {
    reportError(error)
    return false
  }
}

export async function removeFolder(path: string): Promise<void> {
  try {
    await callHost('models.removeFolder', { path })
    tell({ tone: 'info', text: strings().models.removedFolder })
    await loadLibrary()
  } catch (error) {
    reportError(error)
  }
}

export async function startDownload(url: string): Promise<boolean> {
  try {
    await callHost('downloads.start', { url })
    await loadDownloads()
    return true
  } catch (error) {
    reportError(error)
    return false
  }
}

export async function stopDownload(id: string): Promise<void> {
  await callHost('downloads.cancel', { id }).then(loadDownloads, reportError)
}

/** Holds it; `retryDownload` goes on with what has come. */
export async function pauseDownload(id: string): Promise<void> {
  await callHost('downloads.pause', { id }).then(loadDownloads, reportError)
}

export async function retryDownload(id: string): Promise<void> {
  await callHost('downloads.retry', { id }).then(loadDownloads, reportError)
}

/** Beside the weights: activations, text encoder, the program, the system. */
const beside = 1.5e9

/** Weights and what drawing needs beside them, in bytes; undefined when the weights are not known. */
export function needOf(model: HostModel): number | undefined {
  if (!model.memory) return undefined
  // Activations grow with the model; a quarter of the weights is what pictures of the model's own size take.
  return model.memory * 1.25 + (model.embedded ? 2e8 : beside)
}

export function fitOf(model: HostModel, memory: number): 'fits' | 'tight' | 'not' | 'unknown' {
  const need = needOf(model)
  if (need === undefined || memory === 0) return 'unknown'
  if (need > memory) return 'not'
  return need > memory * 0.7 ? 'tight' : 'fits'
}
