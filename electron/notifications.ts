/** Says that the queue has ended, if nobody is looking. */
import { Notification } from 'electron'
import type { HostApi } from '../model/contract/host-api.ts'

/**
 * Watches the queue.
 * @param looking whether the window is in front: then the picture itself tells
 * @param show brings the window to the front
 * @returns ends the watch
 */
export function notifyOfQueue(api: HostApi, looking: () => boolean, show: () => void): () => void {
  const busy = new Set<string>()
  let asking = false
  let again = false
  const look = async () => {
    const { jobs, paused } = await api.call('jobs.list', {})
    const open = jobs.filter(job => job.state === 'queued' || job.state === 'running')
    for (const job of open) busy.add(job.id)
    if (open.length || paused || !busy.size) return
    const ended = jobs.filter(job => busy.has(job.id))
    busy.clear()
    const drawn = ended.filter(job => job.state === 'done').length
    const failed = ended.filter(job => job.state === 'failed').length
    if ((!drawn && !failed) || looking()) return
    const { notifications } = await api.call('settings.get', {})
    if (!notifications || !Notification.isSupported()) return
    const note = new Notification({ title: 'Attune', body: queueEnded(drawn, failed) })
    note.on('click', show)
    note.show()
  }
  return api.subscribe(event => {
    if (event.type !== 'jobs') return
    // One look at a time; a change in the meantime is looked at afterwards.
    again = true
    if (asking) return
    asking = true
    void (async () => {
      try {
        while (again) {
          again = false
          await look()
        }
      } catch (error) {
        console.warn('the queue could not be looked at:', error)
      } finally {
        asking = false
      }
    })()
  })
}

/** `3 pictures are drawn, 1 failed.` Prompts are private: they never stand in a notification. */
export function queueEnded(drawn: number, failed: number): string {
  const parts = [
    ...(drawn ? [`${drawn} ${drawn === 1 ? 'picture is' : 'pictures are'} drawn`] : []),
    ...(failed ? [`${failed} failed`] : []),
  ]
  return `${parts.join(', ')}.`
}
