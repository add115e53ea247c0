/** Which of a program's arguments, or of what was dropped onto its icon, are pictures to open. No Electron here. */
import { stat } from 'node:fs/promises'
import { extname, isAbsolute, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

/** What is opened, by ending; the host looks at the content. */
export const pictureEndings = ['png', 'jpg', 'jpeg', 'webp', 'avif'] as const
/** One drop cannot bring more: each is read whole. */
export const mostOpened = 32

/**
 * The pictures among a command line's words. Options are passed over, `file:` addresses (as Linux desktops give them)
 * are understood.
 * @param folder in which the words were written: of another instance it is another
 */
export async function picturesOfArguments(words: readonly string[], folder: string): Promise<string[]> {
  const found: string[] = []
  for (const word of words) {
    if (found.length === mostOpened) break
    const path = pathOf(word, folder)
    if (path !== undefined && (await isPictureFile(path))) found.push(path)
  }
  return found
}

/** Whether there is a file with a picture's ending; a pipe or device would be read for ever. */
export async function isPictureFile(path: string): Promise<boolean> {
  const ending = extname(path).slice(1).toLowerCase()
  if (!isAbsolute(path) || !pictureEndings.some(each => each === ending)) return false
  const info = await stat(path).catch(() => undefined)
  return info?.isFile() ?? false
}

function pathOf(word: string, folder: string): string | undefined {
  if (word === '' || word.startsWith('-') || word.includes('\0')) return undefined
  if (!/^[a-z][a-z0-9+.-]+:/i.test(word)) return resolve(folder, word)
  if (!word.startsWith('file:')) return undefined
  try {
    return fileURLToPath(word)
  } catch {
    return undefined
  }
}
