/**
 * The machine as the set-up sees it, and the stamp that it leaves between runs. Plain JavaScript without packages.
 */
import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const stampName = join('node_modules', '.attune-setup')

/** @returns {import('./machine.d.mts').Machine} */
export function thisMachine() {
  return {
    root: fileURLToPath(new URL('..', import.meta.url)),
    platform: process.platform,
    nodeVersion: process.versions.node,
    nodePath: process.execPath,
    env: process.env,
    uid: process.getuid?.() ?? -1,
    terminal: process.stdout.isTTY === true,
    now: () => Date.now(),
    say: line => console.error(`attune: ${line}`),
    readText: path => attempt(() => readFileSync(path, 'utf8')),
    exists: path => existsSync(path),
    list: path => attempt(() => readdirSync(path)) ?? [],
    modified: path => attempt(() => statSync(path).mtimeMs),
    write: (path, text) => {
      mkdirSync(join(path, '..'), { recursive: true })
      writeFileSync(path, text)
    },
    run: runProcess,
  }
}

/** The result of an action, or undefined when it throws. */
export function attempt(action) {
  try {
    return action()
  } catch {
    return undefined
  }
}

/** Runs a program with our terminal; Ctrl-C reaches it, and its exit code or signal comes back. */
function runProcess(command, args, options = {}) {
  return new Promise(resolve => {
    const child = spawn(command, args, {
      stdio: 'inherit',
      cwd: options.cwd,
      env: options.env,
      shell: options.shell,
    })
    const forward = signal => {
      // A terminal sends Ctrl-C to the whole group; from elsewhere it reaches only us.
      if (signal !== 'SIGINT' || !process.stdin.isTTY) child.kill(signal)
    }
    process.on('SIGINT', forward)
    process.on('SIGTERM', forward)
    const finish = code => {
      process.off('SIGINT', forward)
      process.off('SIGTERM', forward)
      resolve(code)
    }
    child.on('error', () => finish(127))
    child.on('close', (code, signal) => finish(code ?? (signal === 'SIGINT' ? 130 : 143)))
  })
}

/** What the last set-up left: which lock file was installed, and which hints were given. */
export function readStamp(machine) {
  const stamp = attempt(() => JSON.parse(machine.readText(join(machine.root, stampName))))
  return stamp && typeof stamp === 'object' ? stamp : {}
}

export function writeStamp(machine, changes) {
  // A read-only installation works without a stamp; it only looks again each time.
  attempt(() =>
    machine.write(join(machine.root, stampName), JSON.stringify({ ...readStamp(machine), ...changes })),
  )
}
