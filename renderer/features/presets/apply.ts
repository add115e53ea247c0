/** A style put onto a request, and a request's own choices as a style. */
import type { RequestDraft } from '../../state/request.ts'
import { changeRequest, draft } from '../../state/request.ts'
import { tell } from '../../state/ui.ts'
import { strings } from '../../strings/index.ts'
import type { Preset } from './storage.ts'

/** Two texts with a comma between them, where there is not one already. */
export function joined(first: string, second: string): string {
  const [a, b] = [first.trim(), second.trim()]
  if (a === '' || b === '') return a + b
  return /[,.;:]$/.test(a) || /^[,.;:]/.test(b) ? `${a} ${b}` : `${a}, ${b}`
}

const has = (text: string, words: string): boolean => words.trim() === '' || text.includes(words.trim())

/** The request with a style: words are added where they are not yet, settings replace those that the style has. */
export function withPreset(
  of: RequestDraft,
  { before, after, negative, settings }: Preset,
): Partial<RequestDraft> {
  let { prompt, negativePrompt } = of
  if (!has(prompt, before)) prompt = `${before.trim()} ${prompt.trim()}`.trim()
  if (!has(prompt, after)) prompt = joined(prompt, after)
  if (!has(negativePrompt, negative)) negativePrompt = joined(negativePrompt, negative)
  const given = Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined))
  return { prompt, negativePrompt, ...given }
}

export function applyPreset(preset: Preset): void {
  changeRequest(withPreset(draft(), preset))
  tell({ tone: 'good', text: strings().presets.applied(preset.name) })
}

/** What the person chose, without what is the model's own value. */
export function settingsOf(of: RequestDraft): Preset['settings'] {
  const { width, height, steps, guidanceScale, sampler, dialect, emphasis } = of
  return {
    ...(width !== undefined && { width }),
    ...(height !== undefined && { height }),
    ...(steps !== undefined && { steps }),
    ...(guidanceScale !== undefined && { guidanceScale }),
    ...(sampler && { sampler }),
    // The dialect is part of how its words are written.
    ...(dialect !== 'a1111' && { dialect }),
    ...(emphasis && { emphasis }),
  }
}
