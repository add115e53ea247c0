/** The words of `attune serve`; what it does stands in `commands/serve.ts`, loaded when it runs. */
import { Command } from 'commander'
import { AttuneError } from '../model/contract/errors.ts'
import type { CommandIO } from './io.ts'

export interface ServeArguments {
  /** Of the system's choice when absent. */
  readonly port?: number
  /** Start a browser: always, never, or where somebody sits in front of a screen. */
  readonly open: boolean | 'auto'
  readonly json: boolean
}

/** `attune serve`, with its action. */
export function serveCommand(io: CommandIO, version: string): Command {
  const serving = new Command('serve')
    .description('the window in a browser of this machine; Ctrl-C ends it')
    .option('--port <n>', 'a port of 127.0.0.1 (default: one that is free)')
    .option('--open', 'start a browser, also without a terminal')
    .option('--no-browser', 'only print the address')
    .option('--json', 'JSON lines')
  serving.action(async () => {
    const args = readServeArguments(serving)
    const { serve } = await import('./commands/serve.ts')
    await serve(args, io, version)
  })
  return serving
}

/** @throws AttuneError `bad-argument` */
export function readServeArguments(command: Command): ServeArguments {
  const raw = command.opts<{ port?: string; open?: boolean; browser: boolean; json?: boolean }>()
  if (raw.open === true && !raw.browser) {
    throw new AttuneError(
      'bad-argument',
      '--open and --no-browser contradict each other.',
      'Give one of them.',
    )
  }
  return {
    ...(raw.port !== undefined && { port: parsePort(raw.port) }),
    open: raw.browser ? (raw.open ?? 'auto') : false,
    json: raw.json === true,
  }
}

function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0
  // Below 1024 is the system's.
  if (port >= 1024 && port <= 65_535) return port
  throw new AttuneError(
    'bad-argument',
    `--port must be a whole number from 1024 to 65535, but is "${text.slice(0, 40)}".`,
    'Leave it out for a port that is free.',
  )
}
