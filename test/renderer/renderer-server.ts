/**
 * The built window over plain HTTP, as the loopback server has it but without a host: dist/renderer, and the embedded
 * model where the host would serve it. Cross-origin isolated, with a policy as strict as the window's.
 */
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const modelPath = '/host/models/storybook/'

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.mjs': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.wasm': 'application/wasm',
  '.png': 'image/png',
  '.svg': 'image/svg+xml',
}

/** Styles are set by Radix and CodeMirror; scripts come from files only. */
const policy = [
  "default-src 'self'",
  "script-src 'self' 'wasm-unsafe-eval'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' blob: data:",
  "connect-src 'self' blob:",
  "worker-src 'self' blob:",
].join('; ')

export interface RendererServer {
  readonly origin: string
  close(): Promise<void>
}

/**
 * Serves on 127.0.0.1.
 * @param options `modelDelay`: milliseconds before each answer about the model, for states while it opens; `folder`: of
 *   the built window, dist/renderer unless given
 */
export async function startRendererServer(
  options: { readonly modelDelay?: number; readonly folder?: string } = {},
): Promise<RendererServer> {
  const server = createServer((request, response) => {
    void (async () => {
      const asked = decodeURIComponent(new URL(request.url ?? '/', 'http://localhost').pathname)
      const path = asked === '/' ? '/index.html' : asked
      const isModel = path.startsWith(modelPath)
      const file = isModel
        ? join(root, 'assets/models/storybook', path.slice(modelPath.length))
        : join(options.folder ?? join(root, 'dist/renderer'), path)
      const info = normalize(path) === path ? await stat(file).catch(() => undefined) : undefined
      const headers = {
        'content-security-policy': policy,
        'cross-origin-opener-policy': 'same-origin',
        'cross-origin-embedder-policy': 'require-corp',
        'cache-control': 'no-store',
      }
      if (isModel && options.modelDelay) await new Promise(resolve => setTimeout(resolve, options.modelDelay))
      if (!info?.isFile()) {
        response.writeHead(404, headers).end()
        return
      }
      const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '')
      const start = Number(range?.[1] ?? 0)
      const end = range?.[2] ? Math.min(Number(range[2]), info.size - 1) : info.size - 1
      response.writeHead(range ? 206 : 200, {
        ...headers,
        'content-type': types[extname(file)] ?? 'application/octet-stream',
        'content-length': end - start + 1,
        'accept-ranges': 'bytes',
        ...(range && { 'content-range': `bytes ${start}-${end}/${info.size}` }),
      })
      if (request.method === 'HEAD' || info.size === 0) response.end()
      else createReadStream(file, { start, end }).pipe(response)
    })().catch(() => response.destroy())
  })
  await new Promise<void>(resolve => {
    server.listen(0, '127.0.0.1', resolve)
  })
  return {
    origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise(resolve => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
