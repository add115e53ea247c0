/** Previews of what a preprocessor makes of a picture, from a Worker of their own. */
import { AttuneError, type ErrorRecord } from '../../model/contract/errors.ts'
import type { GuideResize } from '../../model/contract/guides.ts'
import type { InputPreprocessor } from '../../model/contract/inputs.ts'
import { type HintTarget, preprocessors } from '../../model/image/preprocess/catalogue.ts'
import type { OptionSpecs } from '../../model/image/preprocess/options.ts'
import type { Pixels } from '../../model/image/resample.ts'
import { fittedPixels } from './inputs.ts'

export type { OptionSpecs } from '../../model/image/preprocess/options.ts'

export interface HintQuestion {
  readonly id: number
  readonly pixels: Pixels
  readonly preprocessor: InputPreprocessor
  readonly target: HintTarget
}
export interface HintAnswer {
  readonly id: number
  readonly hint?: Pixels
  readonly error?: ErrorRecord
}

/** Those that need neither a network nor a mask. `what` is a line for people, in English. */
export const offeredPreprocessors: readonly {
  readonly name: string
  readonly what: string
  readonly options: OptionSpecs
}[] = preprocessors.filter(({ needsMask }) => !needsMask)

/** Sides of a preview: hints at the drawing's own size, as far as that is quick. */
const previewSide = 768

let worker: Worker | undefined
let lastId = 0
const waiting = new Map<number, (answer: HintAnswer) => void>()

function started(): Worker {
  if (worker) return worker
  worker = new Worker(new URL('./preprocess-worker.ts', import.meta.url), { type: 'module', name: 'hints' })
  worker.addEventListener('message', ({ data }: MessageEvent<HintAnswer>) => {
    waiting.get(data.id)?.(data)
    waiting.delete(data.id)
  })
  worker.addEventListener('error', ({ message }) => {
    // The next preview starts another one.
    worker = undefined
    const error = { code: 'internal', message: message || 'The preview failed.' } as const
    for (const [id, answer] of waiting) answer({ id, error })
    waiting.clear()
  })
  return worker
}

/**
 * What a network will see of a picture.
 * @param size of the drawing
 * @throws AttuneError `bad-argument` for options that a preprocessor has not
 */
export async function previewHint(
  pixels: Pixels,
  preprocessor: InputPreprocessor | undefined,
  size: { readonly width: number; readonly height: number },
  resize: GuideResize,
): Promise<Pixels> {
  const scale = Math.min(1, previewSide / Math.max(size.width, size.height))
  const width = Math.max(1, Math.round(size.width * scale))
  const height = Math.max(1, Math.round(size.height * scale))
  if (!preprocessor) return fittedPixels(pixels, width, height, resize)
  const target = { width, height, mode: resize === 'stretch' ? ('resize' as const) : resize }
  const id = ++lastId
  const answer = await new Promise<HintAnswer>(resolve => {
    waiting.set(id, resolve)
    started().postMessage({ id, pixels, preprocessor, target } satisfies HintQuestion, [])
  })
  if (answer.hint) return answer.hint
  const { code, message, remedy } = answer.error ?? { code: 'internal' as const, message: 'No preview.' }
  throw new AttuneError(code, message, remedy)
}
