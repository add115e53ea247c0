/** An application folder for tests: the shell's own main and preload bundles, a stub host, and a page of a few lines. */
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildWindow } from '../window.ts'
import { buildElectron } from '../../../scripts/build-electron.ts'

const root = fileURLToPath(new URL('../../..', import.meta.url))

const page = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Test page</title>
<link rel="icon" href="./icon.png"><script type="module" src="./page.js"></script><body><p id="state">loading</p></body></html>`

const script = `
const { attuneHost } = window
globalThis.events = []
attuneHost.subscribe(event => events.push(event))
globalThis.call = (method, params) => attuneHost.call(method, params)
document.querySelector('#state').textContent = 'ready'
document.title = 'Attune test'
`

/**
 * Builds the application; its bundles are the ones that are shipped, but for the host.
 * @param host `real`: the product's own, with the embedded model and the repository's packages; `window`: the same with
 *   the product's own window
 */
export async function makeShellApp(folder: string, host: 'stub' | 'real' | 'window' = 'stub'): Promise<void> {
  const dist = join(folder, 'dist')
  const renderer = join(dist, 'renderer')
  await mkdir(renderer, { recursive: true })
  await Promise.all([
    buildElectron({
      outdir: dist,
      ...(host === 'stub' && { host: fileURLToPath(new URL('stub-host.ts', import.meta.url)) }),
    }),
    ...(host === 'stub'
      ? []
      : ['assets', 'node_modules'].map(name => symlink(join(root, name), join(folder, name)))),
  ])
  if (host === 'window') {
    buildWindow(renderer)
    return
  }
  await Promise.all([
    writeFile(join(renderer, 'index.html'), page),
    writeFile(join(renderer, 'page.js'), script),
    writeFile(join(renderer, 'icon.png'), Uint8Array.of(0x89, 0x50, 0x4e, 0x47)),
    writeFile(join(renderer, 'big.wasm'), new Uint8Array(200_000).fill(7)),
  ])
}
