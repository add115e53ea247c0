/** Files of this machine as byte sources. */
import { open, stat } from 'node:fs/promises'
import type { ByteSource } from '../model/contract/bytes.ts'
import { AttuneError } from '../model/contract/errors.ts'

/** A byte source that holds a file open until it is closed. */
export interface FileSource extends ByteSource {
  close(): Promise<void>
}

/** Node's error numbers in words. */
const causes: Readonly<Record<string, readonly [why: string, remedy: string]>> = {
  ENOENT: ['does not exist', 'Check the path, or connect the drive that it is on.'],
  EACCES: ['may not be read by this user', 'Change its permissions, or copy it to a folder of your own.'],
  EPERM: ['may not be read by this user', 'Change its permissions, or copy it to a folder of your own.'],
  ELOOP: ['is a symbolic link that leads back to itself', 'Replace the link by the file.'],
  ENAMETOOLONG: ['has a longer path than this system allows', 'Move it to a folder with a shorter path.'],
  ENOTDIR: ['has a file where a folder should be in its path', 'Check the path.'],
  EMFILE: ['cannot be opened: too many files are open', 'Close other programs and try again.'],
  EIO: ['cannot be read from its drive', 'The drive may be failing: copy the file elsewhere and try again.'],
}

function fileError(path: string, error: unknown): AttuneError {
  if (error instanceof AttuneError) return error
  const code = error instanceof Error && 'code' in error ? String(error.code) : ''
  const [why, remedy] = causes[code] ?? [
    `cannot be read (${error instanceof Error ? error.message : String(error)})`,
    'Check that it is an ordinary file on a drive that works.',
  ]
  return new AttuneError('bad-file', `${path} ${why}.`, remedy, { cause: error })
}

/**
 * Opens a file for reading by ranges. The whole file is never in memory.
 *
 * Every read first compares size and time of change with those at opening, so that weights of two versions of a file
 * are never mixed.
 * @param path of an ordinary file; links are followed.
 * @throws AttuneError `bad-file` when it is missing, unreadable, a folder, a pipe or a device; later, from `read`, when
 *   the range is outside the file or the file has changed.
 */
export async function openFileSource(path: string): Promise<FileSource> {
  let handle: Awaited<ReturnType<typeof open>>
  try {
    // Looked at before opening: opening a pipe would wait for a writer for ever.
    const kind = await stat(path)
    if (kind.isDirectory()) {
      throw new AttuneError('bad-file', `${path} is a folder, not a file.`, 'Name the file inside it.')
    }
    if (!kind.isFile()) {
      throw new AttuneError(
        'bad-file',
        `${path} is a device or a pipe, not a file.`,
        'Name an ordinary file.',
      )
    }
    handle = await open(path, 'r')
  } catch (error) {
    throw fileError(path, error)
  }
  const opened = await handle.stat()
  const byteLength = opened.size

  async function checkUnchanged(): Promise<void> {
    const now = await handle.stat()
    if (now.size === opened.size && now.mtimeMs === opened.mtimeMs) return
    throw new AttuneError('bad-file', `${path} changed on disk while it was in use.`, 'Load the model again.')
  }

  return {
    name: path,
    byteLength,
    async read(offset, length, into) {
      if (offset < 0 || length < 0 || offset + length > byteLength) {
        throw new AttuneError(
          'bad-file',
          `${path}: bytes ${offset} to ${offset + length} lie outside the file of ${byteLength} bytes.`,
          'The file is cut off: download it again.',
        )
      }
      const target = into ? into.subarray(0, length) : new Uint8Array(length)
      try {
        await checkUnchanged()
        let done = 0
        while (done < length) {
          // The system may return less than asked for, and never more than 2 GiB at a time.
          const { bytesRead } = await handle.read(
            target,
            done,
            Math.min(length - done, 2 ** 30),
            offset + done,
          )
          if (bytesRead === 0) {
            throw new AttuneError(
              'bad-file',
              `${path} ended early, at ${offset + done} bytes.`,
              'Load it again.',
            )
          }
          done += bytesRead
        }
      } catch (error) {
        throw fileError(path, error)
      }
      return target
    },
    close: () => handle.close(),
  }
}
