/**
 * The page's side of the engine: promises and an async iterator over the messages of `messages.ts`. It knows a Worker
 * only by the few members that it uses, so any port that carries structured clones will do.
 */
import { AttuneError } from '../contract/errors.ts'
import type { GenerateRequestInput } from '../contract/request.ts'
import type { PromptExplanation } from '../text/explain.ts'
import {
  type AdapterFacts,
  type BackendChoice,
  type EngineInputs,
  type EngineMessage,
  type EngineProgress,
  type EngineRequest,
  type EngineResult,
  type EngineWatch,
  fromErrorRecord,
  type ModelLocation,
  type OpenedModel,
  parseEngineMessage,
  type RuntimeOptions,
} from './messages.ts'

/** What is used of a Worker. */
export interface EnginePort {
  postMessage(message: unknown, transfer: Transferable[]): void
  addEventListener(type: 'message', listener: (event: MessageEvent<unknown>) => void): void
  addEventListener(type: 'error' | 'messageerror', listener: (event: Event) => void): void
  terminate?(): void
}

export interface OpenOptions {
  /** Where vocab.json and merges.txt lie when the model brings none. */
  readonly tokenizer?: string | ModelLocation
  readonly runtime?: RuntimeOptions
}

export interface GenerateOptions {
  readonly onProgress?: (progress: EngineProgress) => void
  /** One line that the person should know, such as that there is no GPU and how long it will take. */
  readonly onNotice?: (text: string) => void
  /** Stops the run after the step that it is in. */
  readonly signal?: AbortSignal
  /** `auto` unless given. */
  readonly backend?: BackendChoice
  /** Word maps, kept steps, effects. */
  readonly watch?: EngineWatch
}

/** A prompt to explain. */
export type ExplainQuestion = Omit<EngineRequest & { type: 'explain' }, 'type' | 'id'>

/** A request before the client gives it its number. */
type Question = EngineRequest extends infer Each
  ? Each extends EngineRequest
    ? Omit<Each, 'id'>
    : never
  : never

/** What a question is told before its answer. */
interface Listeners {
  readonly onProgress?: GenerateOptions['onProgress'] | undefined
  readonly onNotice?: GenerateOptions['onNotice'] | undefined
}

interface Pending extends Listeners {
  resolve(message: EngineMessage): void
  reject(error: unknown): void
}

export class EngineClient {
  /** Why this seat has no WebGPU; it draws with WebAssembly then, many times slower. Undefined when all is well. */
  readonly problem: AttuneError | undefined
  readonly adapter: AdapterFacts | undefined
  readonly #connection: Connection

  private constructor(connection: Connection, ready: EngineMessage & { type: 'ready' }) {
    this.#connection = connection
    this.adapter = ready.adapter
    this.problem = ready.error && fromErrorRecord(ready.error)
  }

  /**
   * Waits until the Worker's script runs and has looked for a GPU. Without one this resolves all the same, and
   * `problem` says why; the caller may take the host's seat.
   * @throws AttuneError `internal` when the script cannot be loaded.
   */
  static async start(port: EnginePort): Promise<EngineClient> {
    const connection = new Connection(port)
    return new EngineClient(connection, await connection.ask({ type: 'hello' }, 'ready'))
  }

  /**
   * Opens a model; the one before it is closed.
   * @param model an address (relative to the page) of a folder in diffusers layout, or chosen files.
   * @throws AttuneError `bad-model` or `bad-file` naming what is missing, `unsupported` for other families.
   */
  async open(model: string | ModelLocation, options: OpenOptions = {}): Promise<OpenedModel> {
    const opened = await this.#connection.ask(
      {
        type: 'open',
        model: locationOf(model),
        ...(options.tokenizer !== undefined && { tokenizer: locationOf(options.tokenizer) }),
        ...(options.runtime && { runtime: options.runtime }),
      },
      'opened',
    )
    return opened.model
  }

  /**
   * Draws one picture.
   * @throws AttuneError `cancelled` (or the signal's own reason) after a stop, and what the engine says otherwise.
   */
  async generate(
    request: GenerateRequestInput,
    inputs: EngineInputs = {},
    { onProgress, onNotice, signal, backend, watch }: GenerateOptions = {},
  ): Promise<EngineResult> {
    const reason = (): unknown => (signal?.reason instanceof AttuneError ? signal.reason : stopped())
    if (signal?.aborted) throw reason()
    const connection = this.#connection
    const id = connection.nextId()
    const cancel = (): void => connection.send({ type: 'cancel', id })
    signal?.addEventListener('abort', cancel)
    try {
      const done = await connection.ask(
        { type: 'generate', request, inputs, ...(watch && { watch }), ...(backend && { backend }) },
        'done',
        { id, onProgress, onNotice },
      )
      return done.result
    } catch (error) {
      throw error instanceof AttuneError && error.code === 'cancelled' && signal?.aborted ? reason() : error
    } finally {
      signal?.removeEventListener('abort', cancel)
    }
  }

  /**
   * The same as a loop over the steps: `for await (const step of client.steps(request))`. Leaving the loop stops the
   * run. The generator's return value is the result.
   */
  async *steps(
    request: GenerateRequestInput,
    inputs: EngineInputs = {},
    { signal, ...options }: Omit<GenerateOptions, 'onProgress'> = {},
  ): AsyncGenerator<EngineProgress, EngineResult> {
    const left = new AbortController()
    const waiting: EngineProgress[] = []
    let wake: (() => void) | undefined
    let ended = false
    const run = this.generate(request, inputs, {
      ...options,
      signal: signal ? AbortSignal.any([signal, left.signal]) : left.signal,
      onProgress(progress) {
        waiting.push(progress)
        wake?.()
      },
    }).finally(() => {
      ended = true
      wake?.()
    })
    // The failure is told where the result is awaited.
    run.catch(() => undefined)
    try {
      for (;;) {
        const next = waiting.shift()
        if (next) yield next
        else if (ended) return await run
        else {
          await new Promise<void>(resolve => {
            wake = resolve
          })
        }
      }
    } finally {
      left.abort()
      // The engine takes the next request only when this run is over.
      await run.catch(() => undefined)
    }
  }

  /**
   * Chunks, tokens and weights of a prompt, as the open model reads it. Also while a run goes on.
   * @throws AttuneError `bad-argument` when no model is open
   */
  async explain(question: ExplainQuestion): Promise<PromptExplanation> {
    return (await this.#connection.ask({ type: 'explain', ...question }, 'explained')).explanation
  }

  /** Frees the model and the GPU, and ends the Worker. */
  async close(): Promise<void> {
    await this.#connection.ask({ type: 'close' }, 'closed').catch(() => undefined)
    this.#connection.end()
  }
}

