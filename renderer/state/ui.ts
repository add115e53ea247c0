/** What the window shows: the screen, messages, and which dialog is open. */
import { create } from 'zustand'
import { AttuneError, type ErrorRecord } from '../../model/contract/errors.ts'

export interface Message {
  readonly id: number
  readonly tone: 'info' | 'good' | 'problem'
  readonly text: string
  readonly detail?: string | undefined
  /** A button in the message. */
  readonly action?: { readonly label: string; run(): void } | undefined
}

interface UiState {
  readonly screen: string
  readonly dialog: 'palette' | 'shortcuts' | 'export' | undefined
  readonly messages: readonly Message[]
  /** Spoken by screen readers. */
  readonly announcement: string
}

export const useUi = create<UiState>(() => ({
  screen: 'create',
  dialog: undefined,
  messages: [],
  announcement: '',
}))

let lastMessage = 0

export function showScreen(screen: string): void {
  useUi.setState({ screen, dialog: undefined })
}

export function showDialog(dialog: UiState['dialog']): void {
  useUi.setState({ dialog })
}

/** Shows a message for some seconds; problems stay until they are dismissed. */
export function tell(message: Omit<Message, 'id'>): void {
  const id = ++lastMessage
  useUi.setState(({ messages }) => ({
    messages: [...messages.filter(each => each.text !== message.text), { ...message, id }].slice(-4),
  }))
  if (message.tone !== 'problem') setTimeout(() => dismiss(id), message.action ? 8000 : 4000)
}

export function dismiss(id: number): void {
  useUi.setState(({ messages }) => ({ messages: messages.filter(each => each.id !== id) }))
}

/** Says something to screen readers without showing it. */
export function announce(text: string): void {
  useUi.setState({ announcement: text })
}

/** Any thrown value as what happened and what to do. */
export function recordOf(error: unknown): ErrorRecord {
  if (error instanceof AttuneError) return error.toRecord()
  // Electron's bridge carries errors as plain objects.
  const plain = error as Partial<ErrorRecord> | undefined
  if (typeof plain?.message === 'string' && typeof plain.code === 'string') return plain as ErrorRecord
  return { code: 'internal', message: error instanceof Error ? error.message : String(error) }
}

export function reportError(error: unknown): void {
  const { message, remedy } = recordOf(error)
  tell({ tone: 'problem', text: message, detail: remedy })
}
