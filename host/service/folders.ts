/** Folders as a person types them: completion, where no dialog asks. */
import { readdir, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { basename, dirname, isAbsolute, join, sep } from 'node:path'

/** What fits a list below a field. */
const mostFolders = 20

/**
 * Folders whose path begins with what was typed, in the order of the alphabet; hidden ones only when a dot is typed.
 * `~` is the person's own folder. Nothing for a path that is not whole.
 */
export async function completeFolder(typed: string): Promise<string[]> {
  const path = /^~(?=$|[\\/])/.test(typed) ? join(homedir(), typed.slice(1)) : typed
  if (!isAbsolute(path)) return []
  // With a separator at its end the folder itself is looked into.
  const isWhole = /[\\/]$/.test(typed) || typed === '~'
  const folder = isWhole ? path : dirname(path)
  const begin = isWhole ? '' : basename(path).toLowerCase()
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
  const found: string[] = []
  for (const entry of entries.sort((a, b) => a.name.localeCompare(b.name))) {
    if (found.length >= mostFolders) break
    const { name } = entry
    if (!name.toLowerCase().startsWith(begin) || (name.startsWith('.') && !begin.startsWith('.'))) continue
    const whole = join(folder, name)
    const isFolder =
      entry.isDirectory() ||
      (entry.isSymbolicLink() &&
        (await stat(whole)
          .then(info => info.isDirectory())
          .catch(() => false)))
    if (isFolder) found.push(whole + sep)
  }
  return found
}
