/** Small things that the service does with what it is given. */
import { readPngHeader } from '../../model/image/png-text.ts'

export function isPng(bytes: Uint8Array): boolean {
  try {
    readPngHeader(bytes)
    return true
  } catch {
    return false
  }
}

/** Without the fields that zod leaves as undefined. */
export function defined<T extends object>(value: T): { [K in keyof T]: Exclude<T[K], undefined> } {
  const entries = Object.entries(value).filter(([, field]) => field !== undefined)
  return Object.fromEntries(entries) as { [K in keyof T]: Exclude<T[K], undefined> }
}

/** The answer, or undefined when it fails or takes longer than so many milliseconds. */
export async function patiently<T>(
  work: Promise<T> | undefined,
  milliseconds: number,
): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>(done => {
    timer = setTimeout(() => done(undefined), milliseconds)
  })
  try {
    return await Promise.race([work?.catch(() => undefined), late])
  } finally {
    clearTimeout(timer)
  }
}
