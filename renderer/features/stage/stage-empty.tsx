/** The stage before there is any picture: what to do, and words to begin with. */
import { Feather } from 'lucide-react'
import { useMemo } from 'react'
import { useEngine } from '../../state/engine.ts'
import { changeRequest, draft } from '../../state/request.ts'
import { useStrings } from '../../strings/index.ts'
import { Empty } from '../../ui/empty.tsx'
import { focusOn } from '../../app/focus.ts'

export function StageEmpty() {
  const { create } = useStrings()
  const vocabulary = useEngine(state => state.model?.vocabulary)
  const words = useMemo(() => {
    const all = Object.values(vocabulary ?? {})
    return [...new Set(all.flatMap(list => list.slice(0, 3)))].slice(0, 12)
  }, [vocabulary])
  return (
    <div className="pointer-events-none absolute inset-0">
      <Empty icon={<Feather aria-hidden />} title={create.emptyTitle}>
        <p>{create.emptyBody}</p>
        {words.length > 0 && (
          <div className="pointer-events-auto mt-4 flex flex-wrap justify-center gap-1">
            <span className="label w-full">{create.tryWords}</span>
            {words.map(word => (
              <button
                key={word}
                type="button"
                onClick={() => add(word)}
                className="rounded-full bg-panel px-2.5 py-0.5 text-xs text-soft hover:bg-raised hover:text-text"
              >
                {word}
              </button>
            ))}
          </div>
        )}
      </Empty>
    </div>
  )
}

/** Puts a word into the prompt. */
function add(word: string): void {
  const text = draft().prompt.trimEnd()
  changeRequest({ prompt: text ? `${text} ${word}` : `a ${word}` })
  focusOn('prompt')
}
