/** Moves the keyboard to a part of the Create screen. */
export function focusOn(part: 'prompt' | 'picture' | 'words'): void {
  document.querySelector<HTMLElement>(`[data-focus='${part}']`)?.focus()
}
