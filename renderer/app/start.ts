/** What happens before the first frame, and what is begun right behind it. */
import { connectHost, host } from '../host/client.ts'
import { showPicture } from '../features/gallery/gallery-actions.ts'
import { addSampleOfFirstRun } from '../features/generate/sample.ts'
import { followDefaults } from '../features/settings/request-defaults.ts'
import { readyEngine, restartEngine } from '../state/engine.ts'
import { loadSettings, useSettings } from '../state/settings.ts'
import { tell } from '../state/ui.ts'
import { commands } from './commands.ts'

export async function startWindow(): Promise<void> {
  await connectHost()
  await loadSettings()
  followDefaults()
  host().subscribe(event => {
    if (event.type === 'notice') tell({ tone: 'info', text: event.text })
    if (event.type === 'command') commands.find(({ id }) => id === event.command)?.run()
    if (event.type === 'openPicture') void showPicture(event.id)
  })
  // Another seat or model takes hold at once.
  useSettings.subscribe(({ values }, before) => {
    if (values.engineSeat !== before.values.engineSeat) void restartEngine()
    else if (values.model !== before.values.model) void readyEngine().catch(() => undefined)
  })
  void addSampleOfFirstRun()
  // The engine's script is large: the first frame goes first.
  setTimeout(() => void readyEngine().catch(() => undefined), 50)
}
