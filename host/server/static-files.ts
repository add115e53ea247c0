/** The built window: index.html, its scripts, styles and onnxruntime's own files. */
import { extname } from 'node:path'
import { type ByteReply, fileReply, type FileQuestion } from '../service/byte-reply.ts'
import { fileInside, namesOfPath } from '../service/places.ts'
import { pageHeaders } from './headers.ts'

const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.wasm': 'application/wasm',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.webp': 'image/webp',
  '.woff2': 'font/woff2',
  '.txt': 'text/plain; charset=utf-8',
}

/**
 * A file of the window.
 * @param path of the address, still encoded, without its first slash; empty for the page itself
 * @returns undefined when there is none
 */
export async function staticReply(
  folder: string,
  path: string,
  question: FileQuestion,
): Promise<ByteReply | undefined> {
  const names = path === '' ? ['index.html'] : namesOfPath(path)
  const type = types[extname(names?.at(-1) ?? '').toLowerCase()]
  if (!names || !type || names.some(name => name.startsWith('.'))) return undefined
  const file = await fileInside(folder, names)
  if (file === undefined) return undefined
  // Names of built files hold a digest of their content.
  const isHashed = names[0] === 'assets'
  const cache = isHashed ? 'private, max-age=31536000, immutable' : 'no-cache'
  const reply = await fileReply(file, question, { type, cache })
  if (reply.status >= 400) return undefined
  return { ...reply, headers: { ...reply.headers, ...pageHeaders } }
}
