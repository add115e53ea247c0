/** `attune preprocess`: the hint of a picture as a PNG, or the list of what makes hints. */
import { extname, resolve } from 'node:path'
import { stat } from 'node:fs/promises'
import {
  factsOf,
  listPreprocessors,
  type PreprocessorFacts,
  preprocessFile,
  writeHint,
} from '../../host/preprocess/run.ts'
import { checkWritable } from '../../host/write.ts'
import { AttuneError } from '../../model/contract/errors.ts'
import { cancelled, type CommandIO, formatSeconds, printableText, writeJson } from '../io.ts'
import type { PreprocessArguments } from '../preprocess-options.ts'

/** @throws AttuneError what keeps the hint from being made or written */
export async function preprocessPicture(args: PreprocessArguments, io: CommandIO): Promise<void> {
  const output = await chooseOutput(args, io)
  const { name } = factsOf(args.name, io.env)
  const begin = performance.now()
  const { hint, width, height, labels } = await preprocessFile({
    name,
    input: resolve(io.cwd, args.input),
    options: args.options,
    env: io.env,
    ...(args.mask !== undefined && { mask: resolve(io.cwd, args.mask) }),
    ...(args.model !== undefined && { model: resolve(io.cwd, args.model) }),
    ...(args.resolution !== undefined && { resolution: args.resolution }),
    ...(args.target && { target: args.target }),
  })
  if (io.signal.aborted) throw cancelled()
  await writeHint(output, hint, args.overwrite)
  const seconds = (performance.now() - begin) / 1000
  if (args.json) {
    writeJson(io, {
      type: 'hint',
      preprocessor: name,
      path: output,
      width: hint.width,
      height: hint.height,
      source: { width, height },
      ...(labels && { labels }),
      seconds: Math.round(seconds * 1000) / 1000,
    })
    return
  }
  io.stdout.write(
    `${printableText(`${output}: ${name}, ${hint.width}x${hint.height}, ${formatSeconds(seconds)}`)}\n`,
  )
  if (labels) io.stdout.write(`${printableText(`  ${labels.join(', ')}`)}\n`)
}

/** Settles where the hint is written, before a network runs for it. */
async function chooseOutput(
  { input, output, overwrite }: PreprocessArguments,
  io: CommandIO,
): Promise<string> {
  const path = resolve(io.cwd, output)
  if (extname(path).toLowerCase() !== '.png') {
    throw new AttuneError(
      'bad-argument',
      `${output} is not a .png name, and PNG is the only format that is written.`,
      'Give it a name that ends in .png.',
    )
  }
  if (path === resolve(io.cwd, input)) {
    throw new AttuneError(
      'bad-argument',
      'The hint would be written over its own picture.',
      'Choose another name for it.',
    )
  }
  await checkWritable(path)
  const there = await stat(path).catch(() => undefined)
  if (there && !(overwrite && there.isFile())) {
    throw new AttuneError(
      'bad-argument',
      `${path} is there already${there.isFile() ? '' : ', and is no file'}.`,
      'Choose another name, or add --overwrite to replace a file.',
    )
  }
  return path
}

/** `attune preprocess --list` */
export function listPreprocessing(json: boolean, io: CommandIO): void {
  const all = listPreprocessors(io.env)
  if (json) writeJson(io, { type: 'preprocessors', preprocessors: all })
  else io.stdout.write(`${all.flatMap(describe).map(printableText).join('\n')}\n`)
}

function describe({
  name,
  aliases,
  what,
  options,
  needsMask,
  isLearned,
  folder,
}: PreprocessorFacts): string[] {
  const lines = [`${name}${aliases.length > 0 ? ` (also ${aliases.join(', ')})` : ''}: ${what}`]
  for (const [key, spec] of Object.entries(options)) {
    const range = spec.kind === 'switch' ? '' : ` ${spec.min} to ${spec.max}, else ${spec.default}:`
    lines.push(`  --${key}${range} ${spec.what}`)
  }
  if (needsMask) lines.push('  --mask FILE: white is drawn anew')
  if (isLearned) lines.push(`  a network that you add, in ${folder} or with --model`)
  return lines
}
