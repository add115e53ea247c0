/** The small parts of the double: dialogs that are cancelled unless a test says otherwise, and what is only recorded. */
import { EventEmitter } from 'node:events'
import { rmSync } from 'node:fs'
import { DoubleWindow } from './window.ts'

/** What the shell did to the world outside, in order; tests read it. */
export const recorded: { what: string; value: unknown }[] = []
const record = (what: string, value: unknown) => void recorded.push({ what, value })

function optionsOf(values: unknown[]): Record<string, unknown> {
  const [first, second] = values
  const options = first instanceof DoubleWindow || first === null || first === undefined ? second : first
  if (options === null || typeof options !== 'object') throw new TypeError('Options must be an object')
  return options as Record<string, unknown>
}

function mustBe(options: Record<string, unknown>, key: string, kind: 'string' | 'array', name: string): void {
  const value = options[key]
  if (value === undefined || value === null) return
  if (kind === 'array' ? !Array.isArray(value) : typeof value !== 'string') {
    throw new TypeError(`${name} must be ${kind === 'array' ? 'an array' : 'a string'}`)
  }
}

const boxTypes = ['none', 'info', 'warning', 'error', 'question']

export const dialog = {
  showOpenDialog(...values: unknown[]): Promise<Electron.OpenDialogReturnValue> {
    const options = optionsOf(values)
    mustBe(options, 'properties', 'array', 'Properties')
    mustBe(options, 'title', 'string', 'Title')
    mustBe(options, 'buttonLabel', 'string', 'Button label')
    mustBe(options, 'defaultPath', 'string', 'Default path')
    record('showOpenDialog', options)
    return Promise.resolve({ canceled: true, filePaths: [] })
  },
  showSaveDialog(...values: unknown[]): Promise<Electron.SaveDialogReturnValue> {
    const options = optionsOf(values)
    mustBe(options, 'title', 'string', 'Title')
    mustBe(options, 'defaultPath', 'string', 'Default path')
    record('showSaveDialog', options)
    return Promise.resolve({ canceled: true, filePath: '' })
  },
  showMessageBox(...values: unknown[]): Promise<Electron.MessageBoxReturnValue> {
    const options = optionsOf(values)
    const { type } = options
    if (type !== undefined && !boxTypes.includes(String(type)))
      throw new TypeError('Invalid message box type')
    mustBe(options, 'buttons', 'array', 'Buttons')
    mustBe(options, 'title', 'string', 'Title')
    mustBe(options, 'message', 'string', 'Message')
    mustBe(options, 'detail', 'string', 'Detail')
    record('showMessageBox', options)
    return Promise.resolve({ response: Number(options['cancelId'] ?? 0), checkboxChecked: false })
  },
  showErrorBox(title: string, content: string): void {
    if (typeof title !== 'string' || typeof content !== 'string') {
      throw new TypeError('Error processing argument')
    }
    record('showErrorBox', { title, content })
  },
} satisfies Partial<typeof Electron.dialog>

export const shell = {
  openExternal: async (url: string) => record('openExternal', url),
  showItemInFolder: (path: string) => record('showItemInFolder', path),
  openPath: async (path: string) => {
    record('openPath', path)
    return ''
  },
  trashItem: async (path: string) => {
    rmSync(path)
    record('trashItem', path)
  },
  beep: () => record('beep', undefined),
} satisfies Partial<typeof Electron.shell>

class DoubleTheme extends EventEmitter {
  #source: 'system' | 'light' | 'dark' = 'system'

  get themeSource(): 'system' | 'light' | 'dark' {
    return this.#source
  }

  set themeSource(source: 'system' | 'light' | 'dark') {
    if (!['system', 'light', 'dark'].includes(source))
      throw new TypeError(`Error processing argument at index 0, conversion failure from ${source}`)
    this.#source = source
    this.emit('updated')
  }

  get shouldUseDarkColors(): boolean {
    return this.#source === 'dark'
  }
}

export const nativeTheme = new DoubleTheme() satisfies Pick<
  Electron.NativeTheme,
  'themeSource' | 'shouldUseDarkColors'
>

type Display = Pick<Electron.Display, 'id' | 'bounds' | 'workArea' | 'scaleFactor'>

/** One screen of 1920×1080; ATTUNE_DOUBLE_SCREENS holds others as JSON. */
const displays: Display[] = (
  JSON.parse(
    process.env['ATTUNE_DOUBLE_SCREENS'] ?? '[{"x":0,"y":0,"width":1920,"height":1080}]',
  ) as Electron.Rectangle[]
).map((area, at) => ({ id: at + 1, bounds: area, workArea: area, scaleFactor: 1 }))

export const screen = Object.assign(new EventEmitter(), {
  getPrimaryDisplay: () => displays[0],
  getAllDisplays: () => displays,
  getCursorScreenPoint: () => ({ x: 0, y: 0 }),
})

export class DoubleNotification extends EventEmitter {
  static isSupported(): boolean {
    return true
  }

  /** The last ones, for tests to click. */
  static readonly shown: DoubleNotification[] = []
  readonly title: string
  readonly body: string

  constructor(options: Electron.NotificationConstructorOptions = {}) {
    super()
    this.title = options.title ?? ''
    this.body = options.body ?? ''
  }

  show(): void {
    DoubleNotification.shown.push(this)
    record('notification', { title: this.title, body: this.body })
    this.emit('show')
  }

  close(): void {
    this.emit('close')
  }
}
