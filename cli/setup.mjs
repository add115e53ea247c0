#!/usr/bin/env node
/**
 * The first thing that `npm start`, `npm run generate` and `npm test` run: installs what is missing, says each
 * thing in one line, then does what was asked. Plain JavaScript without packages, since there are none yet.
 * A second run finds its stamp and starts at once.
 *
 * Everything outside (files, processes, the clock) comes through a `Machine`, so that tests can hand in their own.
 */
import { createHash } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { attempt, readStamp, thisMachine, writeStamp } from './machine.mjs'
import { ensureBrowser, ensureVulkan } from './system.mjs'

export const oldestNode = 20
const firstPrompt = 'a red car under a blue sky'

/** @returns why this Node.js cannot run Attune, or undefined */
export function nodeProblem(version) {
  if (Number.parseInt(version, 10) >= oldestNode) return undefined
  return `Attune needs Node.js ${oldestNode} or newer, and this is ${version}. Install it from nodejs.org or your system's packages.`
}

export function lockHash(machine) {
  const lock = machine.readText(join(machine.root, 'package-lock.json'))
  return lock === undefined ? undefined : createHash('sha256').update(lock).digest('hex')
}

/** @returns {'ready' | 'missing' | 'stale'} */
export function packagesState(machine) {
  const hash = lockHash(machine)
  // npm writes this file last: without it an installation was interrupted.
  const installed = machine.modified(join(machine.root, 'node_modules', '.package-lock.json'))
  if (installed === undefined) return 'missing'
  const { lock } = readStamp(machine)
  if (hash === undefined || lock === hash) return 'ready'
  if (lock !== undefined) return 'stale'
  // Somebody ran npm ci by hand: it is good if it is newer than the lock file.
  const locked = machine.modified(join(machine.root, 'package-lock.json')) ?? 0
  return installed >= locked ? 'ready' : 'stale'
}

/** How to run npm from here: [command, leading arguments, options]. */
export function npmCommand(machine) {
  const script = machine.env.npm_execpath
  // The npm that started us, without a shell between: Windows cannot spawn npm.cmd otherwise.
  if (script?.endsWith('npm-cli.js')) return [machine.nodePath, [script], {}]
  return machine.platform === 'win32' ? ['npm.cmd', [], { shell: true }] : ['npm', [], {}]
}

/** @returns whether the packages are there now */
async function ensurePackages(machine) {
  const state = packagesState(machine)
  if (state === 'ready') {
    if (readStamp(machine).lock === undefined) writeStamp(machine, { lock: lockHash(machine) })
    return true
  }
  machine.say(
    `installing packages (npm ci): ${state === 'missing' ? 'there are none yet' : 'the lock file has changed'}`,
  )
  const began = machine.now()
  const [command, first, options] = npmCommand(machine)
  // Tools for checking and testing are development dependencies: a production setting must not drop them.
  const args = [
    ...first,
    'ci',
    '--include=dev',
    '--include=optional',
    '--no-audit',
    '--no-fund',
    '--loglevel=error',
  ]
  const code = await machine.run(command, args, { ...options, cwd: machine.root, env: machine.env })
  if (code !== 0) {
    machine.say(`npm ci failed (exit code ${code}).`)
    machine.say('Check that the npm registry can be reached (npm ping), then run the same command again.')
    return false
  }
  writeStamp(machine, { lock: lockHash(machine) })
  machine.say(`packages installed in ${Math.round((machine.now() - began) / 1000)} s`)
  return true
}

/** Runs a program of a package by its own file: the links in node_modules/.bin differ between systems. */
function runNode(machine, args) {
  return machine.run(machine.nodePath, args, { cwd: machine.root, env: machine.env })
}

const attune = machine => join(machine.root, 'cli', 'attune.mjs')

async function generate(machine, args) {
  // The person's folder, not ours: `npm run` changes to the root and tells where it came from.
  const cwd = machine.env.INIT_CWD ?? machine.root
  return machine.run(machine.nodePath, [attune(machine), 'generate', ...args], { cwd, env: machine.env })
}

/** The window: of the desktop where Electron is installed, else in a browser; without one, a first picture. */
async function start(machine, args) {
  const state = rendererState(machine)
  if (state === 'absent') return firstPicture(machine, args, 'the window is not there')
  if (state !== 'ready') {
    const built = await buildRenderer(machine, state)
    if (built === 130 || built === 143) return built
    if (built !== 0) return firstPicture(machine, args, 'the window could not be built')
  }
  const code = await startElectron(machine, args)
  if (code !== undefined) return code
  return runNode(machine, [attune(machine), 'serve', ...args])
}

/**
 * Starts the desktop's window where its program is installed and somebody sits in front of a screen.
 * @returns its exit code; undefined where there is no such window
 */
