/** What happens before the first frame, and what is begun right behind it. */
import { callHost, connectHost, host, hostKind } from '../host/client.ts'
import { showPicture } from '../features/gallery/gallery-actions.ts'
import { addSampleOfFirstRun } from '../features/generate/sample.ts'
import { followStyles } from '../features/presets/storage.ts'
import { followDefaults } from '../features/settings/request-defaults.ts'
import { readyEngine, restartEngine } from '../state/engine.ts'
import { watchHost } from '../state/conditions.ts'
import { loadSettings, useSettings } from '../state/settings.ts'
import { changeRequest } from '../state/request.ts'
import { tell } from '../state/ui.ts'
import { liveHere, recoverUnfinished } from '../state/unfinished.ts'
import { strings } from '../strings/index.ts'
import { openQueue } from '../features/queue/queue-state.ts'
import { commands } from './commands.ts'
import { generate } from './actions.ts'
import { guardUnsaved } from './saving.ts'

export async function startWindow(): Promise<void> {
  await connectHost()
  liveHere()
  watchHost()
  guardUnsaved()
  await loadSettings()
  followDefaults()
  void followStyles()
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
  if (hostKind() !== 'memory') void recoverRuns().catch(() => undefined)
  // The engine's script is large: the first frame goes first.
  setTimeout(() => void readyEngine().catch(() => undefined), 50)
}

/** What a window left behind that was killed while it drew: into the queue, paused; where there is none, told. */
async function recoverRuns(): Promise<void> {
  await recoverUnfinished(async (requests, model) => {
    const { app, queue } = strings()
    try {
      await callHost('jobs.add', {
        requests: [...requests],
        interrupted: true,
        ...(model !== null && { model }),
      })
      tell({
        tone: 'info',
        text: app.unfinished(requests.length),
        action: { label: queue.title, run: openQueue },
      })
    } catch {
      const { prompt, negativePrompt = '', seed } = requests[0] ?? { prompt: '' }
      const again = () => {
        changeRequest({ prompt, negativePrompt, ...(seed !== undefined && { seed, seedLocked: true }) })
        void generate()
      }
      tell({
        tone: 'problem',
        text: app.unfinishedAlone,
        detail: prompt,
        action: { label: app.drawAgain, run: again },
      })
    }
  })
}
