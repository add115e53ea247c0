/** Keys of the whole window. While text is typed, only those that cannot be text. */
import { useUi } from '../state/ui.ts'
import { isDrawing } from '../state/run.ts'
import { commands, matchesKeys } from './commands.ts'

/** A popover or an open list of choices; tooltips are in the same wrappers and do not count. */
const openPanel = ['dialog', 'listbox']
  .map(role => `[data-radix-popper-content-wrapper] [role=${role}]`)
  .join(', ')

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement && target.matches('input, textarea, [contenteditable=true], .cm-content')
  )
}

function onKeyDown(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.isComposing) return
  if (useUi.getState().dialog !== undefined) return
  // Escape belongs to whatever is open until nothing is.
  if (event.key === 'Escape' && (!isDrawing() || document.querySelector(openPanel))) return
  const typing = isTyping(event.target)
  const command = commands.find(
    ({ keys, shownOnly, whileTyping }) =>
      keys !== undefined && !shownOnly && (!typing || whileTyping) && matchesKeys(event, keys),
  )
  if (!command) return
  event.preventDefault()
  command.run()
}

/** @returns ends it */
export function listenToKeys(): () => void {
  window.addEventListener('keydown', onKeyDown)
  return () => window.removeEventListener('keydown', onKeyDown)
}
