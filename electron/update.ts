/**
 * The seam for updates. Nothing is looked up until a feed is configured, and electron-updater is no dependency until
 * then: it would be code with the right to replace the program, doing nothing. To turn updates on, add the package,
 * return its `autoUpdater` (with `autoDownload` off) from `loadUpdater`, name the feed here and in `publish` of
 * electron-builder.yml; signatures are its business, so packages must be signed first.
 */
import { AttuneError } from '../model/contract/errors.ts'
import type { HostEvent } from '../model/contract/host-api.ts'

/** Address of the feed of new versions; there is none yet. */
export const updateFeed: string | undefined = undefined

/** Where electron-updater will be loaded. */
export function loadUpdater(): Promise<Updater> {
  return Promise.reject(new AttuneError('unsupported', 'This build brings no updater.', 'Update by hand.'))
}

/** What of electron-updater's `autoUpdater` is used. */
export interface Updater {
  /** Looks at the feed. */
  checkForUpdates(): Promise<{ readonly updateInfo: { readonly version: string } } | null>
  downloadUpdate(): Promise<unknown>
  /** Installs what was downloaded when the program ends: never in the middle of a drawing. */
  autoInstallOnAppQuit: boolean
}

export interface UpdateOptions {
  /** https address of the feed; updates are off without one. */
  readonly feed: string | undefined
  readonly currentVersion: string
  load(feed: string): Promise<Updater>
  tell(event: HostEvent): void
}

/** Looks for a newer version once, after the start. @returns what happened, for the log */
export async function startUpdates(options: UpdateOptions): Promise<'off' | 'current' | 'ready' | 'failed'> {
  const { feed } = options
  if (feed === undefined || !feed.startsWith('https://') || !URL.canParse(feed)) return 'off'
  try {
    const updater = await options.load(feed)
    updater.autoInstallOnAppQuit = true
    const found = await updater.checkForUpdates()
    // Never backwards: a feed that was rolled back, or taken over, must not bring old faults back.
    if (!found || !isNewer(found.updateInfo.version, options.currentVersion)) return 'current'
    await updater.downloadUpdate()
    options.tell({
      type: 'notice',
      text: `Attune ${found.updateInfo.version} is installed when you quit.`,
    })
    return 'ready'
  } catch (error) {
    console.warn('no look for updates:', error)
    return 'failed'
  }
}

/** Compares `major.minor.patch`; everything else is not newer. */
export function isNewer(version: string, current: string): boolean {
  const pattern = /^(\d{1,6})\.(\d{1,6})\.(\d{1,6})$/
  const [theirs, ours] = [pattern.exec(version), pattern.exec(current)]
  if (!theirs || !ours) return false
  for (let part = 1; part <= 3; part++) {
    const difference = Number(theirs[part]) - Number(ours[part])
    if (difference !== 0) return difference > 0
  }
  return false
}
