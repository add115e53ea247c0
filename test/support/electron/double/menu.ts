/** `Menu` and `MenuItem` of the double: data and clicks, without a screen. */
import { EventEmitter } from 'node:events'
import { app } from './app.ts'
import { makeEvent } from './events.ts'

/** Labels that roles bring along, as Electron's `menu-item-roles` has them. */
const roleLabels: Readonly<Record<string, (name: string) => string>> = {
  about: name => (process.platform === 'linux' ? 'About' : `About ${name}`),
  close: () => (process.platform === 'darwin' ? 'Close Window' : 'Close'),
  copy: () => 'Copy',
  cut: () => 'Cut',
  paste: () => 'Paste',
  undo: () => 'Undo',
  redo: () => 'Redo',
  delete: () => 'Delete',
  selectall: () => 'Select All',
  minimize: () => 'Minimize',
  quit: name =>
    process.platform === 'darwin' ? `Quit ${name}` : process.platform === 'win32' ? 'Exit' : 'Quit',
  reload: () => 'Reload',
  forcereload: () => 'Force Reload',
  resetzoom: () => 'Actual Size',
  zoomin: () => 'Zoom In',
  zoomout: () => 'Zoom Out',
  togglefullscreen: () => 'Toggle Full Screen',
  toggledevtools: () => 'Toggle Developer Tools',
  help: () => 'Help',
  appmenu: name => name,
  windowmenu: () => 'Window',
  editmenu: () => 'Edit',
  filemenu: () => 'File',
  viewmenu: () => 'View',
  hide: name => `Hide ${name}`,
  hideothers: () => 'Hide Others',
  unhide: () => 'Show All',
  services: () => 'Services',
}

type Template = Electron.MenuItemConstructorOptions

export class DoubleMenuItem {
  id: string | undefined
  label: string
  type: string
  role: string | undefined
  accelerator: unknown
  enabled: boolean
  visible: boolean
  checked: boolean
  submenu: DoubleMenu | undefined
  menu: DoubleMenu | undefined
  click: (event?: unknown, window?: unknown) => void

  constructor(options: Template) {
    const role = options.role?.toLowerCase()
    if (role !== undefined && !(role in roleLabels) && !knownRoles.has(role)) {
      // An unknown role is kept and does nothing, as in Electron.
    }
    const { submenu } = options
    this.id = options.id
    this.role = role
    this.label = options.label ?? (role === undefined ? '' : (roleLabels[role]?.(app.name) ?? ''))
    this.type = options.type ?? (submenu ? 'submenu' : 'normal')
    if (!['normal', 'separator', 'submenu', 'checkbox', 'radio', 'header', 'palette'].includes(this.type)) {
      throw new Error(`Unknown menu item type: ${this.type}`)
    }
    if (this.type === 'submenu' && !submenu) throw new Error('Invalid submenu')
    this.submenu = Array.isArray(submenu) ? DoubleMenu.buildFromTemplate(submenu) : undefined
    this.accelerator = options.accelerator
    this.enabled = options.enabled ?? true
    this.visible = options.visible ?? true
    this.checked = options.checked ?? false
    this.click = (event, window) => {
      if (this.type === 'checkbox') this.checked = !this.checked
      if (this.type === 'radio') {
        for (const other of this.menu?.items ?? []) if (other.type === 'radio') other.checked = other === this
      }
      if (role === 'quit') app.quit()
      // Electron's type of the item is the real one.
      options.click?.(
        this as unknown as Electron.MenuItem,
        window as Electron.BaseWindow | undefined,
        (event ?? makeEvent({})) as Electron.KeyboardEvent,
      )
    }
  }
}

const knownRoles = new Set([
  'startspeaking',
  'stopspeaking',
  'front',
  'zoom',
  'window',
  'pasteandmatchstyle',
  'recentdocuments',
  'clearrecentdocuments',
])

let applicationMenu: DoubleMenu | null = null

export class DoubleMenu extends EventEmitter {
  readonly items: DoubleMenuItem[] = []

  static buildFromTemplate(template: readonly Template[]): DoubleMenu {
    if (!Array.isArray(template))
      throw new TypeError('Invalid template for Menu: Menu template must be an array')
    const isValid = template.every(
      item =>
        item !== null &&
        typeof item === 'object' &&
        (item.label !== undefined || item.role !== undefined || item.type === 'separator'),
    )
    if (!isValid) {
      throw new TypeError('Invalid template for MenuItem: must have at least one of label, role or type')
    }
    const menu = new DoubleMenu()
    for (const item of template) menu.append(new DoubleMenuItem(item))
    return menu
  }

  static setApplicationMenu(menu: DoubleMenu | null): void {
    if (menu !== null && !(menu instanceof DoubleMenu)) throw new TypeError('Invalid menu')
    applicationMenu = menu
  }

  static getApplicationMenu(): DoubleMenu | null {
    return applicationMenu
  }

  append(item: DoubleMenuItem): void {
    this.insert(this.items.length, item)
  }

  insert(at: number, item: DoubleMenuItem): void {
    if (!(item instanceof DoubleMenuItem)) throw new TypeError('Invalid item')
    item.menu = this
    this.items.splice(at, 0, item)
  }

  getMenuItemById(id: string): DoubleMenuItem | null {
    for (const item of this.items) {
      if (item.id === id) return item
      const inner = item.submenu?.getMenuItemById(id)
      if (inner) return inner
    }
    return null
  }

  popup(): void {}

  closePopup(): void {}
}
