/**
 * JSON of strangers, most of it written by Python: with NaN and Infinity, with whole numbers that a double would
 * round (seeds of 64 bits), possibly megabytes long or a million levels deep. Checked in one pass before it is parsed.
 */

export const foreignJsonLimits = { length: 8 << 20, depth: 128 } as const

export type ForeignJson =
  | { readonly value: unknown; readonly problem?: never }
  | { readonly problem: string; readonly value?: never }

/**
 * Parses JSON as Python writes it. NaN and infinities become null; whole numbers beyond 2^53 become their decimal
 * text, so that a seed stays the seed it was.
 */
export function parseForeignJson(text: string): ForeignJson {
  if (text.length > foreignJsonLimits.length)
    return {
      problem: `its JSON has ${text.length} characters, more than the ${foreignJsonLimits.length} that are read`,
    }
  const prepared = prepare(text)
  if (prepared === undefined)
    return { problem: `its JSON is nested deeper than ${foreignJsonLimits.depth} levels` }
  try {
    return { value: JSON.parse(prepared, withoutPrototypes) as unknown }
  } catch {
    return { problem: 'its JSON is damaged' }
  }
}

/** `__proto__` in JSON is an own field, but copying it by assignment would change the copy's prototype. */
function withoutPrototypes(key: string, value: unknown): unknown {
  return key === '__proto__' ? undefined : value
}

/**
 * The text with unusual numbers replaced; undefined when it is too deep. A plain walk: a pattern for strings would
 * take quadratic time over a text of escaped quotes.
 */
function prepare(text: string): string | undefined {
  const parts: string[] = []
  let from = 0
  let depth = 0
  for (let at = 0; at < text.length; ) {
    const character = text.charAt(at)
    if (character === '"') {
      at = endOfString(text, at)
      continue
    }
    if (character === '[' || character === '{') {
      if (++depth > foreignJsonLimits.depth) return undefined
    } else if (character === ']' || character === '}') depth--
    else if (startsNumber.test(character)) {
      const end = endOfWord(text, at)
      const replacement = replaceNumber(text.slice(at, end))
      if (replacement !== undefined) {
        parts.push(text.slice(from, at), replacement)
        from = end
      }
      at = end
      continue
    }
    at++
  }
  return parts.length ? parts.join('') + text.slice(from) : text
}

const startsNumber = /[-\dNI]/
const inWord = /[-+.\w]/

function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const code = text.charCodeAt(at)
    if (code === 0x5c) at++
    else if (code === 0x22) return at + 1
  }
  return text.length
}

function endOfWord(text: string, start: number): number {
  let end = start + 1
  while (end < text.length && inWord.test(text.charAt(end))) end++
  return end
}

function replaceNumber(found: string): string | undefined {
  if (found === 'NaN' || found === 'Infinity' || found === '-Infinity') return 'null'
  const isLong = found.length > 15 && found.length < 400 && /^-?\d+$/.test(found)
  return isLong && !Number.isSafeInteger(Number(found)) ? `"${found}"` : undefined
}
