/**
 * A web server for tests of the engine in a page: the bundled Worker and page script, onnxruntime's own files, and model
 * folders with range requests. Cross-origin isolated, as Electron's pages and the loopback server are.
 */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('../..', import.meta.url))
const runtimeFolder = join(root, 'node_modules/onnxruntime-web/dist')

export interface PageServerOptions {
  /** Model folders by the name under which they are served: `/models/NAME/…`. */
  readonly models: Readonly<Record<string, string>>
  /** The page's script, relative to the repository; only models are served when absent. */
  readonly page?: string
  /** Takes a request before the server does; false leaves it to the server. For servers that misbehave. */
  readonly intercept?: (request: IncomingMessage, response: ServerResponse) => boolean
}

export interface PageServer {
  /** Without a slash at the end. */
  readonly origin: string
  /** What was asked for so far, in order: path and Range header. */
  readonly requests: readonly { readonly path: string; readonly range: string | undefined }[]
  /** Bundling, in milliseconds: no part of what a page costs. */
  readonly bundleMilliseconds: number
  close(): Promise<void>
}

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.json': 'application/json',
  '.txt': 'text/plain; charset=utf-8',
  '.wasm': 'application/wasm',
}

const isolation = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
  'cross-origin-resource-policy': 'same-origin',
}

const html = `<!doctype html><html lang="en"><meta charset="utf-8"><title>Attune engine test</title>
<link rel="icon" href="data:,"><script type="module" src="/page.js"></script></html>`

/** Serves on 127.0.0.1, on a port of the system's choice. */
export async function startPageServer(options: PageServerOptions): Promise<PageServer> {
  const started = performance.now()
  const scripts = options.page === undefined ? new Map<string, Uint8Array>() : await bundle(options.page)
  const bundleMilliseconds = performance.now() - started
  const requests: { path: string; range: string | undefined }[] = []

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const path = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname)
    requests.push({ path, range: request.headers.range })
    if (options.intercept?.(request, response)) return
    const script = path === '/' ? new TextEncoder().encode(html) : scripts.get(path)
    if (script) {
      const type = types[path === '/' ? '.html' : extname(path)] ?? 'application/octet-stream'
      response.writeHead(200, { ...isolation, 'content-type': type, 'content-length': script.byteLength })
      response.end(script)
      return
    }
    const file = fileOf(path, options.models)
    const info = file ? await stat(file).catch(() => undefined) : undefined
    if (!file || !info?.isFile()) {
      response.writeHead(404, isolation).end()
      return
    }
    sendFile(request, response, file, info.size, `"${info.size}-${info.mtimeMs}"`)
  }

  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      console.error(error)
      response.destroy()
    })
  })
  await new Promise<void>(resolve => {
    server.listen(0, '127.0.0.1', resolve)
  })
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    bundleMilliseconds,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** The page's script and the Worker's as one file each, by path. */
async function bundle(page: string): Promise<Map<string, Uint8Array>> {
  const { outputFiles } = await build({
    entryPoints: { page: join(root, page), worker: join(root, 'model/worker/engine.ts') },
    outdir: '/',
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'browser',
    target: 'chrome120',
    // Without the WebGPU provider, which nothing here uses: half the size.
    alias: { 'onnxruntime-web': 'onnxruntime-web/wasm' },
    logLevel: 'error',
  })
  return new Map(outputFiles.map(({ path, contents }) => [`/${path.split(/[\\/]/).pop()}`, contents]))
}

/** `/ort/FILE` and `/models/NAME/PATH`; nothing outside of these folders. */
function fileOf(path: string, models: Readonly<Record<string, string>>): string | undefined {
  if (normalize(path).replaceAll('\\', '/') !== path) return undefined
  const [, top, name = '', ...rest] = path.split('/')
  if (top === 'ort' && rest.length === 0) return join(runtimeFolder, name)
  const folder = top === 'models' ? models[name] : undefined
  return folder && join(folder, ...rest)
}

function sendFile(
  request: IncomingMessage,
  response: ServerResponse,
  file: string,
  size: number,
  etag: string,
): void {
  const common = {
    ...isolation,
    'content-type': types[extname(file)] ?? 'application/octet-stream',
    'accept-ranges': 'bytes',
    'cache-control': 'no-store',
    etag,
  }
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '')
  const start = Number(range?.[1] ?? 0)
  const end = Math.min(range?.[2] ? Number(range[2]) : size - 1, size - 1)
  if (range && start >= size) {
    response.writeHead(416, { ...common, 'content-range': `bytes */${size}` }).end()
    return
  }
  response.writeHead(range ? 206 : 200, {
    ...common,
    'content-length': end - start + 1,
    ...(range && { 'content-range': `bytes ${start}-${end}/${size}` }),
  })
  if (request.method === 'HEAD' || size === 0) response.end()
  else
    createReadStream(file, { start, end })
      .on('error', () => response.destroy())
      .pipe(response)
}
