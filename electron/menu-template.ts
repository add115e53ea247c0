/**
 * The native menu as data: a command for the page where the page acts, a role where the system does. Placed as each
 * platform has it: the program's own menu on macOS, Settings under Edit and Quit under File elsewhere. No Electron here
 * but its types.
 */
import type { MenuItemConstructorOptions } from 'electron'

/** What the menu asks of the page, as `{ type: 'command', command }`. */
export const menuCommands = [
  'generate',
  'cancel',
  'new',
  'export',
  'settings',
  'palette',
  'shortcuts',
  'view.create',
  'view.gallery',
  'view.models',
  'view.queue',
  'undo',
  'redo',
] as const
export type MenuCommand = (typeof menuCommands)[number]

export interface MenuActions {
  command(command: MenuCommand): void
  openPicture(): void
  openFolder(which: 'pictures' | 'logs' | 'models'): void
}

/** @param packaged leaves out what is for developing */
export function menuTemplate(
  platform: NodeJS.Platform,
  packaged: boolean,
  actions: MenuActions,
): MenuItemConstructorOptions[] {
  const mac = platform === 'darwin'
  const item = (id: MenuCommand, label: string, accelerator?: string): MenuItemConstructorOptions => ({
    id,
    label,
    ...(accelerator !== undefined && { accelerator }),
    click: () => actions.command(id),
  })
  const line = { type: 'separator' } as const
  const settings = item('settings', 'Settings…', 'CmdOrCtrl+,')
  const program: MenuItemConstructorOptions = {
    role: 'appMenu',
    submenu: [
      { role: 'about' },
      line,
      settings,
      line,
      { role: 'services' },
      line,
      { role: 'hide' },
      { role: 'hideOthers' },
      { role: 'unhide' },
      line,
      { role: 'quit' },
    ],
  }
  const file: MenuItemConstructorOptions = {
    label: '&File',
    submenu: [
      item('new', 'New Picture', 'CmdOrCtrl+N'),
      { id: 'open', label: 'Open Picture…', accelerator: 'CmdOrCtrl+O', click: () => actions.openPicture() },
      line,
      item('export', 'Export Word Maps…', 'CmdOrCtrl+Shift+E'),
      { id: 'folder.pictures', label: 'Open Pictures Folder', click: () => actions.openFolder('pictures') },
      { id: 'folder.models', label: 'Open Models Folder', click: () => actions.openFolder('models') },
      line,
      mac ? { role: 'close' } : { role: 'quit' },
    ],
  }
  const edit: MenuItemConstructorOptions = {
    label: '&Edit',
    submenu: [
      // The page's own: its history holds weights and strokes besides text. In a field the page passes them on.
      item('undo', 'Undo', 'CmdOrCtrl+Z'),
      item('redo', 'Redo', mac ? 'Shift+Cmd+Z' : 'Ctrl+Y'),
      line,
      { role: 'cut' },
      { role: 'copy' },
      { role: 'paste' },
      { role: 'selectAll' },
      ...(mac ? [] : [line, settings]),
    ],
  }
  const draw: MenuItemConstructorOptions = {
    label: '&Draw',
    submenu: [
      item('generate', 'Generate', 'CmdOrCtrl+Return'),
      // No accelerator: Escape belongs to whatever is open in the page.
      item('cancel', 'Stop Drawing'),
    ],
  }
  const view: MenuItemConstructorOptions = {
    label: '&View',
    submenu: [
      item('view.create', 'Create', 'CmdOrCtrl+1'),
      item('view.gallery', 'Gallery', 'CmdOrCtrl+2'),
      item('view.models', 'Models', 'CmdOrCtrl+3'),
      item('view.queue', 'Queue', 'CmdOrCtrl+4'),
      line,
      item('palette', 'Command Palette…', 'CmdOrCtrl+K'),
      line,
      { role: 'resetZoom' },
      { role: 'zoomIn' },
      { role: 'zoomOut' },
      { role: 'togglefullscreen' },
      // Reloading would end a drawing without a question.
      ...(packaged ? [] : ([line, { role: 'reload' }, { role: 'toggleDevTools' }] as const)),
    ],
  }
  const help: MenuItemConstructorOptions = {
    role: 'help',
    submenu: [
      item('shortcuts', 'Keyboard Shortcuts', 'CmdOrCtrl+/'),
      { id: 'folder.logs', label: 'Open Logs Folder', click: () => actions.openFolder('logs') },
      ...(mac ? [] : ([line, { role: 'about' }] as const)),
    ],
  }
  const window: MenuItemConstructorOptions[] = mac ? [{ role: 'windowMenu' }] : []
  return [...(mac ? [program] : []), file, edit, draw, view, ...window, help]
}
