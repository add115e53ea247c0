/** Create: prompt left, picture in the middle, words right, film strip below. */
import { WordsPanel } from '../attention/words-panel.tsx'
import { PromptPanel } from '../prompt/prompt-panel.tsx'
import { InputsPanel } from '../source/inputs-panel.tsx'
import { Stage } from '../stage/stage.tsx'
import { FilmStrip } from './film-strip.tsx'
import { GenerateButton } from './generate-button.tsx'
import { SettingsPanel } from './settings-panel.tsx'
import { useStrings } from '../../strings/index.ts'

export function CreateScreen() {
  const { create } = useStrings()
  return (
    <div className="grid h-full grid-cols-[clamp(16.5rem,24vw,21rem)_minmax(0,1fr)_clamp(14rem,20vw,18rem)] grid-rows-[minmax(0,1fr)_auto] gap-px bg-line">
      <section aria-label={create.request} className="row-span-2 flex min-h-0 flex-col bg-panel">
        <div className="flex min-h-0 grow flex-col gap-5 overflow-y-auto p-4">
          <PromptPanel />
          <InputsPanel />
          <SettingsPanel />
        </div>
        <GenerateButton />
      </section>
      <Stage />
      <WordsPanel />
      <FilmStrip />
    </div>
  )
}
