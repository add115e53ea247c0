/** The right side: every word of the prompt with its place in the picture, and the places that the person gave. */
import { Tabs } from 'radix-ui'
import { Eye, FileDown, PinOff } from 'lucide-react'
import { useMemo } from 'react'
import { isOneText } from '../../engine/timeline.ts'
import { readPrompt } from '../../engine/words.ts'
import { selectedPicture, usePictures } from '../../state/pictures.ts'
import { useRequest } from '../../state/request.ts'
import { changeSettings, useSettings } from '../../state/settings.ts'
import { showDialog } from '../../state/ui.ts'
import { useWords } from '../../state/words.ts'
import { useStrings } from '../../strings/index.ts'
import { Button, IconButton } from '../../ui/button.tsx'
import { Empty } from '../../ui/empty.tsx'
import { ChangeNote } from './change-note.tsx'
import { PlacesList } from './places-list.tsx'
import { WordRow } from './word-row.tsx'

export function WordsPanel() {
  const { attention, export: exported } = useStrings()
  const hasPicture = usePictures(state => selectedPicture(state)?.isSample === false)
  const tab = useWords(state => state.tab)
  const pins = useWords(state => state.pinned.length)
  const places = useRequest(({ draft }) => draft.paint.length + (draft.regions?.regions.length ?? 0))
  return (
    <Tabs.Root
      value={tab}
      onValueChange={next => useWords.setState({ tab: next as 'words' | 'places' })}
      asChild
    >
      <section aria-label={attention.panel} className="flex min-h-0 flex-col bg-panel">
        <div className="flex h-10 shrink-0 items-center gap-1 border-b border-line px-2">
          <Tabs.List className="flex gap-1" aria-label={attention.panel}>
            {(['words', 'places'] as const).map(value => (
              <Tabs.Trigger
                key={value}
                value={value}
                className="h-7 rounded-md px-2 text-sm font-medium text-faint hover:text-text data-[state=active]:text-text data-[state=active]:shadow-[inset_0_-2px_0_var(--accent)] data-[state=active]:rounded-none"
              >
                {attention[value]}
                {value === 'places' && places > 0 && (
                  <span className="numeric ml-1.5 text-xs text-faint">{places}</span>
                )}
              </Tabs.Trigger>
            ))}
          </Tabs.List>
          <span className="grow" />
          {hasPicture && (
            <IconButton
              label={exported.command}
              keys="Mod+E"
              size="small"
              onClick={() => showDialog('export')}
            >
              <FileDown aria-hidden />
            </IconButton>
          )}
          {pins > 0 && (
            <IconButton
              label={attention.clearPins}
              size="small"
              onClick={() => useWords.setState({ pinned: [] })}
            >
              <PinOff aria-hidden />
            </IconButton>
          )}
        </div>
        <Tabs.Content value="words" className="min-h-0 grow overflow-y-auto" tabIndex={-1}>
          <ChangeNote />
          <WordList />
        </Tabs.Content>
        <Tabs.Content value="places" className="min-h-0 grow overflow-y-auto" tabIndex={-1}>
          <PlacesList />
        </Tabs.Content>
      </section>
    </Tabs.Root>
  )
}

/** Words of the prompt as it is now; those that the shown picture was not drawn from say so. */
function WordList() {
  const { attention } = useStrings()
  const prompt = useRequest(state => state.draft.prompt)
  const dialect = useRequest(state => state.draft.dialect)
  const mapsAreOn = useSettings(state => state.values.wordMaps)
  const hasPicture = usePictures(state => selectedPicture(state) !== undefined)
  const hasFacts = usePictures(state => selectedPicture(state)?.report !== undefined)
  const words = useMemo(() => readPrompt(prompt, dialect).words, [prompt, dialect])
  const lacksMaps = useMemo(() => !isOneText(prompt, dialect), [prompt, dialect])
  if (!mapsAreOn && hasPicture && words.length === 0) return null
  if (words.length === 0) {
    return (
      <Empty icon={<Eye aria-hidden />} title={attention.emptyTitle}>
        {attention.emptyBody}
      </Empty>
    )
  }
  return (
    <>
      {mapsAreOn && lacksMaps && <p className="px-3 pt-3 text-xs text-soft">{attention.noMapsOfPrompt}</p>}
      {!mapsAreOn && (
        <p className="flex items-center justify-between gap-2 px-3 pt-3 text-xs text-soft">
          {attention.noMaps}
          <Button size="small" onClick={() => void changeSettings({ wordMaps: true })}>
            {attention.switchOn}
          </Button>
        </p>
      )}
      {hasFacts && (
        <p className="pt-1.5 pr-3 text-right text-2xs text-faint" aria-hidden>
          {attention.peak} · {attention.area}
        </p>
      )}
      <ul className="flex flex-col p-1.5">
        {words.slice(0, 200).map((word, index) => (
          <WordRow key={`${word.text} ${word.occurrence}`} word={word} isFirst={index === 0} />
        ))}
      </ul>
    </>
  )
}
