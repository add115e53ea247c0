/**
 * Why something could not be written, in words: the system's error numbers, and what a person can do about each. A disk
 * without room has a code of its own, so that a window can keep what it has and offer to try again.
 */
import { AttuneError, type ErrorCode } from '../model/contract/errors.ts'

/**
 * @param error what a call of the file system threw; an AttuneError comes back as it is
 * @param path of the file that was to be written
 * @param otherwise the remedy for a cause that has none of its own
 * @returns `disk-full` where there is no room, else `bad-file`
 */
export function writeFailure(error: unknown, path: string, otherwise = 'Choose another place.'): AttuneError {
  if (error instanceof AttuneError) return error
  const [why, remedy] = causes[errorNumber(error)] ?? [
    error instanceof Error ? error.message : String(error),
    otherwise,
  ]
  return new AttuneError(writeCode(error), `${path} cannot be written: ${why}.`, remedy, { cause: error })
}

/** The code for what a call of the file system threw while it wrote. */
export function writeCode(error: unknown): ErrorCode {
  if (error instanceof AttuneError) return error.code
  return noRoom.has(errorNumber(error)) ? 'disk-full' : 'bad-file'
}

/** `ENOSPC` and its like; empty where there is none. */
export function errorNumber(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : ''
}

const noRoom = new Set(['ENOSPC', 'EDQUOT'])
const closed = ['the folder does not allow it', 'Choose a folder that you may write to.'] as const

const causes: Readonly<Record<string, readonly [why: string, remedy: string]>> = {
  EEXIST: ['a file of that name is there', 'Choose another name, or add --overwrite to replace it.'],
  ENOSPC: ['the disk is full', 'Free some space and try again.'],
  EDQUOT: ['the quota of the disk is used up', 'Free some space and try again.'],
  EFBIG: ['the disk takes no files of this size', 'Choose a folder on another disk.'],
  EACCES: closed,
  EPERM: closed,
  EBUSY: [
    'another program holds it',
    'Close the program that uses it, or wait until the cloud folder is done.',
  ],
  EROFS: ['the disk is read-only', 'Choose a folder on another disk.'],
  EIO: ['the disk reports an error', 'The drive may be failing: choose a folder on another one.'],
  ENODEV: ['its drive is not there', 'Connect the drive, or choose another folder.'],
  ENOENT: ['its folder has gone', 'Connect its drive, or choose another folder.'],
  EISDIR: ['it is a folder', 'Name a file in that folder.'],
  ENOTDIR: ['a part of the path is a file, not a folder', 'Choose another path.'],
  ENAMETOOLONG: ['the name is too long', 'Choose a shorter name.'],
}