export async function startElectron(machine, args) {
  const manifest = attempt(() => JSON.parse(machine.readText(join(machine.root, 'package.json'))))
  const main = typeof manifest?.main === 'string' ? join(machine.root, manifest.main) : undefined
  // Words are of `attune serve`: who gives them wants a browser.
  if (args.length > 0 || !main || !machine.exists(main)) return undefined
  if (!machine.exists(join(machine.root, 'node_modules', 'electron', 'dist'))) return undefined
  const hasScreen = machine.platform !== 'linux' || machine.env.DISPLAY || machine.env.WAYLAND_DISPLAY
  if (!hasScreen || machine.env.CI || machine.env.SSH_CONNECTION) return undefined
  return runNode(machine, ['node_modules/electron/cli.js', '.'])
}

const rendererConfig = 'renderer/vite.config.ts'

/**
 * Whether the built window is newer than what it is made of.
 * @returns {'ready' | 'missing' | 'stale' | 'absent'}
 */
export function rendererState(machine) {
  if (!machine.exists(join(machine.root, 'renderer', 'vite.config.ts'))) return 'absent'
  const built = machine.modified(join(machine.root, 'dist', 'renderer', 'index.html'))
  if (built === undefined) return 'missing'
  const sources = ['renderer', 'model', 'package-lock.json']
  return sources.some(name => isNewer(machine, join(machine.root, name), built)) ? 'stale' : 'ready'
}

/** Whether a file, or anything in a folder, has changed since a time. */
function isNewer(machine, path, time) {
  if ((machine.modified(path) ?? 0) > time) return true
  // A file has no entries.
  return machine.list(path).some(name => isNewer(machine, join(path, name), time))
}

async function buildRenderer(machine, state) {
  machine.say(
    state === 'missing' ? 'building the window (once)' : 'building the window: its sources have changed',
  )
  const began = machine.now()
  const code = await runNode(machine, [
    'node_modules/vite/bin/vite.js',
    'build',
    '--config',
    rendererConfig,
    '--logLevel',
    'warn',
  ])
  if (code === 0) machine.say(`window built in ${Math.round((machine.now() - began) / 1000)} s`)
  return code
}

/** Where there is no window, the start is a first picture. */
async function firstPicture(machine, args, why) {
  const out = join(machine.root, 'out', 'first-picture.png')
  machine.say(`${why}; drawing a first picture: "${firstPrompt}"`)
  const code = await runNode(machine, [
    attune(machine),
    'generate',
    firstPrompt,
    '--out',
    out,
    '--overwrite',
    ...args,
  ])
  if (code !== 0) return code
  machine.say(`your first picture: ${out}`)
  machine.say('draw your own: npm run generate -- "a green boat on the sea"')
  const opener = pictureOpener(machine, out)
  if (opener) await machine.run(opener[0], opener[1])
  return 0
}

/** The command that shows a picture, where somebody sits in front of a screen. */
export function pictureOpener(machine, path) {
  if (!machine.terminal || machine.env.CI || machine.env.SSH_CONNECTION) return undefined
  if (machine.platform === 'darwin') return ['open', [path]]
  if (machine.platform === 'win32') return ['explorer.exe', [path]]
  const screen = machine.env.DISPLAY || machine.env.WAYLAND_DISPLAY
  return screen && machine.exists('/usr/bin/xdg-open') ? ['xdg-open', [path]] : undefined
}

/** What `npm test` runs before the tests. */
export const checks = [
  ['types', ['node_modules/typescript/bin/tsc', '--noEmit']],
  ['lint', ['node_modules/oxlint/bin/oxlint']],
  ['boundaries', ['--import', 'tsx', 'test/support/boundaries.ts']],
  ['format', ['node_modules/@biomejs/biome/bin/biome', 'format', '.']],
]

async function test(machine, args) {
  for (const [name, command] of checks) {
    machine.say(`check: ${name}`)
    const code = await runNode(machine, command)
    if (code !== 0) {
      machine.say(`the check "${name}" failed; the tests were not run`)
      return code
    }
  }
  machine.say('tests')
  return runNode(machine, ['node_modules/vitest/vitest.mjs', 'run', ...args])
}

const verbs = { start, generate, test }

/**
 * Sets up and runs.
 * @returns the exit code
 */
export async function main(words, machine = thisMachine()) {
  const [verb = '', ...args] = words
  const action = Object.hasOwn(verbs, verb) ? verbs[verb] : undefined
  if (!action) {
    machine.say(`unknown verb "${verb}". Use: node cli/setup.mjs ${Object.keys(verbs).join(' | ')}`)
    return 2
  }
  const problem = nodeProblem(machine.nodeVersion)
  if (problem) {
    machine.say(problem)
    return 1
  }
  if (!(await ensurePackages(machine))) return 1
  await ensureVulkan(machine)
  if (verb === 'test') await ensureBrowser(machine)
  // Mesa wants a folder for its sockets and complains on every start without one.
  const ready = machine.platform === 'linux' && !machine.env.XDG_RUNTIME_DIR
  return action(ready ? { ...machine, env: { ...machine.env, XDG_RUNTIME_DIR: tmpdir() } } : machine, args)
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.exitCode = await main(process.argv.slice(2))
}
