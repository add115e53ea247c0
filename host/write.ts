/**
 * Writing files so that a crash, a full disk or Ctrl-C never leaves half of one: into a temporary name in the same
 * folder, flushed to the disk, then renamed (or linked, where nothing may be replaced).
 */
import { randomBytes } from 'node:crypto'
import { access, constants, link, mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, extname, join } from 'node:path'
import { AttuneError } from '../model/contract/errors.ts'
import { errorNumber, writeFailure } from './disk-errors.ts'

export interface WriteOptions {
  /** Replace a file of that name. Otherwise an existing one is an error, even if it appears at the last moment. */
  readonly overwrite?: boolean
}

/**
 * Writes a whole file or nothing. Makes the folder.
 * @throws AttuneError `disk-full`, or `bad-file` naming the cause; an existing file without `overwrite` has the cause `EEXIST`
 */
export async function writeFileAtomic(
  path: string,
  bytes: Uint8Array,
  options: WriteOptions = {},
): Promise<void> {
  const folder = dirname(path)
  // The tag keeps two writers apart; the dot hides what a power cut may leave.
  const temporary = join(
    folder,
    `.${basename(path).slice(0, 80)}.${process.pid}.${randomBytes(4).toString('hex')}.tmp`,
  )
  try {
    await makeFolder(folder)
    const file = await open(temporary, 'wx')
    try {
      await file.writeFile(bytes)
      await file.sync()
    } finally {
      await file.close()
    }
    if (options.overwrite) await retrying(() => rename(temporary, path))
    else await publishNew(temporary, path)
    await syncFolder(folder)
  } catch (error) {
    throw writeFailure(error, path, 'Choose another place with --out.')
  } finally {
    // Its failure (the folder has gone) must not hide the error that is on its way.
    await rm(temporary, { force: true }).catch(() => undefined)
  }
}

/**
 * Writes under the first free name: `picture.png`, `picture-2.png`, …
 * @returns the path that was written
 */
export async function writeFileNew(path: string, bytes: Uint8Array): Promise<string> {
  const extension = extname(path)
  const stem = path.slice(0, path.length - extension.length)
  for (let number = 1; number < 10_000; number++) {
    const candidate = number === 1 ? path : `${stem}-${number}${extension}`
    if (await exists(candidate)) continue
    try {
      await writeFileAtomic(candidate, bytes)
      return candidate
    } catch (error) {
      if (!isExisting(error)) throw error
    }
  }
  throw new AttuneError(
    'bad-file',
    `There are 10,000 files named like ${path}.`,
    'Choose another name with --out.',
  )
}

export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  )
}

/** Whether a write failed because the file is already there. */
export function isExisting(error: unknown): boolean {
  return error instanceof AttuneError && errorNumber(error.cause) === 'EEXIST'
}

/**
 * Makes a folder and those above it. Not by Node's `recursive`, which never returns where a folder that exists
 * answers ENOENT, as /proc does.
 */
async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path)
  } catch (error) {
    const code = errorNumber(error)
    // Roots of drives answer EPERM or EISDIR.
    const there = await stat(path).catch(() => undefined)
    if (there?.isDirectory()) return
    // Not EEXIST, which would read as "the name of the file is taken".
    if (there) throw Object.assign(new Error(`${path} is not a folder`), { code: 'ENOTDIR', cause: error })
    const parent = dirname(path)
    if (code !== 'ENOENT' || parent === path || (await exists(parent))) throw error
    await makeFolder(parent)
    await mkdir(path).catch((late: unknown) => {
      // Somebody else made it in between.
      if (errorNumber(late) !== 'EEXIST') throw late
    })
  }
}

/**
 * Looks whether a file could be written at a path, without touching anything: for runs of minutes that should not
 * fail at their end.
 * @throws AttuneError `bad-argument` naming what is in the way
 */
export async function checkWritable(path: string): Promise<void> {
  let folder = dirname(path)
  let found = await stat(folder).catch(() => undefined)
  while (!found && dirname(folder) !== folder) {
    folder = dirname(folder)
    found = await stat(folder).catch(() => undefined)
  }
  const refuse = (why: string) =>
    new AttuneError('bad-argument', `${path} cannot be written: ${why}.`, 'Choose another place.')
  if (!found) throw refuse('its drive is not there')
  if (!found.isDirectory()) throw refuse(`${folder} is a file, not a folder`)
  await access(folder, constants.W_OK).catch(() => {
    throw refuse(`you may not write to ${folder}`)
  })
}

/** Gives the finished file its name, failing when the name is taken. */
async function publishNew(temporary: string, path: string): Promise<void> {
  try {
    // A hard link is the one operation that names a file only if the name is free.
    await retrying(() => link(temporary, path))
  } catch (error) {
    const code = errorNumber(error)
    if (code === 'EEXIST' || !linkless.has(code)) throw error
    // exFAT and some network folders have no hard links: take the name with an empty file, then replace that.
    await (await open(path, 'wx')).close()
    await retrying(() => rename(temporary, path)).catch(async (failure: unknown) => {
      await rm(path, { force: true })
      throw failure
    })
  }
}

const linkless = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK', 'EINVAL', 'EACCES'])

/** Virus scanners and cloud folders hold new files for a moment (EBUSY, EPERM on Windows). */
async function retrying<T>(action: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await action()
    } catch (error) {
      const code = errorNumber(error)
      const held =
        code === 'EBUSY' || (process.platform === 'win32' && (code === 'EPERM' || code === 'EACCES'))
      if (!held || attempt === 5) throw error
      await new Promise(resolve => setTimeout(resolve, 50 * attempt))
    }
  }
}

/** Makes the new name itself survive a power cut, where the system can. */
async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return
  try {
    const handle = await open(folder, 'r')
    await handle.sync().finally(() => handle.close())
  } catch {
    // Network folders may refuse; the file itself is flushed.
  }
}
