/** The system's files: dialogs, the file manager, the bin, and pictures that are opened with the program. */
import { dialog, type BrowserWindow, shell } from 'electron'
import { stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { AttuneError } from '../model/contract/errors.ts'
import type { HostEvent } from '../model/contract/host-api.ts'
import type { HostPort } from './host-port.ts'
import { isPictureFile, pictureEndings } from './open-files.ts'

/** Asks for a folder; undefined when the person cancels. */
export async function chooseFolder(
  window: BrowserWindow | undefined,
  title: string,
): Promise<string | undefined> {
  const options = { title, properties: ['openDirectory', 'createDirectory'] as const }
  const mutable = { ...options, properties: [...options.properties] }
  const { canceled, filePaths } = window
    ? await dialog.showOpenDialog(window, mutable)
    : await dialog.showOpenDialog(mutable)
  return canceled ? undefined : filePaths[0]
}

/** Asks for pictures to open. */
export async function choosePictures(window: BrowserWindow | undefined): Promise<string[]> {
  const options = {
    title: 'Open Picture',
    filters: [{ name: 'Pictures', extensions: [...pictureEndings] }],
    properties: ['openFile' as const, 'multiSelections' as const],
  }
  const { canceled, filePaths } = window
    ? await dialog.showOpenDialog(window, options)
    : await dialog.showOpenDialog(options)
  return canceled ? [] : filePaths
}

/** Shows a file in the file manager. */
export async function reveal(path: string): Promise<void> {
  if (!(await stat(path).catch(() => undefined))) throw gone(path)
  shell.showItemInFolder(path)
}

/** Opens a folder; never a file, which the system might run. */
export async function openFolder(path: string): Promise<void> {
  const info = await stat(path).catch(() => undefined)
  if (!info?.isDirectory()) throw gone(path)
  const problem = await shell.openPath(path)
  if (problem !== '') {
    throw new AttuneError('unsupported', `The folder was not opened: ${problem}`, `Open ${path} by hand.`)
  }
}

/** Moves a file to the bin; a place without a bin is an error, never a deletion. */
export async function trash(path: string): Promise<void> {
  try {
    await shell.trashItem(path)
  } catch (cause) {
    throw new AttuneError(
      'unsupported',
      `${basename(path)} could not be moved to the bin.`,
      'Some drives have no bin: delete it in the file manager.',
      { cause },
    )
  }
}

/** Takes pictures into the gallery and tells the page of each. */
export async function openPictures(
  host: HostPort,
  paths: readonly string[],
  tell: (event: HostEvent) => void,
): Promise<void> {
  for (const path of paths) {
    try {
      if (!(await isPictureFile(path))) {
        tell({ type: 'notice', text: `${basename(path)} is not a picture that can be opened.` })
      } else if (host.openPicture) {
        tell({ type: 'openPicture', id: await host.openPicture(path) })
      }
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      tell({ type: 'notice', text: `${basename(path)} was not opened: ${why}` })
    }
  }
}

function gone(path: string): AttuneError {
  return new AttuneError('bad-file', `${basename(path)} is not there any more.`, 'Rescan the gallery.')
}
