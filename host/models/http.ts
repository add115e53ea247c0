/**
 * Asking servers for files: redirects are followed by hand, so that each is checked; names are resolved by us, so that
 * the address that was checked is the one that is spoken to; a token goes to the host it is meant for and to no
 * other. Proxies of the environment are not used.
 */
import { lookup as resolveName, type LookupAddress, type LookupOptions } from 'node:dns'
import { type IncomingMessage, get as getPlain, type RequestOptions } from 'node:http'
import { get as getSecure } from 'node:https'
import { BlockList, isIP } from 'node:net'
import { AttuneError } from '../../model/contract/errors.ts'

export interface HttpPolicy {
  /** Plain http, and addresses of this machine and its network: for tests and servers of one's own. */
  readonly allowInsecure?: boolean
  readonly allowPrivate?: boolean
  readonly maxRedirects?: number
  /** Milliseconds until the headers must be there. */
  readonly headerTimeout?: number
  /** Sent as a bearer token to `host` only. */
  readonly token?: { readonly host: string; readonly value: string }
  /** Further trusted certificates (PEM). */
  readonly ca?: string
}

const defaults = { maxRedirects: 5, headerTimeout: 30_000 } as const

/** An error of the network: worth another try. */
export class NetworkError extends AttuneError {
  /** Milliseconds that the server asks to wait. */
  readonly retryAfter: number | undefined

  constructor(message: string, remedy: string, options: ErrorOptions & { retryAfter?: number } = {}) {
    super('network', message, remedy, options)
    this.retryAfter = options.retryAfter
  }
}

export interface HttpAnswer {
  readonly response: IncomingMessage
  /** Where the last redirect led. */
  readonly url: URL
}

/**
 * Opens a GET request and follows redirects.
 * @throws NetworkError when it may work later; AttuneError when the address or a redirect is refused
 */
export async function openUrl(
  address: string,
  headers: Readonly<Record<string, string>>,
  policy: HttpPolicy,
  signal: AbortSignal,
): Promise<HttpAnswer> {
  let url = parseUrl(address, policy)
  const most = policy.maxRedirects ?? defaults.maxRedirects
  for (let redirects = 0; ; redirects++) {
    const response = await request(url, headers, policy, signal)
    const { statusCode = 0 } = response
    const location = response.headers.location
    if (![301, 302, 303, 307, 308].includes(statusCode) || location === undefined) return { response, url }
    response.destroy()
    if (redirects >= most)
      throw refused(
        `${hostOf(url)} redirects more than ${most} times`,
        'Check the address, or try again later.',
      )
    const next = parseUrl(new URL(location, url).href, policy)
    checkRedirect(url, next)
    url = next
  }
}

/** @throws AttuneError when a redirect leads from a protected connection to an open one */
export function checkRedirect(from: URL, to: URL): void {
  if (from.protocol === 'https:' && to.protocol !== 'https:')
    throw refused(
      `${hostOf(from)} redirects to an unprotected address (${to.protocol}//${to.host})`,
      'Report it to the site; a file from there could have been changed by anybody on the way.',
    )
}

function parseUrl(address: string, policy: HttpPolicy): URL {
  const url = URL.canParse(address) ? new URL(address) : undefined
  if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:'))
    throw new AttuneError(
      'bad-argument',
      'This is not the address of a file on the web.',
      'Give one that begins with https://.',
    )
  if (url.username || url.password)
    throw new AttuneError('bad-argument', 'The address contains a name or a password.', 'Leave them out.')
  if (url.protocol === 'http:' && !policy.allowInsecure)
    throw refused(
      `${hostOf(url)} is reached without protection (http)`,
      'Use the address that begins with https://.',
    )
  const host = url.hostname.replace(/^\[|\]$/g, '')
  if (
    !policy.allowPrivate &&
    (isIP(host) ? isPrivateAddress(host) : /^localhost\.?$|\.localhost\.?$/i.test(host))
  )
    throw privateAddress(url)
  return url
}

