/** Permissions of pages: refused but for two, both when asked for and when looked up. Without these handlers Electron grants everything. */
import type { Session } from 'electron'
import { grantsPermission } from './policy.ts'

/** To be called for each session before a page loads in it. */
export function guardPermissions(session: Session): void {
  session.setPermissionRequestHandler((contents, permission, answer, details) => {
    const origin = details.requestingUrl || contents.getURL()
    answer(grantsPermission(permission, origin, details.isMainFrame))
  })
  session.setPermissionCheckHandler((contents, permission, origin, details) => {
    // A check without a window comes from a service worker or a frame that has gone.
    if (!contents) return false
    return grantsPermission(permission, details.requestingUrl ?? origin, details.isMainFrame)
  })
  session.setDevicePermissionHandler(() => false)
  session.setDisplayMediaRequestHandler((_request, answer) => answer(null))
  // Pictures are saved by the host; a page that downloads is not ours.
  session.on('will-download', event => event.preventDefault())
}
