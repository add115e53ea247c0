/** Names of files that come from addresses, headers and lists of strangers. */
import { AttuneError } from '../../model/contract/errors.ts'

const lengthLimit = 120
/** Names that are devices on Windows, whatever their ending. */
const devices = /^(con|prn|aux|nul|com\d|lpt\d)(\..*)?$/i

/**
 * One safe component of a path: no separators, no dots at either end, nothing that a system keeps for itself.
 * @returns undefined when nothing is left
 */
export function safeFileName(name: string): string | undefined {
  const last = name.normalize('NFC').split(/[/\\]/).at(-1) ?? ''
  const clean = last
    // Controls, what Windows forbids, and invisible or direction-changing characters.
    .replaceAll(/[\p{C}<>:"|?*\u2028\u2029]/gu, '')
    .replaceAll(/\s+/g, ' ')
    .replace(/^[. ]+/, '')
  const dot = clean.lastIndexOf('.')
  const extension = dot > 0 && clean.length - dot <= 16 ? clean.slice(dot) : ''
  const stem = clean.slice(0, clean.length - extension.length)
  const short = (stem.slice(0, lengthLimit - extension.length) + extension).replace(/[. ]+$/, '')
  if (short === '') return undefined
  return devices.test(short) ? `_${short}` : short
}

/**
 * A path inside a folder, from a list of files: every part must be safe as it is. A list is not repaired: a name that
 * would have to be changed is a name that somebody chose to do harm.
 * @throws AttuneError `bad-argument`
 */
export function checkRelativePath(path: string): string {
  const parts = path.split('/')
  const isSafe = parts.length <= 10 && parts.every(part => part !== '' && safeFileName(part) === part)
  if (isSafe) return path
  throw new AttuneError(
    'bad-argument',
    `The list of files names ${JSON.stringify(path.slice(0, 80))}, which is no safe name for a file.`,
    'Get the model from another place.',
  )
}

/** The name of a file by its address. */
export function nameFromUrl(address: string): string | undefined {
  if (!URL.canParse(address)) return undefined
  const last = new URL(address).pathname.split('/').at(-1) ?? ''
  try {
    return safeFileName(decodeURIComponent(last))
  } catch {
    return safeFileName(last)
  }
}

/** The name in a Content-Disposition header; RFC 6266's `filename*` before `filename`. */
export function nameFromDisposition(header: string): string | undefined {
  const text = header.slice(0, 10_000)
  const extended = /filename\*\s*=\s*utf-8'[^']*'([^;\s]+)/i.exec(text)?.[1]
  if (extended !== undefined) {
    try {
      return safeFileName(decodeURIComponent(extended))
    } catch {
      // Not what it claims to be: the plain one may be.
    }
  }
  const plain = /filename\s*=\s*(?:"((?:[^"\\]|\\.){0,2000})"|([^;\s]+))/i.exec(text)
  const name = plain?.[1]?.replaceAll(/\\(.)/g, '$1') ?? plain?.[2]
  return name === undefined ? undefined : safeFileName(name)
}
