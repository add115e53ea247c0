/**
 * The window's door to the host: the preload's bridge in Electron, HTTP and server-sent events in a browser, and a host
 * in memory where neither answers. Screens use `host()` and the helpers for bytes, and never ask which it is.
 */
import type { AttuneBridge } from '../../model/contract/bridge.ts'
import { AttuneError } from '../../model/contract/errors.ts'
import { encodeFrame } from '../../model/contract/frames.ts'
import {
  frameType,
  type HostApi,
  hostHeader,
  type HostInput,
  type HostMethod,
  type HostParams,
  hostPaths,
  type HostResult,
  keptInputSchema,
  savedPictureSchema,
  type SavePictureHeader,
} from '../../model/contract/host-api.ts'
import { hostApiOfBridge } from './bridge.ts'
import { HttpHost } from './http.ts'
import { MemoryHost } from './memory.ts'

export type HostKind = 'electron' | 'browser' | 'memory'

/** What a picture's bytes are, as the engine gives them. */
export interface RawPicture {
  readonly width: number
  readonly height: number
  readonly channels: 1 | 3 | 4
  readonly data: Uint8Array
}

declare global {
  interface Window {
    /** Put there by Electron's preload (`bridgeName`). */
    attuneHost?: AttuneBridge
  }
}

/** Of a header in percent-encoding; the host takes four times as much in all. */
const longestHeader = 8192

let present: { readonly kind: HostKind; readonly api: HostApi; readonly memory?: MemoryHost } | undefined

const reachListeners = new Set<(isReached: boolean) => void>()

function tellReach(isReached: boolean): void {
  for (const listener of reachListeners) listener(isReached)
}

/** Called at each sign of whether the host can be reached; never where it is part of this program. */
export function onHostReach(listener: (isReached: boolean) => void): void {
  reachListeners.add(listener)
}

/** Finds the host; called once, before anything else asks for it. */
export async function connectHost(): Promise<HostKind> {
  if (window.attuneHost) {
    present = { kind: 'electron', api: hostApiOfBridge(window.attuneHost) }
  } else {
    const http = new HttpHost(tellReach)
    if (await http.answers()) present = { kind: 'browser', api: http }
    else {
      const memory = new MemoryHost()
      present = { kind: 'memory', api: memory, memory }
    }
  }
  return present.kind
}

/** For tests of components. */
export function connectMemoryHost(): MemoryHost {
  const memory = new MemoryHost()
  present = { kind: 'memory', api: memory, memory }
  return memory
}

function connected() {
  if (present) return present
  throw new AttuneError('internal', 'The host was asked before it was found.', 'Reload the window.')
}

export function host(): HostApi {
  return connected().api
}

export function hostKind(): HostKind {
  return connected().kind
}

/** @throws AttuneError */
export function callHost<M extends HostMethod>(
  method: M,
  ...[params]: {} extends HostParams<M> ? [params?: HostParams<M>] : [params: HostParams<M>]
): Promise<HostResult<M>> {
  return connected().api.call(method, (params ?? {}) as HostParams<M>)
}

/** Address of a picture's file. */
export function pictureUrl(id: number): string {
  return connected().memory?.pictureUrl(id) ?? hostPaths.picture(id)
}

export function thumbnailUrl(id: number, key: string): string {
  return connected().memory?.pictureUrl(id) ?? hostPaths.thumbnail(id, key)
}

/**
 * Keeps a picture that a drawing may take in.
 * @param blob a picture file of any kind that is read
 * @throws AttuneError `bad-file` when it is none
 */
export async function keepInput(blob: Blob): Promise<HostInput> {
  const { memory } = connected()
  if (memory) return memory.keepInput(blob)
  return keptInputSchema.parse(await (await postBytes(hostPaths.inputs, blob)).json())
}

/** Address of a kept picture; it need not be there any more. */
export function inputUrl(key: string): string {
  return connected().memory?.inputUrl(key) ?? hostPaths.input(key)
}

/** A kept picture as a PNG. @throws AttuneError `bad-file` when it is gone */
export async function inputBlob(key: string): Promise<Blob> {
  const answer = await fetch(inputUrl(key)).catch(() => undefined)
  if (answer?.ok) return answer.blob()
  throw new AttuneError('bad-file', 'The picture is no longer kept.', 'Choose it again.')
}

/**
 * Encodes, records and keeps a picture.
 * @returns its id in the gallery
 * @throws AttuneError
 */
export async function savePicture(
  picture: RawPicture,
  header: Omit<SavePictureHeader, 'width' | 'height' | 'channels'>,
): Promise<number> {
  const { width, height } = picture
  const memory = connected().memory
  if (memory) return memory.savePicture(picture, header)
  const channels = picture.channels === 4 ? 4 : 3
  const whole: SavePictureHeader = { ...header, width, height, channels }
  const answer = await postBytes(hostPaths.savePicture, rgbOf(picture), whole)
  return savedPictureSchema.parse(await answer.json()).id
}

/** Posts bytes with a header as the contract has it. @throws AttuneError */
export async function postBytes(path: string, body: Uint8Array | Blob, header?: unknown): Promise<Response> {
  const text = header === undefined ? '1' : encodeURIComponent(JSON.stringify(header))
  // Painted masks are longer than headers may be: then both travel as one frame.
  const asFrame = text.length > longestHeader
  const bytes = asFrame && body instanceof Blob ? new Uint8Array(await body.arrayBuffer()) : body
  let answer: Response
  try {
    answer = await fetch(path, {
      method: 'POST',
      body: (asFrame ? encodeFrame({ header, data: bytes }) : body) as BodyInit,
      headers: {
        'content-type': asFrame ? frameType : 'application/octet-stream',
        [hostHeader]: asFrame ? '1' : text,
      },
    })
  } catch (cause) {
    if (hostKind() === 'browser') tellReach(false)
    throw new AttuneError('network', 'The host does not answer.', 'Start it again.', { cause })
  }
  if (answer.ok) return answer
  throw await errorOf(answer)
}

/** The host's error, or one that names the status. */
async function errorOf(answer: Response): Promise<AttuneError> {
  const body = (await answer.json().catch(() => undefined)) as
    | { error?: { code?: string; message?: string; remedy?: string } }
    | undefined
  const { message, remedy } = body?.error ?? {}
  return new AttuneError(
    (body?.error?.code ?? 'internal') as AttuneError['code'],
    message ?? `The host answered ${answer.status}.`,
    remedy,
  )
}

function rgbOf({ channels, data, width, height }: RawPicture): Uint8Array {
  if (channels !== 1) return data
  const rgb = new Uint8Array(width * height * 3)
  data.forEach((value, at) => rgb.fill(value, at * 3, at * 3 + 3))
  return rgb
}
