/** Makes hints beside the page: a preprocessor takes up to seconds, and the window must not wait for it. */
import { AttuneError } from '../../model/contract/errors.ts'
import { findPreprocessor, preprocess } from '../../model/image/preprocess/catalogue.ts'
import { unknownPreprocessor } from '../../model/image/preprocess/names.ts'
import type { HintAnswer, HintQuestion } from './preprocess.ts'

const scope = globalThis as unknown as {
  addEventListener(type: 'message', listener: (event: MessageEvent<HintQuestion>) => void): void
  postMessage(answer: HintAnswer, transfer: Transferable[]): void
}

scope.addEventListener('message', ({ data: { id, pixels, preprocessor, target } }) => {
  try {
    const one = findPreprocessor(preprocessor.name)
    if (!one) throw unknownPreprocessor(preprocessor.name, [])
    const hint = preprocess(one, pixels, { options: preprocessor.options, target })
    scope.postMessage({ id, hint }, [])
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error)
    const record = error instanceof AttuneError ? error.toRecord() : { code: 'internal' as const, message }
    scope.postMessage({ id, error: record }, [])
  }
})
