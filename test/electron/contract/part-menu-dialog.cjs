/** Menus as data, dialogs' arguments, the theme, the screen. */
const { app, BrowserWindow, dialog, Menu, MenuItem, nativeTheme, Notification, screen, session, shell } = require('electron')
const { same, thrown } = require('./harness.cjs')

module.exports = async window => {
  const clicked = []
  const menu = Menu.buildFromTemplate([
    {
      label: '&File',
      submenu: [
        { id: 'open', label: 'Open…', accelerator: 'CmdOrCtrl+O', click: item => clicked.push(item.id) },
        { type: 'separator' },
        { role: 'quit' },
        { id: 'grid', label: 'Grid', type: 'checkbox', checked: true },
        { id: 'off', label: 'Off', enabled: false },
      ],
    },
    { label: 'Edit', submenu: [{ role: 'copy' }, { role: 'paste' }, { role: 'selectAll' }] },
    { role: 'help', submenu: [{ label: 'About' }] },
  ])
  same('menu: items', menu.items.map(item => item.label), ['&File', 'Edit', 'Help'])
  same('menu: kinds', menu.items[0].submenu.items.map(item => item.type), ['normal', 'separator', 'normal', 'checkbox', 'normal'])
  same('menu: labels of roles', [menu.items[0].submenu.items[2].label, ...menu.items[1].submenu.items.map(item => item.label)], ['Quit', 'Copy', 'Paste', 'Select All'])
  same('menu: role in small letters', menu.items[1].submenu.items[2].role, 'selectall')
  const open = menu.getMenuItemById('open')
  same('menu: by id', [open.label, open.accelerator], ['Open…', 'CmdOrCtrl+O'])
  same('menu: unknown id', menu.getMenuItemById('nowhere') || null, null)
  open.click()
  same('menu: click', clicked, ['open'])
  const grid = menu.getMenuItemById('grid')
  same('menu: checked', grid.checked, true)
  same('menu: disabled', menu.getMenuItemById('off').enabled, false)
  menu.append(new MenuItem({ label: 'More' }))
  same('menu: append', menu.items.length, 4)
  same('menu: template without label', await thrown(() => Menu.buildFromTemplate([{}])), 'Invalid template for MenuItem: must have at least one of label, role or type')
  same('menu: template is a list', (await thrown(() => Menu.buildFromTemplate('no'))).startsWith('Invalid template for Menu'), true)
  same('menu: unknown kind', await thrown(() => new MenuItem({ label: 'x', type: 'odd' })), 'Unknown menu item type: odd')
  same('menu: submenu is wanted', await thrown(() => new MenuItem({ label: 'x', type: 'submenu' })), 'Invalid submenu')
  Menu.setApplicationMenu(menu)
  same('menu: of the application', Menu.getApplicationMenu() === menu, true)
  Menu.setApplicationMenu(null)
  same('menu: taken away', Menu.getApplicationMenu(), null)

  same('dialog: buttons are a list', await thrown(() => dialog.showMessageBox({ buttons: 'no', message: '' })), 'Buttons must be an array')
  same('dialog: title is text', await thrown(() => dialog.showMessageBox({ title: 1, message: '' })), 'Title must be a string')
  same('dialog: message is text', await thrown(() => dialog.showMessageBox({ message: 5 })), 'Message must be a string')
  same('dialog: kind of a box', await thrown(() => dialog.showMessageBox({ type: 'odd', message: '' })), 'Invalid message box type')
  same('dialog: properties are a list', await thrown(() => dialog.showOpenDialog({ properties: 'openFile' })), 'Properties must be an array')
  same('dialog: title of opening is text', await thrown(() => dialog.showOpenDialog({ title: [] })), 'Title must be a string')
  same('dialog: path is text', await thrown(() => dialog.showSaveDialog({ defaultPath: {} })), 'Default path must be a string')

  same('theme: of the system at first', nativeTheme.themeSource, 'system')
  let updates = 0
  nativeTheme.on('updated', () => updates++)
  nativeTheme.themeSource = 'dark'
  same('theme: dark', [nativeTheme.themeSource, nativeTheme.shouldUseDarkColors], ['dark', true])
  nativeTheme.themeSource = 'light'
  same('theme: light', nativeTheme.shouldUseDarkColors, false)
  same('theme: refuses what it does not know', (await thrown(() => (nativeTheme.themeSource = 'pink'))) !== 'nothing', true)
  await new Promise(resolve => setTimeout(resolve, 50))
  same('theme: tells', updates > 0, true)

  const display = screen.getPrimaryDisplay()
  same('screen: work area', Object.keys(display.workArea).sort(), ['height', 'width', 'x', 'y'])
  same('screen: the main one is among all', screen.getAllDisplays().some(each => each.id === display.id), true)
  same('notification: can be asked', typeof Notification.isSupported(), 'boolean')
  const note = new Notification({ title: 'Title', body: 'Body' })
  same('notification: title and body', [note.title, note.body], ['Title', 'Body'])
  same('shell: functions', ['openExternal', 'showItemInFolder', 'openPath'].map(name => typeof shell[name]), ['function', 'function', 'function'])
  same('session: one by default', session.defaultSession === window.webContents.session, true)
  same('window: focus is one or none', [null, window].includes(BrowserWindow.getFocusedWindow()), true)
  same('app: name can be set', (app.setName('Other'), app.getName()), 'Other')
  app.setName('attune-contract')
}
