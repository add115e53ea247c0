/** The whole host in one call, for every shell: everything that it keeps, and engines for its queue and its pages. */
import { join } from 'node:path'
import type { HostApi } from '../../model/contract/host-api.ts'
import { EngineChannels } from '../server/engine-channel.ts'
import { type ByteReply, errorReply, responseOf, statusReply } from '../service/byte-reply.ts'
import { answerBytes } from '../service/byte-routes.ts'
import { readRequestBody } from '../service/request-body.ts'
import { restoreFromTrash } from '../service/desktop.ts'
import type { HostFacts } from '../service/facts.ts'
import { HostService } from '../service/service.ts'
import { SeatRunner, type SeatRunnerOptions } from './runner.ts'

/** @param seat how the engine's thread is started; a bundled shell names its entry */
export function openHost(facts: HostFacts, seat: SeatRunnerOptions = {}): Promise<HostService> {
  return HostService.open({ openRunner: context => new SeatRunner(context, seat), ...facts })
}

/** What a desktop shell lends; Electron's `ShellFunctions` are these. */
export interface DesktopShell {
  readonly version: string
  readonly folders: {
    readonly data: string
    readonly logs: string
    readonly pictures: string
    readonly assets: string
  }
  chooseFolder(title: string): Promise<string | undefined>
  reveal(path: string): Promise<void>
  openFolder(path: string): Promise<void>
  trash(path: string): Promise<void>
}

export interface DesktopHost {
  readonly api: HostApi
  /** Answers an address of `hostPaths`, `app://attune/host/…`; undefined when it has no such address. */
  bytes(request: Request): Promise<Response | undefined>
  openPicture(path: string): Promise<number>
  close(): Promise<void>
}

/** The host in a desktop shell: questions by calls, bytes by the shell's protocol. */
export async function openDesktopHost(
  shell: DesktopShell,
  options: SeatRunnerOptions = {},
): Promise<DesktopHost> {
  const { folders } = shell
  const service = await openHost(
    {
      version: shell.version,
      shell: 'electron',
      dataFolder: folders.data,
      cacheFolder: join(folders.data, 'cache'),
      picturesFolder: join(folders.pictures, 'Attune'),
      modelsFolder: join(folders.data, 'models'),
      embeddedModel: join(folders.assets, 'models', 'storybook'),
      logFolder: folders.logs,
      desktop: {
        trash: path => shell.trash(path),
        // Of the other systems' bins only their own programs bring files back.
        ...(process.platform === 'linux' && { restore: (path: string) => restoreFromTrash(path) }),
        reveal: path => shell.reveal(path),
        openFolder: path => shell.openFolder(path),
        chooseFolder: title => shell.chooseFolder(title),
      },
    },
    options,
  )
  const channels = new EngineChannels(service, options)
  return {
    api: service,
    bytes: async request => {
      const reply = await answer(service, channels, request).catch((error: unknown) => errorReply(error))
      return reply && responseOf(reply)
    },
    openPicture: path => service.openPicture(path),
    close: async () => {
      await channels.close()
      await service.close()
    },
  }
}

async function answer(
  service: HostService,
  channels: EngineChannels,
  request: Request,
): Promise<ByteReply | undefined> {
  const url = new URL(request.url)
  const path = url.pathname.slice(1)
  const { method, headers } = request
  const body = (limit: number) => readRequestBody(request, limit)
  const routed = await channels.answer(method, path, body)
  if (routed) return routed
  if (method !== 'GET' && method !== 'HEAD' && method !== 'POST')
    return statusReply(405, `${method} is not answered here.`)
  return answerBytes(service, {
    method,
    path,
    query: url.searchParams,
    header: name => headers.get(name) ?? undefined,
    body,
  })
}
