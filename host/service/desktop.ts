/**
 * The desktop around the host where there is no Electron: its bin, its file manager. Programs are started without a
 * shell and get paths as arguments of their own, so that no name of a file is ever read as a command.
 */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { copyFile, mkdir, readdir, readFile, rename, rm, rmdir, stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { basename, dirname, extname, join, resolve } from 'node:path'
import { AttuneError } from '../../model/contract/errors.ts'

/** What a shell lends to the host. */
export interface Desktop {
  /** Moves a file to the bin. @returns what `restore` needs */
  trash(path: string): Promise<unknown>
  restore?(path: string, receipt: unknown): Promise<void>
  /** Shows a file in the file manager. */
  reveal(path: string): Promise<void>
  openFolder(path: string): Promise<void>
  /** Asks the person for a folder; undefined when they want none. */
  chooseFolder?(title: string): Promise<string | undefined>
}

export interface DesktopOptions {
  readonly platform?: NodeJS.Platform
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Runs a program to its end. @returns its exit code; undefined when there is no such program */
  readonly run?: (command: string, args: readonly string[]) => Promise<number | undefined>
}

/** Hidden, so that the gallery does not list what was removed from it. */
export const removedFolder = '.Removed by Attune'

/** The bin and the file manager of Linux, macOS and Windows by their own programs. */
export function systemDesktop(options: DesktopOptions = {}): Desktop {
  const platform = options.platform ?? process.platform
  const env = options.env ?? process.env
  const run = options.run ?? runProgram
  const show = async (commands: readonly (readonly [string, readonly string[]])[]) => {
    for (const [command, args] of commands) if ((await run(command, args)) !== undefined) return
    throw new AttuneError(
      'unsupported',
      'This system has no file manager that Attune can open.',
      'Open the folder by hand.',
    )
  }
  return {
    async trash(path) {
      const whole = resolve(path)
      if (platform === 'linux') {
        for (const [command, args] of [
          ['gio', ['trash', '--', whole]],
          ['trash-put', ['--', whole]],
        ] as const) {
          if ((await run(command, args)) === 0) return { kind: 'bin' }
        }
      }
      const home = env['HOME'] ?? homedir()
      if (platform === 'darwin') {
        const moved = await moveInto(whole, join(home, '.Trash')).catch(() => undefined)
        if (moved !== undefined) return { kind: 'moved', path: moved }
      }
      return { kind: 'moved', path: await moveInto(whole, join(dirname(whole), removedFolder)) }
    },
    async restore(path, receipt) {
      const whole = resolve(path)
      if (await stat(whole).catch(() => undefined))
        throw new AttuneError('bad-file', `${whole} is there again.`, 'Move it away first.')
      const { kind, path: moved } = (receipt ?? {}) as { kind?: string; path?: string }
      if (kind === 'moved' && moved !== undefined) {
        await move(moved, whole)
        // Refused while something is in it.
        if (basename(dirname(moved)) === removedFolder) await rmdir(dirname(moved)).catch(() => undefined)
      } else await restoreFromTrash(whole, env)
    },
    async reveal(path) {
      const whole = resolve(path)
      if (platform === 'darwin') return show([['open', ['-R', whole]]])
      if (platform === 'win32') return show([['explorer.exe', [`/select,${whole}`]]])
      return show([['xdg-open', [dirname(whole)]]])
    },
    async openFolder(path) {
      const whole = resolve(path)
      await mkdir(whole, { recursive: true })
      if (platform === 'darwin') return show([['open', [whole]]])
      if (platform === 'win32') return show([['explorer.exe', [whole]]])
      return show([['xdg-open', [whole]]])
    },
  }
}

/** Runs a program that answers soon; after ten seconds it is left to itself. */
function runProgram(command: string, args: readonly string[]): Promise<number | undefined> {
  return new Promise(done => {
    const child = spawn(command, args, { stdio: 'ignore', detached: true })
    const timer = setTimeout(() => done(0), 10_000)
    const finish = (code: number | undefined) => {
      clearTimeout(timer)
      done(code)
    }
    child.on('error', () => finish(undefined))
    child.on('close', code => finish(code ?? 1))
    child.unref()
  })
}

async function moveInto(path: string, folder: string): Promise<string> {
  await mkdir(folder, { recursive: true })
  const extension = extname(path)
  const stem = basename(path, extension)
  const free = join(folder, basename(path))
  const isTaken = (await stat(free).catch(() => undefined)) !== undefined
  const target = isTaken ? join(folder, `${stem} ${randomBytes(4).toString('hex')}${extension}`) : free
  await move(path, target)
  return target
}

/** Renames, or across drives copies. */
async function move(from: string, to: string): Promise<void> {
  await rename(from, to).catch(async (error: unknown) => {
    if (!(error instanceof Error && 'code' in error && error.code === 'EXDEV')) throw error
    await copyFile(from, to)
    await rm(from)
  })
}

/**
 * Brings a file back from a freedesktop.org bin: of the home folder, or of the drive that the file was on. Whoever put
 * it there (gio, trash-put, Electron) wrote the same notes.
 * @throws AttuneError `bad-file` when it is in none
 */
export async function restoreFromTrash(
  path: string,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<void> {
  const home = env['HOME'] ?? homedir()
  const bins: { bin: string; top?: string }[] = [
    { bin: join(env['XDG_DATA_HOME'] || join(home, '.local', 'share'), 'Trash') },
  ]
  const uid = process.getuid?.() ?? 0
  for (let top = dirname(path); ; top = dirname(top)) {
    bins.push({ bin: join(top, '.Trash', String(uid)), top }, { bin: join(top, `.Trash-${uid}`), top })
    if (dirname(top) === top) break
  }
  let newest: { date: string; bin: string; name: string } | undefined
  for (const { bin, top } of bins) {
    const notes = await readdir(join(bin, 'info')).catch(() => [])
    for (const note of notes.filter(name => name.endsWith('.trashinfo'))) {
      const text = await readFile(join(bin, 'info', note), 'utf8').catch(() => '')
      const from = pathOfNote(text)
      if (from === undefined || resolve(top ?? '/', from) !== path) continue
      const date = /^DeletionDate=(.*)$/m.exec(text)?.[1] ?? ''
      const name = note.slice(0, -'.trashinfo'.length)
      if (!newest || date >= newest.date) newest = { date, bin, name }
    }
  }
  if (!newest) {
    throw new AttuneError('bad-file', `${path} is not in the bin.`, 'Look into the bin of the system.')
  }
  await mkdir(dirname(path), { recursive: true })
  await move(join(newest.bin, 'files', newest.name), path)
  await rm(join(newest.bin, 'info', `${newest.name}.trashinfo`), { force: true })
}

function pathOfNote(text: string): string | undefined {
  const encoded = /^Path=(.*)$/m.exec(text)?.[1]
  try {
    return encoded === undefined ? undefined : decodeURIComponent(encoded)
  } catch {
    return undefined
  }
}
