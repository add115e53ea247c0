/** Electron's entry: where things lie in this program, then the shell with the host. */
import { app } from 'electron'
import { join } from 'node:path'
import { createHost } from './host.ts'
import { startShell } from './shell.ts'

/** `dist/`, in the packed program inside of app.asar. */
const dist = join(import.meta.dirname, '..')

startShell(createHost, {
  preload: join(dist, 'preload/preload.cjs'),
  renderer: join(dist, 'renderer'),
  assets: app.isPackaged ? join(process.resourcesPath, 'assets') : join(dist, '../assets'),
})
