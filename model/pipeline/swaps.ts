/**
 * compel's `.swap()` in a request: the edit that it means. The request as typed stays what is recorded; what is drawn
 * is this.
 */
import { type Controls, editSchema } from '../contract/controls.ts'
import { AttuneError } from '../contract/errors.ts'
import type { PromptDialect } from '../contract/prompt.ts'
import { swapPrompts } from '../attention/edit/swap.ts'
import { parsePrompt } from '../prompt/parse.ts'
import { drawsSwaps } from '../prompt/undrawn.ts'

/** What a request says of its words: `GenerateRequest`, `ResolvedRequest`. */
interface SwapRequest {
  readonly prompt: string
  readonly dialect?: PromptDialect | undefined
  readonly controls?: Controls | undefined
}

/**
 * The request with its swaps as prompt and edit; itself where there is none that is drawn. Asked twice, it changes
 * nothing more.
 * @throws AttuneError `bad-argument` for a prompt with swaps in a request that has an edit of its own
 */
export function withSwaps<R extends SwapRequest>(request: R): R {
  if (request.dialect !== 'compel' || !request.prompt.includes('.swap')) return request
  const parsed = parsePrompt(request.prompt, 'compel')
  const swaps = drawsSwaps(parsed) ? swapPrompts(parsed) : undefined
  if (!swaps) return request
  if (request.controls?.edit) {
    throw new AttuneError(
      'bad-argument',
      'The prompt has a .swap(), and the request an edit of its own: a picture is edited from one original.',
      'Write the words that you want to see in place of the .swap().',
    )
  }
  const { source: sourcePrompt, target, cross, crossWords, self } = swaps
  return {
    ...request,
    prompt: target,
    controls: {
      ...request.controls,
      edit: editSchema.parse({ sourcePrompt, cross, crossWords, self }),
    },
  }
}
