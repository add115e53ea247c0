/**
 * What new pictures begin with: the person's own values in place of the model's. They stand in the request as if typed,
 * until the person changes them; a change of the setting moves what still has the old value.
 */
import type { SettingsValues } from '../../../model/contract/settings.ts'
import { type RequestDraft, useRequest } from '../../state/request.ts'
import { settings, useSettings } from '../../state/settings.ts'

type Defaults = SettingsValues['defaults']

/** @param before the defaults that the request was begun with */
export function withDefaults(draft: RequestDraft, now: Defaults, before: Defaults = {}): RequestDraft {
  const { negativePrompt } = draft
  return {
    ...draft,
    steps: draft.steps === before.steps ? now.steps : draft.steps,
    guidanceScale: draft.guidanceScale === before.guidanceScale ? now.guidanceScale : draft.guidanceScale,
    sampler: draft.sampler === before.sampler ? now.sampler : draft.sampler,
    negativePrompt:
      negativePrompt === (before.negativePrompt ?? '') ? (now.negativePrompt ?? '') : negativePrompt,
  }
}

const take = (now: Defaults, before?: Defaults): void =>
  useRequest.setState(({ draft }) => ({ draft: withDefaults(draft, now, before) }))

/** From now on, for as long as the window is open. No step of the history: nobody did it. */
export function followDefaults(): void {
  take(settings().defaults)
  useSettings.subscribe(({ values }, { values: before }) => {
    if (values.defaults !== before.defaults) take(values.defaults, before.defaults)
  })
}
