/**
 * The command line: which command, with what, and one exit code for how it went (0 done, 1 failed, 2 wrong
 * arguments, 130 cancelled). Everything it touches is passed in, so tests run it in memory.
 */
import { Command, CommanderError } from 'commander'
import { readFile } from 'node:fs/promises'
import { AttuneError } from '../model/contract/errors.ts'
import { editCommand, readEditArguments } from './edit-options.ts'
import type { Engine } from './engine.ts'
import { cancelled, type CommandIO, exitCodeOf, exitCodes, reportError, type TextStream } from './io.ts'
import { mapsCommand } from './maps-options.ts'
import { explainCommand, generateCommand, readExplainArguments, readGenerateArguments } from './options.ts'
import { preprocessCommand } from './preprocess-options.ts'
import { serveCommand } from './serve-options.ts'
import { similarCommand } from './similar-options.ts'

/**
 * Runs one command line.
 * @param argv words after the program's name
 * @returns the exit code; never throws
 */
export async function main(argv: readonly string[], io: CommandIO, engine?: Engine): Promise<number> {
  const json = wantsJson(argv)
  try {
    return await run(argv, io, engine)
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return exitCodes.done
    // Whatever broke because of it: the person asked to stop, and that is what is said.
    const said = io.signal.aborted ? cancelled() : error instanceof CommanderError ? translate(error) : error
    reportError(io, said, json)
    return exitCodeOf(said)
  }
}

async function run(argv: readonly string[], io: CommandIO, engine: Engine | undefined): Promise<number> {
  const version = await readVersion()
  let code: number = exitCodes.done
  const program = new Command('attune')
    .description('Pictures from words, drawn on this machine.')
    .version(version, '-V, --version', 'print the version')
    .helpCommand('help [command]', 'explain a command')

  const generation = generateCommand()
  // Commands load what they need when they run: --help and refusals answer at once.
  generation.action(async (prompt: string) => {
    const args = readGenerateArguments(prompt, generation)
    const { generate } = await import('./commands/generate.ts')
    await generate(args, io, engine ?? (await import('./local-engine.ts')).localEngine, version)
  })
  program.addCommand(generation)

  const editing = editCommand()
  editing.action(async (picture: string) => {
    const args = readEditArguments(picture, editing)
    const { edit } = await import('./commands/edit.ts')
    await edit(args, io, engine ?? (await import('./local-engine.ts')).localEngine, version)
  })
  program.addCommand(editing)

  const explaining = explainCommand()
  explaining.action(async (prompt: string) => {
    const args = readExplainArguments(prompt, explaining)
    const { explain } = await import('./commands/explain.ts')
    await explain(args, io)
  })
  program.addCommand(explaining)

  const models = program.command('models').description('look at models')
  const inspection = models
    .command('inspect')
    .description('what a model folder or file holds, and what is missing')
    .argument('<path>', 'a diffusers folder or a .safetensors file')
    .option('--json', 'one JSON line')
    .action(async (path: string) => {
      const { inspect } = await import('./commands/models.ts')
      code = await inspect(path, inspection.opts<{ json?: boolean }>().json === true, io)
    })

  program.addCommand(mapsCommand(io))

  const doctoring = program
    .command('doctor')
    .description('what this machine has, what is missing, and how to get it')
    .option('--json', 'JSON lines')
    .action(async () => {
      const { doctor } = await import('./commands/doctor.ts')
      code = await doctor(doctoring.opts<{ json?: boolean }>().json === true, io)
    })

  const benching = program
    .command('bench')
    .description('measure this machine')
    .argument('[names...]', 'which benchmarks (default: all)')
    .option('--json', 'JSON lines')
    .action(async (names: string[]) => {
      const { bench } = await import('./commands/bench.ts')
      code = await bench(names, benching.opts<{ json?: boolean }>().json === true, io)
    })

  program.addCommand(preprocessCommand(io))
  program.addCommand(similarCommand(io))
  program.addCommand(serveCommand(io, version))

  configure(program, io)
  if (argv.length === 0) {
    program.outputHelp()
    return code
  }
  await program.parseAsync([...argv], { from: 'user' })
  return code
}

/** Errors come to us instead of ending the process; help goes to our streams. Applies to the commands below too. */
function configure(command: Command, io: CommandIO): void {
  command.exitOverride().configureOutput({
    writeOut: text => io.stdout.write(text),
    // Errors are said by `reportError`, in one form for all.
    writeErr: () => undefined,
    getOutHelpWidth: () => io.stdout.columns,
  })
  for (const child of command.commands) configure(child, io)
}

/** Commander's English into ours: what, why, what to do. */
function translate(error: CommanderError): AttuneError {
  if (error.code === 'commander.help') {
    return new AttuneError('bad-argument', 'A command is missing.', 'Run attune help to see what there is.')
  }
  const [first = '', ...rest] = error.message.replace(/^error: /, '').split('\n')
  const suggestion = /Did you mean (.+)\?\)/.exec(rest.join(' '))?.[1]
  const remedies: Readonly<Record<string, string>> = {
    'commander.missingArgument':
      'Name a picture, or put the prompt in quotes: attune generate "a red car under a blue sky".',
    'commander.excessArguments': 'Put words with spaces in quotes, as one argument.',
    'commander.unknownCommand': 'Run attune help to see what there is.',
  }
  const remedy = suggestion
    ? `Did you mean ${suggestion}?`
    : (remedies[error.code] ?? 'Run the command with --help to see what it takes.')
  const message = first || 'The arguments cannot be understood.'
  const sentence = message.charAt(0).toUpperCase() + message.slice(1)
  return new AttuneError('bad-argument', /[.!?]$/.test(sentence) ? sentence : `${sentence}.`, remedy, {
    cause: error,
  })
}

/** Looked for before parsing, so that errors of parsing are JSON too. A prompt after `--` may be called --json. */
function wantsJson(argv: readonly string[]): boolean {
  const end = argv.indexOf('--')
  return (end < 0 ? argv : argv.slice(0, end)).includes('--json')
}

async function readVersion(): Promise<string> {
  const manifest: unknown = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8'))
  return (manifest as { version: string }).version
}

/** Presses of Ctrl-C closer than this are one: a terminal sends it to npm and to us, and npm passes it on. */
const onePressMilliseconds = 500

/** Runs the command line of this process, with its arguments, streams and signals. */
export async function runProcess(engine?: Engine): Promise<void> {
  const controller = new AbortController()
  let firstPress = 0
  const stop = () => {
    const now = Date.now()
    if (!controller.signal.aborted) {
      firstPress = now
      controller.abort(cancelled())
    } else if (now - firstPress > onePressMilliseconds) {
      // A second Ctrl-C: whatever is hanging, end now. Files under their final names are whole at any moment.
      process.exit(exitCodes.cancelled)
    }
  }
  process.on('SIGINT', stop)
  process.on('SIGTERM', stop)
  // `attune … | head`: the reader has gone, which is no error of ours.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(exitCodes.done)
    throw error
  })
  const io: CommandIO = {
    stdout: streamOf(process.stdout),
    stderr: streamOf(process.stderr),
    cwd: process.cwd(),
    env: process.env,
    now: () => new Date(),
    signal: controller.signal,
  }
  process.exitCode = await main(process.argv.slice(2), io, engine)
  process.off('SIGINT', stop)
  process.off('SIGTERM', stop)
}

function streamOf(stream: NodeJS.WriteStream): TextStream {
  return {
    write: text => void stream.write(text),
    isTTY: stream.isTTY === true,
    get columns() {
      return stream.columns ?? 80
    },
  }
}
