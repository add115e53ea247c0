/** What a shell (the desktop's, the loopback server, a test) tells the host about the place that it works in. */
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type DrawInputs, drawInputsSchema, hasNoInputs } from '../../model/contract/inputs.ts'
import type { Pixels } from '../../model/image/resample.ts'
import type { Job, JobInputs, JobRunner } from '../jobs/runner.ts'
import { cacheFolder } from '../model-hash.ts'
import type { HttpPolicy } from '../models/http.ts'
import { dataFolder } from '../settings/settings.ts'
import { type Desktop, systemDesktop } from './desktop.ts'
import type { NetPlace } from './nets.ts'

export interface HostFacts {
  readonly version: string
  readonly shell: 'electron' | 'browser'
  /** Settings, index, queue. */
  readonly dataFolder: string
  /** Thumbnails; may be deleted at any time. */
  readonly cacheFolder: string
  /** Where pictures are saved when the settings do not say. */
  readonly picturesFolder: string
  /** Where downloads go: always a folder of the library. */
  readonly modelsFolder: string
  /** The model that comes with Attune, where it is installed. */
  readonly embeddedModel?: string
  readonly desktop: Desktop
  /** Draws queued jobs; without one there is no queue. */
  readonly openRunner?: (context: RunnerContext) => HostRunner
  /** Where log files go; nothing is logged without one. */
  readonly logFolder?: string
  /** Of downloads: what servers may be asked. */
  readonly network?: HttpPolicy
  readonly now?: () => Date
}

/** What a runner asks of the host. */
export interface RunnerContext {
  readonly version: string
  readonly now: () => Date
  /** @throws AttuneError `bad-model` when there is none, or it cannot be drawn with */
  findModel(id: string | undefined): Promise<RunnerModel>
  /** A ControlNet of the library. @throws AttuneError `bad-model` when it is not there any more */
  findNet(id: string): Promise<NetPlace>
  /** A kept picture. @throws AttuneError `bad-file` when it is not kept any more */
  readInput(key: string, what: string): Promise<Pixels>
}

export interface RunnerModel {
  readonly id: string
  readonly name: string
  readonly path: string
  readonly isEmbedded: boolean
}

export interface HostRunner extends JobRunner {
  /** The adapter that it draws with; undefined when there is none. May start the engine. */
  describe(): Promise<{ readonly name: string; readonly backend: string } | undefined>
  /** Called when nothing is left to draw: memory can be given back. */
  rest(): void
  close(): Promise<void>
}

/** What a job takes in beside its request, as JSON among its inputs. */
const drawInputsRole = 'draw'

export function withDrawInputs(inputs: JobInputs, drawn: DrawInputs | undefined): JobInputs {
  return drawn && !hasNoInputs(drawn) ? { ...inputs, [drawInputsRole]: JSON.stringify(drawn) } : inputs
}

/** Undefined where it takes in nothing. Written by us, so that what cannot be read is as good as absent. */
export function drawInputsOf(job: Job): DrawInputs | undefined {
  const text = job.inputs[drawInputsRole]
  if (text === undefined) return undefined
  try {
    return drawInputsSchema.safeParse(JSON.parse(text)).data
  } catch {
    return undefined
  }
}

/** The id of the model that a job was added with. */
export const modelOfJob = (job: Job): string | undefined => job.inputs['model']

/** The usual places of this user on this system. */
export function usualFacts(
  given: Pick<HostFacts, 'version' | 'shell'> & Partial<HostFacts>,
  env: Readonly<Record<string, string | undefined>> = process.env,
): HostFacts {
  const data = dataFolder(env)
  return {
    dataFolder: data,
    cacheFolder: cacheFolder(env),
    picturesFolder: join(env['HOME'] ?? homedir(), 'Pictures', 'Attune'),
    modelsFolder: join(data, 'models'),
    embeddedModel: fileURLToPath(new URL('../../assets/models/storybook', import.meta.url)),
    desktop: systemDesktop({ env }),
    logFolder: join(data, 'logs'),
    ...given,
  }
}
