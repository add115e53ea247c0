/** Packs the desktop program offline, around a stub of Electron: for the tests of packing and for measurements. */
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, cp, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildElectron } from '../../../scripts/build-electron.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const electronVersion = '45.4.1'

/**
 * A project with the repository's configuration and its production packages, by hard links: the repository's own
 * `dist/` may be anything at the time, and the window's bundle is not this test's.
 */
async function makeProject(project: string, renderer: string | undefined): Promise<void> {
  const dist = join(project, 'dist')
  await buildElectron({ outdir: dist, minify: true })
  if (renderer !== undefined) await cp(renderer, join(dist, 'renderer'), { recursive: true })
  else {
    await mkdir(join(dist, 'renderer/ort'), { recursive: true })
    await writeFile(join(dist, 'renderer/index.html'), '<!doctype html><title>page</title>')
    await writeFile(join(dist, 'renderer/index.js.map'), '{}')
    await writeFile(join(dist, 'renderer/ort/ort.wasm'), new Uint8Array(8))
  }
  for (const name of ['LICENSE', 'NOTICE', 'electron-builder.yml', 'scripts', 'assets']) {
    await cp(join(root, name), join(project, name), { recursive: true })
  }
  const { devDependencies: _, ...manifest } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  await writeFile(join(project, 'package.json'), JSON.stringify({ ...manifest, main: 'dist/main/main.mjs' }))
  const lock = JSON.parse(await readFile(join(root, 'package-lock.json'), 'utf8')) as {
    packages: Record<string, { dev?: boolean; devOptional?: boolean }>
  }
  for (const [path, { dev, devOptional }] of Object.entries(lock.packages)) {
    if (path === '' || dev || devOptional || !existsSync(join(root, path))) continue
    await mkdir(join(project, path, '..'), { recursive: true })
    if (!existsSync(join(project, path)))
      await run('cp', ['-al', join(root, path), join(project, path)], root)
  }
}

/** A folder that electron-builder takes for Electron. */
async function makeStub(stub: string): Promise<void> {
  await mkdir(join(stub, 'locales'), { recursive: true })
  await mkdir(join(stub, 'resources'))
  await writeFile(join(stub, 'electron'), '#!/bin/sh\nexit 0\n')
  await chmod(join(stub, 'electron'), 0o755)
  await writeFile(join(stub, 'version'), electronVersion)
  for (const name of ['LICENSE', 'LICENSES.chromium.html', 'chrome-sandbox', 'locales/en-US.pak']) {
    await writeFile(join(stub, name), '')
  }
}

/**
 * Packs with `electron-builder --linux --dir` around a stub of Electron.
 * @param folder for the project and what is packed
 * @param renderer the window's bundle; a page of one line without
 * @returns the packed program's folder
 */
export async function packForLinux(folder: string, renderer?: string): Promise<string> {
  const project = join(folder, 'project')
  const stub = join(folder, 'stub')
  await Promise.all([makeProject(project, renderer), makeStub(stub)])
  const builder = join(root, 'node_modules/electron-builder/cli.js')
  const options = [`-c.electronDist=${stub}`, `-c.electronVersion=${electronVersion}`, '--publish=never']
  await run(process.execPath, [builder, '--linux', '--dir', ...options], project)
  return join(project, 'out/packages/linux-unpacked')
}

async function run(command: string, args: readonly string[], cwd: string): Promise<void> {
  const env = { ...process.env, ATTUNE_STUB_ELECTRON: '1', ELECTRON_BUILDER_OFFLINE: 'true' }
  const child = spawn(command, args, { cwd, env })
  let output = ''
  child.stdout.on('data', part => (output += part))
  child.stderr.on('data', part => (output += part))
  const code = await new Promise(resolve => {
    child.once('exit', resolve)
  })
  if (code !== 0) throw new Error(`${command} ended with ${code}: ${output.slice(-5000)}`)
}

/** Bytes of a file or of everything in a folder. */
export async function sizeOf(path: string): Promise<number> {
  const info = await stat(path)
  if (!info.isDirectory()) return info.size
  const names = await readdir(path)
  return (await Promise.all(names.map(name => sizeOf(join(path, name))))).reduce((sum, each) => sum + each, 0)
}
