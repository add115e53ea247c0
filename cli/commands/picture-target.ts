/** Where a picture is written: names for it, and the refusal of places that could not take it. */
import { stat } from 'node:fs/promises'
import { extname, join, resolve } from 'node:path'
import { pictureName } from '../../host/picture-name.ts'
import { checkWritable, isExisting, writeFileAtomic, writeFileNew } from '../../host/write.ts'
import { AttuneError } from '../../model/contract/errors.ts'
import type { GenerateRequest } from '../../model/contract/request.ts'
import type { CommandIO } from '../io.ts'
import type { DrawArguments } from '../options.ts'

export interface Target {
  readonly path: string
  /** The person named this file: it is replaced with --overwrite, and not numbered. */
  readonly named: boolean
}

/** What a picture's own name is made of. */
type NamedRequest = Pick<GenerateRequest, 'prompt' | 'seed'>

/** Settles the picture's name, and refuses what could not be written after minutes of drawing. */
export async function chooseTarget(
  args: DrawArguments,
  request: NamedRequest,
  io: CommandIO,
): Promise<Target> {
  if (args.saveLatents !== undefined) {
    if (extname(args.saveLatents).toLowerCase() !== '.npy') {
      throw new AttuneError(
        'bad-argument',
        '--save-latents writes .npy files only.',
        'Give it a name that ends in .npy.',
      )
    }
    const path = resolve(io.cwd, args.saveLatents)
    await checkWritable(path)
    await refuseTaken(path, args.overwrite)
  }
  const target = await choosePicture(args, request, io)
  await checkWritable(target.path)
  if (target.named) await refuseTaken(target.path, args.overwrite)
  return target
}

async function choosePicture(args: DrawArguments, request: NamedRequest, io: CommandIO): Promise<Target> {
  const name = pictureName(request, io.now())
  if (args.out === undefined) return { path: resolve(io.cwd, 'out', name), named: false }
  const path = resolve(io.cwd, args.out)
  const isFolder = /[/\\]$/.test(args.out) || (await stat(path).catch(() => undefined))?.isDirectory()
  if (isFolder) return { path: join(path, name), named: false }
  if (extname(path).toLowerCase() === '.png') return { path, named: true }
  throw new AttuneError(
    'bad-argument',
    `--out ${args.out} is not a .png name, and PNG is the only format that is written.`,
    'Give it a name that ends in .png, or a folder with a slash at the end.',
  )
}

/** A file that the person names beside the picture. @throws AttuneError `bad-argument` */
export async function chooseOther(
  name: string,
  option: string,
  overwrite: boolean,
  io: CommandIO,
): Promise<Target> {
  const path = resolve(io.cwd, name)
  if (extname(path).toLowerCase() !== '.png') {
    throw new AttuneError(
      'bad-argument',
      `${option} ${name} is not a .png name, and PNG is the only format that is written.`,
      'Give it a name that ends in .png.',
    )
  }
  await checkWritable(path)
  await refuseTaken(path, overwrite)
  return { path, named: true }
}

/** An existing file is somebody's work; an empty one is a reserved name (mktemp) and may be filled. */
async function refuseTaken(path: string, overwrite: boolean): Promise<void> {
  const file = await stat(path).catch(() => undefined)
  if (!file || (file.isFile() && (overwrite || file.size === 0))) return
  const what = file.isFile() ? 'is there already' : 'is not an ordinary file'
  throw new AttuneError(
    'bad-argument',
    `${path} ${what}.`,
    'Choose another name, or add --overwrite to replace a file.',
  )
}

/** Writes a picture that was drawn. @returns where it is */
export async function writePicture(target: Target, png: Uint8Array, overwrite: boolean): Promise<string> {
  if (!target.named) return writeFileNew(target.path, png)
  const reserved = (await stat(target.path).catch(() => undefined))?.size === 0
  try {
    await writeFileAtomic(target.path, png, { overwrite: overwrite || reserved })
    return target.path
  } catch (error) {
    // Somebody took the name while we drew: the picture is kept beside it rather than lost.
    if (isExisting(error)) return writeFileNew(target.path, png)
    throw error
  }
}
