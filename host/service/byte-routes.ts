/**
 * The addresses of bytes (`hostPaths`), for every transport. The transport has checked who asks; here only what is
 * asked for is looked at.
 */
import { decodeFrame } from '../../model/contract/frames.ts'
import { frameType, hostHeader } from '../../model/contract/host-api.ts'
import { AttuneError } from '../../model/contract/errors.ts'
import { recordingByteLimit } from '../../model/attention/recording.ts'
import {
  bytesReply,
  type ByteReply,
  errorReply,
  fileReply,
  type FileQuestion,
  jsonReply,
  statusReply,
} from './byte-reply.ts'
import { inputByteLimit } from './inputs.ts'
import { isPlainName, namesOfPath } from './places.ts'
import { pixelBytesOf, recipeByteLimit } from './pictures.ts'
import type { HostService } from './service.ts'

export interface ByteRequest {
  readonly method: string
  /** Of the address, still encoded, relative to the page's own: `host/pictures/3`. */
  readonly path: string
  readonly query: URLSearchParams
  /** @param name in lower case */
  header(name: string): string | undefined
  /** The whole body. @throws AttuneError `bad-argument` when it is larger than `limit` */
  body(limit: number): Promise<Uint8Array>
}

/** Of a frame: what its JSON may have beside the bytes. */
const frameMargin = 8 << 20
/** Maps of larger recordings are exported by the command line, which need not hold them twice. */
const mapsByteLimit = Math.min(512 << 20, recordingByteLimit)
const pngSignature = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)
const webpSignature = new TextEncoder().encode('RIFF')

/** @returns undefined when the address is none of bytes */
export async function answerBytes(
  service: HostService,
  request: ByteRequest,
): Promise<ByteReply | undefined> {
  const names = namesOfPath(request.path)
  if (!names) return request.path.startsWith('host/') ? notThere() : undefined
  const [top, room, ...rest] = names
  if (top !== 'host') return undefined
  try {
    switch (room) {
      case 'pictures':
        if (rest.length === 0) return await only(request, ['POST'], () => save(service, request))
        return await only(request, ['GET', 'HEAD'], () => picture(service, request, rest))
      case 'thumbnails':
        return await only(request, ['GET', 'HEAD'], () => thumbnail(service, request, rest))
      case 'recipe':
        if (rest.length > 0) return notThere()
        return await only(request, ['POST'], async () => {
          const bytes = await request.body(recipeByteLimit)
          return jsonReply(200, await service.readRecipe(bytes))
        })
      case 'maps':
        if (rest.length > 0) return notThere()
        return await only(request, ['POST'], () => maps(service, request))
      case 'inputs':
        if (rest.length === 0)
          return await only(request, ['POST'], async () =>
            jsonReply(200, await service.inputs.add(await request.body(inputByteLimit))),
          )
        return await only(request, ['GET', 'HEAD'], () => input(service, request, rest))
      case 'models':
        return await only(request, ['GET', 'HEAD'], () => model(service, request, rest))
      default:
        return undefined
    }
  } catch (error) {
    return errorReply(error)
  }
}

const notThere = (): ByteReply => statusReply(404, 'There is nothing at this address.')

async function only(
  request: ByteRequest,
  methods: readonly string[],
  answer: () => Promise<ByteReply>,
): Promise<ByteReply> {
  if (methods.includes(request.method)) return answer()
  return statusReply(405, `${request.method} is not answered here.`, { allow: methods.join(', ') })
}

async function save(service: HostService, request: ByteRequest): Promise<ByteReply> {
  const { header, data } = await withHeader(request, pixelBytesOf)
  return jsonReply(200, await service.savePicture(header, data))
}

async function maps(service: HostService, request: ByteRequest): Promise<ByteReply> {
  const { header, data } = await withHeader(request, () => mapsByteLimit)
  const answer = await service.exportMaps(header, data)
  if (answer.kind !== 'zip') return jsonReply(200, answer.value)
  return bytesReply(answer.bytes, 'application/zip', {
    'content-disposition': 'attachment; filename="maps.zip"',
  })
}

/** What stands beside the bytes: in a header, or with them in a frame. */
async function withHeader(
  request: ByteRequest,
  limitOf: (header: unknown) => number,
): Promise<{ header: unknown; data: Uint8Array }> {
  if (request.header('content-type') !== frameType) {
    const header = headerOf(request.header(hostHeader))
    return { header, data: await request.body(limitOf(header)) }
  }
  const frame = await request.body(mapsByteLimit + frameMargin)
  const message = decodeFrame(frame) as { header?: unknown; data?: unknown } | null
  if (typeof message !== 'object' || message === null || !(message.data instanceof Uint8Array))
    throw new AttuneError('bad-argument', 'The frame holds no header and data.', 'Reload the window.')
  return { header: message.header, data: message.data }
}

function headerOf(text: string | undefined): unknown {
  try {
    return JSON.parse(decodeURIComponent(text ?? ''))
  } catch (cause) {
    throw new AttuneError(
      'bad-argument',
      `The header ${hostHeader} is not percent-encoded JSON.`,
      'Reload the window.',
      { cause },
    )
  }
}

function questionOf(request: ByteRequest): FileQuestion {
  return {
    method: request.method,
    range: request.header('range'),
    ifRange: request.header('if-range'),
    ifNoneMatch: request.header('if-none-match'),
  }
}

/** A number as the gallery counts. */
function idOf(names: readonly string[]): number | undefined {
  const [text = ''] = names
  return names.length === 1 && /^[1-9]\d{0,14}$/.test(text) ? Number(text) : undefined
}

async function picture(
  service: HostService,
  request: ByteRequest,
  names: readonly string[],
): Promise<ByteReply> {
  const id = idOf(names)
  const path = id === undefined ? undefined : await service.picturePath(id).catch(() => undefined)
  if (path === undefined) return notThere()
  // A link called .png may lead to anything: only pictures leave.
  return fileReply(path, questionOf(request), { type: 'image/png', signature: pngSignature })
}

/** Under the digest of its content it never changes. */
async function input(
  service: HostService,
  request: ByteRequest,
  names: readonly string[],
): Promise<ByteReply> {
  const path = names.length === 1 ? await service.inputs.path(names[0] ?? '') : undefined
  if (path === undefined) return notThere()
  const cache = 'private, max-age=31536000, immutable'
  return fileReply(path, questionOf(request), { type: 'image/png', cache, signature: pngSignature })
}

async function thumbnail(
  service: HostService,
  request: ByteRequest,
  names: readonly string[],
): Promise<ByteReply> {
  const id = idOf(names)
  if (id === undefined) return notThere()
  const { path, key } = await service.thumbnail(id)
  // Under the key of its content it never changes.
  const cache =
    request.query.get('key') === key ? 'private, max-age=31536000, immutable' : 'private, no-cache'
  return fileReply(path, questionOf(request), { type: 'image/webp', cache, signature: webpSignature })
}

async function model(
  service: HostService,
  request: ByteRequest,
  [id = '', ...names]: readonly string[],
): Promise<ByteReply> {
  const path = names.every(isPlainName) ? await service.modelFile(id, names) : undefined
  if (path === undefined) return notThere()
  const type = /\.json$/i.test(path)
    ? 'application/json'
    : /\.txt$/i.test(path)
      ? 'text/plain; charset=utf-8'
      : 'application/octet-stream'
  return fileReply(path, questionOf(request), { type })
}
