/**
 * Names in addresses, and the files that they may lead to. An address is decoded once, name by name, and every name
 * that means something else on any system is refused; then the file is looked for, and where links lead is looked at.
 */
import { realpath } from 'node:fs/promises'
import { basename, dirname, isAbsolute, join, relative, sep } from 'node:path'

/** Deeper than any model folder. */
const nameLimit = 16

/**
 * The names of an address' path.
 * @param raw as it came, still encoded, without a slash at the beginning
 * @returns undefined for a path that is not taken, whatever lies there
 */
export function namesOfPath(raw: string): string[] | undefined {
  const names: string[] = []
  for (const part of raw.split('/')) {
    let name: string
    try {
      name = decodeURIComponent(part)
    } catch {
      return undefined
    }
    names.push(name)
  }
  return names.length <= nameLimit ? names : undefined
}

/** Whether a name is that of one file or folder, on every system. */
export function isPlainName(name: string): boolean {
  if (name === '' || name === '.' || name === '..' || name.length > 255) return false
  // Separators, drives and streams of Windows, controls and NUL; Windows drops dots and spaces at the end.
  return !/[/\\:\p{Cc}]/u.test(name) && !/[. ]$/.test(name)
}

/** Whether `path` is `folder` or below it. Both absolute, links resolved. */
export function isInside(folder: string, path: string): boolean {
  const way = relative(folder, path)
  return way === '' || (way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way))
}

/**
 * The real path of a file below a folder.
 * @param roots links may lead into these, too
 * @returns undefined when there is none, or a link leads elsewhere
 */
export async function fileInside(
  folder: string,
  names: readonly string[],
  roots: readonly string[] = [],
): Promise<string | undefined> {
  if (names.length === 0 || !names.every(isPlainName)) return undefined
  const wanted = join(folder, ...names)
  if (!isInside(folder, wanted)) return undefined
  const real = await realpath(wanted).catch(() => undefined)
  if (real === undefined) return undefined
  for (const root of [folder, ...roots]) {
    const realRoot = await realpath(root).catch(() => undefined)
    if (realRoot !== undefined && isInside(realRoot, real)) return real
  }
  return undefined
}

/**
 * Where links in a model folder may lead: in Hugging Face's cache the files of `models--a--b/snapshots/REVISION` are
 * links to `models--a--b/blobs`.
 */
export function linkRootsOf(folder: string): string[] {
  const snapshots = dirname(folder)
  const repository = dirname(snapshots)
  const isCache = basename(snapshots) === 'snapshots' && basename(repository).startsWith('models--')
  return isCache ? [join(repository, 'blobs')] : []
}