/** Questions and their answers by number. */
class Connection {
  readonly #port: EnginePort
  readonly #pending = new Map<number, Pending>()
  #lastId = 0
  #failure: AttuneError | undefined

  constructor(port: EnginePort) {
    this.#port = port
    port.addEventListener('message', ({ data }) => this.#receive(data))
    port.addEventListener('error', event => {
      const { message } = event as Partial<ErrorEvent>
      this.#endAll(
        new AttuneError(
          'internal',
          `The engine's script failed${message ? `: ${message}` : ' or could not be loaded'}.`,
          'Reload the window; if it happens again, report it.',
        ),
      )
    })
    port.addEventListener('messageerror', () => {
      this.#endAll(new AttuneError('internal', 'A message of the engine was lost.', 'Reload the window.'))
    })
  }

  nextId(): number {
    return ++this.#lastId
  }

  send(message: EngineRequest): void {
    if (!this.#failure) this.#port.postMessage(message, [])
  }

  /** Sends a question and waits for its answer of type `answer`. */
  ask<Type extends EngineMessage['type']>(
    question: Question,
    answer: Type,
    { id = this.nextId(), ...listeners }: { id?: number } & Listeners = {},
  ): Promise<Extract<EngineMessage, { type: Type }>> {
    return new Promise((resolve, reject) => {
      if (this.#failure) {
        reject(this.#failure)
        return
      }
      this.#pending.set(id, {
        resolve(message) {
          if (message.type === answer) resolve(message as Extract<EngineMessage, { type: Type }>)
          else
            reject(
              new AttuneError(
                'internal',
                `The engine answered ${message.type} instead of ${answer}.`,
                'Reload the window.',
              ),
            )
        },
        reject,
        ...listeners,
      })
      try {
        this.#port.postMessage({ ...question, id }, [])
      } catch (error) {
        // Inputs that cannot be cloned, such as arrays whose buffer was given away.
        this.#pending.delete(id)
        reject(error)
      }
    })
  }

  end(): void {
    this.#endAll(new AttuneError('cancelled', 'The engine was closed.', 'Start it again.'))
    this.#port.terminate?.()
  }

  #receive(data: unknown): void {
    let message: EngineMessage
    try {
      message = parseEngineMessage(data)
    } catch (error) {
      this.#endAll(error as AttuneError)
      return
    }
    if (message.type === 'error' && message.id === undefined) {
      this.#endAll(fromErrorRecord(message.error))
      return
    }
    const pending = this.#pending.get(message.id as number)
    // The answer to a question that is no longer asked.
    if (!pending) return
    if (message.type === 'progress') {
      pending.onProgress?.(message.progress)
      return
    }
    if (message.type === 'notice') {
      pending.onNotice?.(message.text)
      return
    }
    this.#pending.delete(message.id as number)
    if (message.type === 'error') pending.reject(fromErrorRecord(message.error))
    else pending.resolve(message)
  }

  /** A seat that failed outside a run cannot be trusted: every question fails, now and later. */
  #endAll(error: AttuneError): void {
    this.#failure ??= error
    const all = [...this.#pending.values()]
    this.#pending.clear()
    for (const { reject } of all) reject(error)
  }
}

const stopped = (): AttuneError =>
  new AttuneError('cancelled', 'The run was stopped.', 'Run again to start over.')

function locationOf(model: string | ModelLocation): ModelLocation {
  if (typeof model !== 'string') return model
  // The Worker's own address is that of its script.
  const base = typeof location === 'undefined' ? undefined : location.href
  return { kind: 'url', url: new URL(model, base).href }
}
