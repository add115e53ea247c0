/** What the model's tokenizer says of the prompt, a moment after each change. */
import { create } from 'zustand'
import type { PromptExplanation } from '../../engine/session.ts'
import { readyEngine, useEngine } from '../../state/engine.ts'
import { draft, useRequest } from '../../state/request.ts'

interface ExplanationState {
  readonly explanation: PromptExplanation | undefined
}

export const useExplanation = create<ExplanationState>(() => ({ explanation: undefined }))

/** Long enough that fast typing asks once. */
const pause = 150
let timer: ReturnType<typeof setTimeout> | undefined

async function ask(): Promise<void> {
  const { prompt, dialect, emphasis, steps } = draft()
  if (useEngine.getState().phase !== 'ready') return
  try {
    const { client } = await readyEngine()
    const explanation = await client.explain({
      text: prompt,
      dialect,
      ...(emphasis && { law: emphasis }),
      ...(steps !== undefined && { steps }),
    })
    // The text may have gone on meanwhile.
    if (draft().prompt === prompt) useExplanation.setState({ explanation })
  } catch {
    useExplanation.setState({ explanation: undefined })
  }
}

function soon(): void {
  clearTimeout(timer)
  timer = setTimeout(() => void ask(), pause)
}

/** @returns ends it */
export function followPrompt(): () => void {
  const ends = [
    useRequest.subscribe(({ draft: now }, { draft: before }) => {
      if (now.prompt !== before.prompt || now.dialect !== before.dialect || now.emphasis !== before.emphasis)
        soon()
    }),
    useEngine.subscribe((now, before) => {
      if (now.phase === 'ready' && now.model !== before.model) soon()
    }),
  ]
  soon()
  return () => {
    clearTimeout(timer)
    for (const end of ends) end()
  }
}