function request(
  url: URL,
  headers: Readonly<Record<string, string>>,
  policy: HttpPolicy,
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const token = policy.token?.host === url.host && url.protocol === 'https:' ? policy.token.value : undefined
  const options: RequestOptions & { ca?: string } = {
    headers: {
      'user-agent': 'Attune',
      // A compressed answer would have another length, and other bytes at each offset.
      'accept-encoding': 'identity',
      ...headers,
      ...(token !== undefined && { authorization: `Bearer ${token}` }),
    },
    agent: false,
    signal,
    ...(policy.ca !== undefined && { ca: policy.ca }),
    ...(!policy.allowPrivate && { lookup: publicLookup as RequestOptions['lookup'] & {} }),
  }
  return new Promise((resolve, reject) => {
    const get = url.protocol === 'https:' ? getSecure : getPlain
    const message = get(url, options)
    const timer = setTimeout(
      () => message.destroy(Object.assign(new Error('no answer'), { code: 'ETIMEDOUT' })),
      policy.headerTimeout ?? defaults.headerTimeout,
    )
    message.once('response', response => {
      clearTimeout(timer)
      resolve(response)
    })
    message.once('error', error => {
      clearTimeout(timer)
      reject(signal.aborted ? (signal.reason as Error) : networkError(url, error))
    })
  })
}

/** Resolves a name and refuses it when any of its addresses is private: the checked one is then connected to. */
function publicLookup(
  name: string,
  options: LookupOptions,
  callback: (error: Error | null, address: string | LookupAddress[], family?: number) => void,
): void {
  resolveName(name, { ...options, all: true }, (error, addresses) => {
    if (error) return callback(error, '')
    const [first] = addresses
    if (!first || addresses.some(({ address }) => isPrivateAddress(address)))
      return callback(Object.assign(new Error('private address'), { code: 'EPRIVATE' }), '')
    if (options.all) callback(null, addresses)
    else callback(null, first.address, first.family)
  })
}

const privateRanges = new BlockList()
for (const [network, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['224.0.0.0', 3],
] as const)
  privateRanges.addSubnet(network, bits, 'ipv4')
for (const [network, bits] of [
  ['::', 128],
  ['::1', 128],
  ['fc00::', 7],
  ['fe80::', 10],
  ['ff00::', 8],
  // Ways to write an IPv4 address in IPv6: translation, 6to4, Teredo.
  ['64:ff9b::', 96],
  ['2002::', 16],
  ['2001::', 32],
] as const)
  privateRanges.addSubnet(network, bits, 'ipv6')

/** Whether an address is of this machine, its network, or otherwise not of the public internet. */
export function isPrivateAddress(address: string): boolean {
  const plain = address.split('%', 1)[0] ?? address
  const family = isIP(plain)
  if (family === 4) return privateRanges.check(plain, 'ipv4')
  if (family !== 6) return true
  // ::ffff:127.0.0.1 is checked as what it stands for, by BlockList itself.
  return privateRanges.check(plain, 'ipv6')
}

function privateAddress(url: URL): AttuneError {
  return refused(
    `${hostOf(url)} is an address of this machine or its network`,
    'Models are downloaded from the public web only.',
  )
}

function refused(what: string, remedy: string): AttuneError {
  return new AttuneError('unsupported', `The download is refused: ${what}.`, remedy)
}

/** Names of hosts can be shown: URL has turned them into ASCII. */
function hostOf(url: URL): string {
  return url.host.slice(0, 200)
}

function networkError(url: URL, error: Error): AttuneError {
  const code = 'code' in error ? String(error.code) : ''
  const host = hostOf(url)
  if (code === 'EPRIVATE') return privateAddress(url)
  if (/CERT|SELF_SIGNED|UNABLE_TO|ERR_TLS|SSL|EPROTO/.test(code)) {
    return new AttuneError(
      'unsupported',
      `The certificate of ${host} is not valid (${code}).`,
      'Check that the clock of this machine is right; on a network with a sign-in page, sign in first.',
      { cause: error },
    )
  }
  const [why, remedy] = causes[code] ?? [`the connection failed (${code || error.message})`, tryAgain]
  return new NetworkError(`${host} cannot be reached: ${why}.`, remedy, { cause: error })
}

const tryAgain = 'Check the connection, and resume the download.'
const causes: Readonly<Record<string, readonly [why: string, remedy: string]>> = {
  ENOTFOUND: ['its name is not known', 'Check the address and the connection.'],
  EAI_AGAIN: ['names cannot be looked up', 'Check the connection.'],
  ECONNREFUSED: ['it refuses the connection', 'Try again later.'],
  ECONNRESET: ['it broke off the connection', tryAgain],
  ETIMEDOUT: ['it does not answer', tryAgain],
  ENETUNREACH: ['there is no network', tryAgain],
}
