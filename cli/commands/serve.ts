/** `attune serve`: the host, its server on 127.0.0.1, and a browser in front of it, until Ctrl-C. */
import { spawn } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openHost } from '../../host/seat/open-host.ts'
import { type RunningServer, startServer } from '../../host/server/server.ts'
import { usualFacts } from '../../host/service/facts.ts'
import { AttuneError } from '../../model/contract/errors.ts'
import { type CommandIO, printableText, writeJson } from '../io.ts'
import type { ServeArguments } from '../serve-options.ts'

/** The built window, in the repository and in the packed application. */
export const rendererFolder = fileURLToPath(new URL('../../dist/renderer', import.meta.url))

export interface ServeOptions {
  readonly renderer?: string
  /** Starts a program without waiting for it. */
  readonly start?: (command: string, args: readonly string[]) => void
}

/** Serves until `io.signal` is aborted. */
export async function serve(
  args: ServeArguments,
  io: CommandIO,
  version: string,
  { renderer = rendererFolder, start = startProgram }: ServeOptions = {},
): Promise<void> {
  const page = await stat(join(renderer, 'index.html')).catch(() => undefined)
  if (!page?.isFile()) {
    throw new AttuneError(
      'unsupported',
      'The window has not been built.',
      'Run npm start, or build it: node node_modules/vite/bin/vite.js build --config renderer/vite.config.ts.',
    )
  }
  const service = await openHost(usualFacts({ version, shell: 'browser' }, io.env))
  try {
    const server = await startServer(service, {
      renderer,
      ...(args.port !== undefined && { port: args.port }),
    })
    try {
      // The first thing that a window asks for; finding the adapter takes as long as a browser to start.
      service.call('app.info', {}).catch(() => undefined)
      tell(server, args, io)
      const opener = browserOpener(args, io)
      if (opener) start(opener[0], [...opener[1], server.launchUrl()])
      await aborted(io.signal)
      if (!args.json) io.stderr.write('Closing.\n')
    } finally {
      await server.close()
    }
  } finally {
    await service.close()
  }
}

function tell({ url, port }: RunningServer, args: ServeArguments, io: CommandIO): void {
  if (args.json) return writeJson(io, { type: 'serving', url, port })
  io.stdout.write(`Attune is at ${printableText(url)}\n`)
  io.stderr.write('The address holds the key of this run: keep it to yourself. Ctrl-C ends it.\n')
}

/** The command that starts a browser, where there is somebody to see it. */
export function browserOpener(
  { open }: Pick<ServeArguments, 'open'>,
  io: Pick<CommandIO, 'env' | 'stdout'>,
  platform: NodeJS.Platform = process.platform,
): [command: string, args: string[]] | undefined {
  if (open === false) return undefined
  const { env, stdout } = io
  if (open === 'auto' && (!stdout.isTTY || env['CI'] || env['SSH_CONNECTION'])) return undefined
  if (platform === 'darwin') return ['open', []]
  // Not `start`, which is a word of the shell: it would read the address.
  if (platform === 'win32') return ['rundll32', ['url.dll,FileProtocolHandler']]
  return open === true || env['DISPLAY'] || env['WAYLAND_DISPLAY'] ? ['xdg-open', []] : undefined
}

function startProgram(command: string, args: readonly string[]): void {
  const child = spawn(command, args, { stdio: 'ignore', detached: true })
  // The address is printed in any case.
  child.on('error', () => undefined)
  child.unref()
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
