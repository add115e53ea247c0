/** The words of `attune similar`; what it does stands in `commands/similar.ts`, loaded when it runs. */
import { Command, Option } from 'commander'
import { AttuneError } from '../model/contract/errors.ts'
import { type Backend, backends } from './engine.ts'
import type { CommandIO } from './io.ts'

export interface SimilarArguments {
  readonly image: string
  readonly folder: string
  readonly encoder: string
  readonly count: number
  readonly backend: Backend
  readonly json: boolean
}

interface RawOptions {
  readonly encoder?: string
  readonly count: string
  readonly backend: Backend
  readonly json?: boolean
}

const mostShown = 1000

/** `attune similar`, with its action. */
export function similarCommand(io: CommandIO): Command {
  const command = new Command('similar')
    .description('the pictures of a folder that are most like one')
    .argument('<image>', 'a picture')
    .argument('<folder>', 'where to look, with the folders below it')
    .option('--encoder <dir>', 'the CLIP vision encoder: config.json and model.safetensors')
    .option('--count <n>', 'how many to show', '10')
    .addOption(new Option('--backend <name>', 'what computes').choices(backends).default('auto'))
    .option('--json', 'JSON lines')
  command.action(async (image: string, folder: string) => {
    const args = readSimilarArguments(image, folder, command.opts<RawOptions>())
    const { similar } = await import('./commands/similar.ts')
    await similar(args, io)
  })
  return command
}

/** @throws AttuneError `bad-argument` */
export function readSimilarArguments(image: string, folder: string, raw: RawOptions): SimilarArguments {
  if (raw.encoder === undefined || raw.encoder === '') {
    throw wrong(
      'attune similar needs a CLIP vision encoder.',
      'Name its folder, such as the image_encoder of an IP-Adapter: --encoder FOLDER.',
    )
  }
  const count = /^\d{1,5}$/.test(raw.count) ? Number(raw.count) : 0
  if (count < 1 || count > mostShown) {
    throw wrong(`--count must be a whole number from 1 to ${mostShown}.`, 'Correct --count.')
  }
  return { image, folder, encoder: raw.encoder, count, backend: raw.backend, json: raw.json === true }
}

function wrong(message: string, remedy: string): AttuneError {
  return new AttuneError('bad-argument', message, remedy)
}
