/** Saves drawn pictures; what cannot be saved stays in memory, is told, and is tried again. */
import { recordedTemplate } from '../features/queue/expand-request.ts'
import { hostKind, savePicture } from '../host/client.ts'
import { addUnsaved, removeUnsaved, useConditions } from '../state/conditions.ts'
import { drawInputsOf } from '../state/inputs.ts'
import { type DrawnPicture, markSaved } from '../state/pictures.ts'
import { announce, recordOf } from '../state/ui.ts'

/**
 * Encodes, records and keeps a picture. Never throws.
 * @param onSaved called when it is in the gallery, now or after another try
 */
export async function keepPicture(
  drawn: DrawnPicture,
  model: string,
  machine: { readonly backend: string; readonly name: string },
  onSaved: () => void = () => undefined,
): Promise<void> {
  try {
    const inputs = await drawInputsOf(drawn.draft)
    const id = await savePicture(drawn.pixels, {
      request: { ...drawn.request, ...recordedTemplate(drawn.draft, drawn.request) },
      model: { name: model },
      ...(inputs && { inputs }),
      machine: { backend: machine.backend, adapter: machine.name },
    })
    removeUnsaved(drawn.id)
    markSaved(drawn.id, id)
    onSaved()
  } catch (thrown) {
    const error = recordOf(thrown)
    addUnsaved({ id: drawn.id, error, retry: () => keepPicture(drawn, model, machine, onSaved) })
    announce(error.message)
  }
}

/** A browser asks before it closes a page with pictures that are nowhere else. A desktop window could not be closed. */
export function guardUnsaved(): void {
  if (hostKind() !== 'browser') return
  addEventListener('beforeunload', event => {
    if (useConditions.getState().unsaved.length > 0) event.preventDefault()
  })
}
