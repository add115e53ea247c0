/**
 * The A1111 "infotext": the text that image sites and other generators read from a PNG's `parameters`. Prompt,
 * then `Negative prompt: …`, then one line of `Key: value` pairs.
 *
 * Format: AUTOMATIC1111/stable-diffusion-webui, modules/infotext_utils.py and modules/processing.py. Some texts
 * cannot be told apart in it (a prompt with its own line "Negative prompt:", lines with outer spaces); the JSON
 * record beside it is exact.
 */
import type { PictureRecord } from '../contract/record.ts'
import type { NoiseGenerator, Sampler } from '../contract/request.ts'

/** The PNG text keyword. */
export const infotextKeyword = 'parameters'

export interface Infotext {
  readonly prompt: string
  readonly negativePrompt: string
  /** Parameters in the order of the text. Sizes (`512x768`) stay one value. */
  readonly parameters: ReadonlyMap<string, string>
}

/** A line counts as parameters from this many pairs on. */
const fewestPairs = 3
/** Longest text that is parsed. */
const lengthLimit = 1 << 20

// A1111's pattern, less its leading \s* and with a longest key: both would make hostile text quadratic.
const pair = /([\p{L}\p{N}_][\p{L}\p{N}_ \-/]{1,100}):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)/gu
const negativeStart = 'Negative prompt:'

/**
 * Writes an infotext. Empty values are left out, since they cannot be read back; so are keys that a reader would
 * not see (one letter, or other characters than letters, digits, space, hyphen and slash).
 */
export function writeInfotext(infotext: Infotext): string {
  const pairs: string[] = []
  for (const [key, value] of infotext.parameters) {
    if (value === '' || !/^[\p{L}\p{N}_][\p{L}\p{N}_ \-/]+$/u.test(key)) continue
    pairs.push(key === value ? key : `${key}: ${quote(value)}`)
  }
  const negative = infotext.negativePrompt === '' ? '' : `\n${negativeStart} ${infotext.negativePrompt}`
  return `${infotext.prompt}${negative}\n${pairs.join(', ')}`.trim()
}

/**
 * A value with a comma, a colon or a newline is a JSON string. Beyond A1111, which writes the following bare and
 * loses them on reading: values that begin with a quote, and values with outer spaces.
 */
function quote(value: string): string {
  return /[,:\n]|^"|^\s|\s$/.test(value) ? JSON.stringify(value) : value
}

function unquote(value: string): string {
  if (value.length < 2 || !value.startsWith('"') || !value.endsWith('"')) return value
  try {
    const text: unknown = JSON.parse(value)
    return typeof text === 'string' ? text : value
  } catch {
    return value
  }
}

/** Reads an infotext as A1111 does. Never fails: text without parameters is a prompt. */
export function readInfotext(text: string): Infotext {
  const lines = text.slice(0, lengthLimit).trim().split('\n')
  const lastLine = lines[lines.length - 1] ?? ''
  const found = [...lastLine.matchAll(pair)]
  const parameters = new Map<string, string>()
  if (found.length >= fewestPairs) {
    lines.pop()
    for (const [, key = '', value = ''] of found) parameters.set(key, unquote(value))
  }
  const prompt: string[] = []
  const negative: string[] = []
  let inNegative = false
  for (const raw of lines) {
    let line = raw.trim()
    if (line.startsWith(negativeStart)) {
      inNegative = true
      line = line.slice(negativeStart.length).trim()
    }
    const target = inNegative ? negative : prompt
    // As A1111: lines before the first text are dropped.
    if (target.length || line) target.push(line)
  }
  return { prompt: prompt.join('\n'), negativePrompt: negative.join('\n'), parameters }
}

/** A1111's names: [Sampler, Schedule type]. */
const samplerNames: Readonly<Record<Sampler, readonly [string, string?]>> = {
  ddim: ['DDIM'],
  euler: ['Euler'],
  euler_a: ['Euler a'],
  heun: ['Heun'],
  dpmpp_2m: ['DPM++ 2M'],
  dpmpp_2m_karras: ['DPM++ 2M', 'Karras'],
  dpmpp_sde: ['DPM++ SDE'],
  unipc: ['UniPC'],
  lcm: ['LCM'],
}

/** A1111 names CUDA's numbers, computed anywhere, "NV". */
const generatorNames: Readonly<Record<NoiseGenerator, string>> = { cpu: 'CPU', philox: 'NV' }

/** A1111's names of its own laws, where they are not the default ("Original"); others have no field. */
function emphasisName({ dialect, emphasis }: PictureRecord['request']): string | undefined {
  if (dialect === 'plain') return 'None'
  if (emphasis === 'ignore') return 'Ignore'
  return emphasis === 'a1111-no-norm' ? 'No norm' : undefined
}

/** The infotext of a record, keys in A1111's order. */
export function infotextOf(record: PictureRecord): string {
  const { request, model } = record
  const [sampler, schedule] = samplerNames[request.sampler]
  const parameters = new Map<string, string>()
  const set = (key: string, value: string | number | undefined) => {
    if (value !== undefined) parameters.set(key, String(value))
  }
  set('Steps', request.steps)
  set('Sampler', sampler)
  set('Schedule type', schedule)
  set('CFG scale', request.guidanceScale)
  set('Seed', request.seed)
  set('Size', `${request.width}x${request.height}`)
  set('Model hash', model.sha256?.slice(0, 10))
  set('Model', model.name)
  set('Denoising strength', request.strength)
  set('Clip skip', request.clipSkip > 1 ? request.clipSkip : undefined)
  set('RNG', generatorNames[request.rng])
  set('Emphasis', emphasisName(request))
  set('Old prompt editing timelines', request.oldTimeline ? 'True' : undefined)
  set('Version', `${record.app.name} ${record.app.version}`)
  return writeInfotext({ prompt: request.prompt, negativePrompt: request.negativePrompt, parameters })
}

/** The sampler that A1111's two fields mean, where we have it. Older texts carry both in one: "DPM++ 2M Karras". */
export function samplerFrom(infotext: Infotext): Sampler | undefined {
  const name = infotext.parameters.get('Sampler')?.trim()
  if (!name) return undefined
  const schedule = infotext.parameters.get('Schedule type')?.trim()
  const full = schedule && schedule !== 'Automatic' ? `${name} ${schedule}` : name
  for (const [sampler, parts] of Object.entries(samplerNames)) {
    if (parts.filter(Boolean).join(' ').toLowerCase() === full.toLowerCase()) return sampler as Sampler
  }
  return undefined
}
