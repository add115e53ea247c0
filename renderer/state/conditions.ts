/** What stands in the way for longer than a moment: the host is out of reach, pictures that could not be saved. */
import { create } from 'zustand'
import type { ErrorRecord } from '../../model/contract/errors.ts'
import { callHost, onHostReach } from '../host/client.ts'

/** A picture that is drawn and kept in memory until it can be saved. */
export interface UnsavedPicture {
  /** Of the picture of this session. */
  readonly id: number
  readonly error: ErrorRecord
  retry(): Promise<void>
}

interface ConditionsState {
  readonly isHostGone: boolean
  readonly unsaved: readonly UnsavedPicture[]
  /** The person has read that there is no graphics adapter. */
  readonly hasReadGraphics: boolean
}

export const useConditions = create<ConditionsState>(() => ({
  isHostGone: false,
  unsaved: [],
  hasReadGraphics: false,
}))

/** Keeps a picture for another try; one that is kept already gets the newer reason. */
export function addUnsaved(picture: UnsavedPicture): void {
  useConditions.setState(({ unsaved }) => ({
    unsaved: [...unsaved.filter(({ id }) => id !== picture.id), picture],
  }))
}

export function removeUnsaved(id: number): void {
  useConditions.setState(({ unsaved }) => ({ unsaved: unsaved.filter(each => each.id !== id) }))
}

/** Tries to save them again, one after the other: where one finds no room, the next will not either. */
export async function retryUnsaved(): Promise<void> {
  for (const { id, retry } of useConditions.getState().unsaved) {
    await retry()
    if (useConditions.getState().unsaved.some(each => each.id === id)) return
  }
}

/** Between two questions to a host that did not answer. */
const askEvery = 3_000

/** Watches whether the host answers; when it does again, what waits for it is saved. */
export function watchHost(): void {
  let asking: ReturnType<typeof setInterval> | undefined
  onHostReach(isReached => {
    if (useConditions.getState().isHostGone === !isReached) return
    useConditions.setState({ isHostGone: !isReached })
    clearInterval(asking)
    if (isReached) void retryUnsaved()
    // Its answer, or none, comes back to this listener.
    else asking = setInterval(() => void callHost('settings.get').catch(() => undefined), askEvery)
  })
}
