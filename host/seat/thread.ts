/**
 * The engine in a thread of the host: the same seat, behind the same messages, as in a page's Worker. Models are folders
 * of this machine, given as `file:` addresses by the host, which has looked them up in its library.
 */
import { fileURLToPath } from 'node:url'
import { parentPort, workerData } from 'node:worker_threads'
import { AttuneError, invariant } from '../../model/contract/errors.ts'
import { type EngineMessage, toErrorRecord, transferList } from '../../model/worker/messages.ts'
import { adapterFacts } from '../../model/worker/place.ts'
import { EngineSeat } from '../../model/worker/seat.ts'
import { openModelFolder } from '../model-folder.ts'
import { openNodeAdapter } from '../webgpu.ts'
import { openHostBackend } from './backend.ts'

/** What the host hands over at the start. */
export interface ThreadData {
  /** With it the run waits behind each message of progress until the host sets it to 0: that is how a job is paused. */
  readonly hold?: SharedArrayBuffer
}

const port = parentPort
invariant(port, 'the engine’s thread was started without a port')
const { hold } = workerData as ThreadData
const gate = hold && new Int32Array(hold)

function post(message: EngineMessage): void {
  const waits = gate && message.type === 'progress'
  if (waits) Atomics.store(gate, 0, 1)
  port?.postMessage(message, transferList(message))
  // Between two steps nothing else goes on in this thread that could be kept from going on.
  if (waits) Atomics.wait(gate, 0, 1)
}

const seat = new EngineSeat({
  describeAdapter: async () => adapterFacts(await openNodeAdapter()),
  openBackend: openHostBackend,
  openFolder(location) {
    if (location.kind === 'url' && location.url.startsWith('file:'))
      return openModelFolder(fileURLToPath(location.url))
    throw new AttuneError(
      'unsupported',
      'The host draws with models of its library only.',
      'Add the model’s folder to the library, or draw in the window.',
    )
  },
  // Where onnxruntime's own code lies is never a question of who asks: it would be run.
  prepareRuntime: () => Promise.resolve(),
  post,
})

port.on('message', (data: unknown) => void seat.handle(data))
process.on('unhandledRejection', reason => post({ type: 'error', error: toErrorRecord(reason) }))
