/**
 * The seam between the queue and whatever draws: the engine in this process, a worker of the host, the page. The queue
 * hands over a job and gets a finished PNG, record included; it knows nothing of models or adapters.
 */
import type { ErrorRecord } from '../../model/contract/errors.ts'
import type { PromptTemplate } from '../../model/contract/prompt.ts'
import type { GenerateRequest } from '../../model/contract/request.ts'

/** Files that take part, by role: `model`, `init`, `mask`, `latents` … → path or id. Never the bytes. */
export type JobInputs = Readonly<Record<string, string>>

export const jobStates = ['queued', 'running', 'paused', 'done', 'failed', 'cancelled'] as const
export type JobState = (typeof jobStates)[number]

export interface Job {
  readonly id: string
  readonly request: GenerateRequest
  readonly inputs: JobInputs
  /** What the prompts were drawn from, for the picture's record. */
  readonly template?: PromptTemplate
  readonly state: JobState
  /** When it was added, ISO 8601. For display only: the order is the queue's. */
  readonly added: string
  /** Of a job that is drawn now. */
  readonly progress?: JobProgress
  /** The picture of a job that is done. */
  readonly file?: string
  /** Why it failed, or why it waits. */
  readonly problem?: ErrorRecord
}

export interface JobProgress {
  /** Finished steps, 0 … steps. */
  readonly step: number
  readonly steps: number
}

export interface JobHooks {
  onProgress(progress: JobProgress): void
  /** One line that the person should know. */
  onNotice(text: string): void
  /** Aborted when the job is cancelled, with an AttuneError `cancelled` as its reason. */
  readonly signal: AbortSignal
  /**
   * To be awaited between two steps: returns at once, or, while the job is paused, when it goes on.
   * @throws AttuneError `cancelled`
   */
  checkpoint(): Promise<void>
}

export interface JobResult {
  /** The finished file, with its record. */
  readonly png: Uint8Array
  readonly steps: number
  readonly width: number
  readonly height: number
  /** Milliseconds of the denoising loop, for estimates. */
  readonly denoiseMilliseconds?: number
}

export interface JobRunner {
  /** @throws AttuneError; `cancelled` when the signal was aborted */
  run(job: Job, hooks: JobHooks): Promise<JobResult>
}
