/**
 * Who may ask: rules that hold before anything else is looked at. A page of another site can make a browser send
 * requests to this machine, and a name that its owner lets point to 127.0.0.1 makes them look local; so every request
 * must name exactly this server, and come from its own page or from no page at all.
 */
import type { IncomingMessage } from 'node:http'
import { frameType, hostHeader } from '../../model/contract/host-api.ts'

/** Addresses are short: ids, paths below a model's folder. */
export const urlLengthLimit = 4096

export interface Refusal {
  readonly status: number
  readonly message: string
  readonly headers?: Readonly<Record<string, string>>
}

/** The names under which this server is asked; as text, since only these spellings are browsers' own. */
export function hostsOf(port: number): readonly string[] {
  return [`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`]
}

/** What is wrong with a request, whoever sent it; undefined when nothing is. */
export function refusalOf(request: IncomingMessage, port: number): Refusal | undefined {
  const { url = '', method = '', headers, rawHeaders } = request
  if (url.length > urlLengthLimit) return { status: 414, message: 'The address is too long.' }
  // `GET http://elsewhere/` is what one says to a proxy.
  if (!url.startsWith('/') || url.startsWith('//'))
    return { status: 400, message: 'The address is not a path.' }
  const names = rawHeaders.filter((_, at) => at % 2 === 0).map(name => name.toLowerCase())
  const host = headers.host
  if (
    names.filter(name => name === 'host').length !== 1 ||
    host === undefined ||
    !hostsOf(port).includes(host)
  )
    return { status: 403, message: 'This server answers on this machine only, under its own name.' }
  if (headers.origin !== undefined && headers.origin !== `http://${host}`)
    return { status: 403, message: 'Other pages may not ask this server.' }
  const site = headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin' && site !== 'none')
    return { status: 403, message: 'Other pages may not ask this server.' }
  if (method === 'GET' || method === 'HEAD') {
    // A body here is a way to smuggle the next request.
    const hasBody = headers['transfer-encoding'] !== undefined || (headers['content-length'] ?? '0') !== '0'
    return hasBody ? { status: 400, message: `${method} has no body.` } : undefined
  }
  if (method !== 'POST')
    return {
      status: 405,
      message: `${method.slice(0, 20)} is not answered.`,
      headers: { allow: 'GET, HEAD, POST' },
    }
  return writeRefusalOf(headers)
}

/**
 * What writes: a header of our own, which no form and no simple request of another page can send, and a type that is
 * none of theirs.
 */
function writeRefusalOf(headers: IncomingMessage['headers']): Refusal | undefined {
  if (headers[hostHeader] === undefined)
    return { status: 403, message: `The header ${hostHeader} is missing.` }
  const type = headers['content-type']
  const isTaken =
    type === undefined ||
    type === 'application/octet-stream' ||
    type === frameType ||
    isJson(type) ||
    /^image\/(png|jpeg|webp|avif)$/.test(type)
  return isTaken ? undefined : { status: 415, message: 'The body is of a type that is not taken.' }
}

/** Whether a body says that it is JSON. */
export function isJson(type: string | undefined): boolean {
  return /^application\/json(; ?charset=utf-8)?$/i.test(type ?? '')
}
