/**
 * Files of one folder as answers to requests: decoded once, resolved, kept inside by `path.relative` and again by the
 * real path (a symlink leads out otherwise); streamed, with ranges. No Electron here.
 */
import { createReadStream } from 'node:fs'
import { realpath, stat } from 'node:fs/promises'
import { extname, isAbsolute, join, relative, sep } from 'node:path'
import { Readable } from 'node:stream'

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.txt': 'text/plain; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.webp': 'image/webp',
  '.ico': 'image/x-icon',
  '.woff2': 'font/woff2',
  '.wasm': 'application/wasm',
}

/**
 * The path inside a folder that an address names, in the system's own notation; undefined when it could mean a place
 * outside on any system: `..`, a backslash, a drive, an encoded slash or percent sign (which a second decoding would
 * open), control characters.
 * @param pathname of a parsed URL, still encoded
 */
export function innerPath(pathname: string): string | undefined {
  // An encoded slash is no separator to the URL parser, and would be one after decoding.
  if (/%2f|%5c|%25|%00/i.test(pathname)) return undefined
  let path: string
  try {
    path = decodeURIComponent(pathname)
  } catch {
    return undefined
  }
  // eslint-disable-next-line no-control-regex
  if (/[\u0000-\u001f\\:*?"<>|]/.test(path)) return undefined
  const parts = path.split('/').filter(part => part !== '')
  // Windows drops trailing dots and spaces: `.. ` would be `..`.
  if (parts.some(part => part === '.' || part === '..' || /[. ]$/.test(part))) return undefined
  return parts.join(sep)
}

/** Whether a path lies in a folder, by parts and not by letters. */
export function isInside(folder: string, path: string): boolean {
  const way = relative(folder, path)
  return way !== '' && way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way)
}

/**
 * Answers a GET or HEAD with a file of the folder; `/` is `index.html`. Everything that is not there, or not inside,
 * is 404 alike, so that an answer never tells what exists elsewhere.
 */
export async function answerFile(
  folder: string,
  request: Request,
  headers: Readonly<Record<string, string>>,
): Promise<Response> {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return new Response(null, { status: 405, headers: { ...headers, allow: 'GET, HEAD' } })
  }
  const found = await findFile(folder, new URL(request.url).pathname)
  if (!found) return new Response(null, { status: 404, headers })
  const { path, size } = found
  const common = {
    ...headers,
    'content-type': types[extname(path).toLowerCase()] ?? 'application/octet-stream',
    'accept-ranges': 'bytes',
    'cache-control': 'no-cache',
  }
  const range = parseRange(request.headers.get('range'), size)
  if (range === 'outside') {
    return new Response(null, { status: 416, headers: { ...common, 'content-range': `bytes */${size}` } })
  }
  const { start, end } = range ?? { start: 0, end: size - 1 }
  const body =
    request.method === 'HEAD' || size === 0
      ? null
      : // Node's stream type and the page's are the same thing with two declarations.
        (Readable.toWeb(createReadStream(path, { start, end })) as ReadableStream<Uint8Array>)
  return new Response(body, {
    status: range ? 206 : 200,
    headers: {
      ...common,
      'content-length': String(end - start + 1),
      ...(range && { 'content-range': `bytes ${start}-${end}/${size}` }),
    },
  })
}

async function findFile(
  folder: string,
  pathname: string,
): Promise<{ path: string; size: number } | undefined> {
  const inner = innerPath(pathname)
  if (inner === undefined) return undefined
  const path = join(folder, inner === '' ? 'index.html' : inner)
  if (!isInside(folder, path)) return undefined
  try {
    const real = await realpath(path)
    if (!isInside(await realpath(folder), real)) return undefined
    const info = await stat(real)
    return info.isFile() ? { path: real, size: info.size } : undefined
  } catch {
    return undefined
  }
}

/**
 * A Range header of one range.
 * @returns undefined for none, or for one that is not understood: the whole file is a right answer then
 */
export function parseRange(
  header: string | null,
  size: number,
): { start: number; end: number } | 'outside' | undefined {
  const found = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(header ?? '')
  if (!found) return undefined
  const [, first = '', last = ''] = found
  if (first === '' && last === '') return undefined
  if (first === '') {
    const count = Math.min(Number(last), size)
    return count === 0 ? 'outside' : { start: size - count, end: size - 1 }
  }
  const start = Number(first)
  if (last !== '' && Number(last) < start) return undefined
  return start >= size ? 'outside' : { start, end: last === '' ? size - 1 : Math.min(Number(last), size - 1) }
}
