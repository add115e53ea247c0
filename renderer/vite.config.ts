/**
 * Builds the window to dist/renderer: relative addresses, so that the same files are served by Electron's `app://`, by
 * the loopback server and from any folder; no inline scripts, so that a strict policy can hold.
 */
import { createReadStream, readFileSync, statSync } from 'node:fs'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import tailwind from '@tailwindcss/vite'
import react from '@vitejs/plugin-react'
import { defineConfig, type Plugin } from 'vite'

const root = fileURLToPath(new URL('.', import.meta.url))
const repository = join(root, '..')
const runtime = join(repository, 'node_modules/onnxruntime-web/dist')
const runtimeFiles = ['ort-wasm-simd-threaded.mjs', 'ort-wasm-simd-threaded.wasm']

const types: Readonly<Record<string, string>> = {
  '.mjs': 'text/javascript',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
}

/**
 * onnxruntime's own files lie beside the page as `ort/`, whole: its threads load them by name. While developing, the
 * embedded model is served where the host would serve it.
 */
function attuneFiles(): Plugin {
  const served: Readonly<Record<string, string>> = {
    '/ort/': runtime,
    '/host/models/storybook/': join(repository, 'assets/models/storybook'),
  }
  return {
    name: 'attune-files',
    generateBundle() {
      for (const name of runtimeFiles) {
        this.emitFile({ type: 'asset', fileName: `ort/${name}`, source: readFileSync(join(runtime, name)) })
      }
    },
    configureServer(server) {
      server.middlewares.use((request, response, next) => {
        const path = decodeURIComponent((request.url ?? '').split('?')[0] ?? '')
        const prefix = Object.keys(served).find(each => path.startsWith(each))
        if (prefix === undefined || normalize(path) !== path) return next()
        const file = join(served[prefix] ?? '', path.slice(prefix.length))
        const info = statSync(file, { throwIfNoEntry: false })
        if (!info?.isFile()) {
          response.writeHead(404).end()
          return
        }
        const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '')
        const start = Number(range?.[1] ?? 0)
        const end = range?.[2] ? Math.min(Number(range[2]), info.size - 1) : info.size - 1
        response.writeHead(range ? 206 : 200, {
          'content-type': types[extname(file)] ?? 'application/octet-stream',
          'content-length': end - start + 1,
          'accept-ranges': 'bytes',
          ...(range && { 'content-range': `bytes ${start}-${end}/${info.size}` }),
        })
        createReadStream(file, { start, end }).pipe(response)
      })
    },
  }
}

export default defineConfig({
  root,
  base: './',
  cacheDir: join(repository, 'node_modules/.vite/renderer'),
  plugins: [react(), tailwind(), attuneFiles()],
  resolve: {
    // Without the WebGPU provider and without the copy of the .wasm that its bundle would bring.
    alias: { 'onnxruntime-web': join(runtime, 'ort.wasm.min.mjs') },
  },
  worker: { format: 'es' },
  server: {
    headers: {
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-embedder-policy': 'require-corp',
    },
  },
  build: {
    outDir: join(repository, 'dist/renderer'),
    emptyOutDir: true,
    target: 'chrome120',
    // Data addresses would need holes in the policy.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1200,
  },
})
