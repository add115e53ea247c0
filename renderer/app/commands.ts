/** Every command: what the palette lists, what keys do, what the shortcuts sheet says. One list for all three. */
import { changeSettings, shownTheme } from '../state/settings.ts'
import { redoRequest, undoRequest } from '../state/request.ts'
import { showDialog, showScreen } from '../state/ui.ts'
import type { Strings } from '../strings/index.ts'
import { queueDraft, toggleQueue } from '../features/queue/queue-state.ts'
import { copyPicture, generate, rollSeed, stop, toggleCompare } from './actions.ts'
import { focusOn } from './focus.ts'
import { inpaintShown } from '../features/inpaint/inpaint-state.ts'
import { takeShownPicture } from '../features/source/source-actions.ts'
import { stageCommand } from '../features/stage/stage-view.ts'

export interface Command {
  readonly id: string
  label(strings: Strings): string
  readonly group: 'groupDraw' | 'groupWords' | 'groupPicture' | 'groupWindow'
  /** `Mod` is Ctrl, or Command on a Mac. Shown, and obeyed unless `shownOnly`. */
  readonly keys?: string
  /** Also while text is typed. */
  readonly whileTyping?: boolean
  /** The key is handled where it is pressed (the editor, the picture). */
  readonly shownOnly?: boolean
  run(): void
}

const inEditor = (): void => focusOn('prompt')

export const commands: readonly Command[] = [
  {
    id: 'generate',
    group: 'groupDraw',
    label: s => s.app.generate,
    keys: 'Mod+Enter',
    whileTyping: true,
    run: () => void generate(),
  },
  {
    id: 'enqueue',
    group: 'groupDraw',
    label: s => s.queue.add,
    keys: 'Mod+Shift+Enter',
    whileTyping: true,
    run: () => void queueDraft(),
  },
  { id: 'stop', group: 'groupDraw', label: s => s.app.stop, keys: 'Escape', whileTyping: true, run: stop },
  { id: 'seed', group: 'groupDraw', label: s => s.app.newSeed, keys: 'D', run: rollSeed },
  {
    id: 'undo',
    group: 'groupDraw',
    label: s => s.app.undo,
    keys: 'Mod+Z',
    run: () => void undoRequest(),
  },
  {
    id: 'redo',
    group: 'groupDraw',
    label: s => s.app.redo,
    keys: 'Mod+Shift+Z',
    run: () => void redoRequest(),
  },
  {
    id: 'heavier',
    group: 'groupWords',
    label: s => s.app.heavier,
    keys: 'Mod+ArrowUp',
    shownOnly: true,
    run: inEditor,
  },
  {
    id: 'lighter',
    group: 'groupWords',
    label: s => s.app.lighter,
    keys: 'Mod+ArrowDown',
    shownOnly: true,
    run: inEditor,
  },
  {
    id: 'focus-prompt',
    group: 'groupWords',
    label: s => s.app.focusPrompt,
    keys: 'P',
    run: () => focusOn('prompt'),
  },
  {
    id: 'focus-words',
    group: 'groupWords',
    label: s => s.app.focusWords,
    keys: 'W',
    run: () => focusOn('words'),
  },
  {
    id: 'focus-picture',
    group: 'groupPicture',
    label: s => s.app.focusPicture,
    keys: 'B',
    run: () => focusOn('picture'),
  },
  {
    id: 'zoom-in',
    group: 'groupPicture',
    label: s => s.app.zoomIn,
    keys: '+',
    run: () => stageCommand('zoomIn'),
  },
  {
    id: 'zoom-out',
    group: 'groupPicture',
    label: s => s.app.zoomOut,
    keys: '-',
    run: () => stageCommand('zoomOut'),
  },
  { id: 'fit', group: 'groupPicture', label: s => s.app.zoomFit, keys: '0', run: () => stageCommand('fit') },
  {
    id: 'actual',
    group: 'groupPicture',
    label: s => s.app.zoomActual,
    keys: '1',
    run: () => stageCommand('actual'),
  },
  {
    id: 'compare',
    group: 'groupPicture',
    label: s => s.app.comparePrevious,
    keys: 'C',
    run: toggleCompare,
  },
  {
    id: 'source',
    group: 'groupPicture',
    label: s => s.inputs.useThis,
    keys: 'I',
    run: () => void takeShownPicture(),
  },
  {
    id: 'inpaint',
    group: 'groupPicture',
    label: s => s.inputs.inpaint,
    keys: 'M',
    run: () => void inpaintShown(),
  },
  {
    id: 'copy',
    group: 'groupPicture',
    label: s => s.app.copyPicture,
    keys: 'Mod+Shift+C',
    run: () => void copyPicture(),
  },
  {
    id: 'export',
    group: 'groupPicture',
    label: s => s.export.command,
    keys: 'Mod+E',
    run: () => showDialog('export'),
  },
  { id: 'create', group: 'groupWindow', label: s => s.app.create, run: () => showScreen('create') },
  { id: 'gallery', group: 'groupWindow', label: s => s.app.gallery, run: () => showScreen('gallery') },
  { id: 'plot', group: 'groupWindow', label: s => s.plot.title, run: () => showScreen('plot') },
  { id: 'queue', group: 'groupWindow', label: s => s.queue.title, keys: 'Q', run: toggleQueue },
  { id: 'models', group: 'groupWindow', label: s => s.app.models, run: () => showScreen('models') },
  {
    id: 'settings',
    group: 'groupWindow',
    label: s => s.app.settings,
    keys: 'Mod+,',
    whileTyping: true,
    run: () => showScreen('settings'),
  },
  {
    id: 'theme',
    group: 'groupWindow',
    label: s => s.app.toggleTheme,
    run: () => void changeSettings({ theme: shownTheme() === 'dark' ? 'light' : 'dark' }),
  },
  {
    id: 'palette',
    group: 'groupWindow',
    label: s => s.app.palette,
    keys: 'Mod+K',
    whileTyping: true,
    run: () => showDialog('palette'),
  },
  {
    id: 'shortcuts',
    group: 'groupWindow',
    label: s => s.app.shortcuts,
    keys: '?',
    run: () => showDialog('shortcuts'),
  },
]

const isMac = /Mac|iP(hone|ad)/.test(globalThis.navigator?.platform ?? '')

/** Whether a key press means these keys. */
export function matchesKeys(event: KeyboardEvent, keys: string): boolean {
  const parts = keys === '+' ? ['+'] : keys.split('+')
  const key = parts.at(-1) ?? ''
  const mod = isMac ? event.metaKey : event.ctrlKey
  const other = isMac ? event.ctrlKey : event.metaKey
  if (mod !== parts.includes('Mod') || other || event.altKey) return false
  // Signs such as ? carry their own Shift.
  const isSign = /^[^a-z0-9]$/i.test(key)
  if (!isSign && event.shiftKey !== parts.includes('Shift')) return false
  return event.key.toLowerCase() === key.toLowerCase()
}
