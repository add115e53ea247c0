/** Guards: permissions, navigation, new windows. */
const { session } = require('electron')
const { denyWindows, inPage, same, until, wait } = require('./harness.cjs')

module.exports = async window => {
  const page = code => inPage(window, code)
  const asked = []
  let grant = false
  session.defaultSession.setPermissionRequestHandler((contents, permission, answer, details) => {
    asked.push([permission, contents === window.webContents, details.isMainFrame])
    answer(grant)
  })
  same('permission: refused', await page('Notification.requestPermission()'), 'denied')
  same('permission: who asked for what', asked.shift(), ['notifications', true, true])
  same('permission: midi', await page('navigator.requestMIDIAccess({ sysex: true }).then(() => "read", error => error.name)'), 'SecurityError')
  same('permission: midi was asked for', (asked.shift() || [])[0], 'midiSysex')
  grant = true
  same('permission: granted', await page('Notification.requestPermission()'), 'granted')
  session.defaultSession.setPermissionRequestHandler(null)
  same('permission: without a handler everything is granted', await page('Notification.requestPermission()'), 'granted')
  session.defaultSession.setPermissionRequestHandler((_contents, _permission, answer) => answer(false))

  const seen = []
  const guard = (event, url) => {
    seen.push(url)
    event.preventDefault()
  }
  window.webContents.on('will-navigate', guard)
  await page('(location.href = "data.json", 0)')
  same('navigation: the guard is asked', await until(() => seen.length === 1), true)
  same('navigation: for the address', seen[0], 'suite://page/data.json')
  await wait(150)
  same('navigation: prevented, the page stays', [window.webContents.getURL(), await page('document.querySelector("p").textContent')], ['suite://page/index.html', 'page'])
  await page('(() => { const link = document.createElement("a"); link.href = "strict.html"; document.body.append(link); link.click() })()')
  same('navigation: links too', await until(() => seen[1] === 'suite://page/strict.html'), true)
  await page('(location.hash = "part", 0)')
  await page('history.pushState(null, "", "index.html?pushed")')
  await wait(100)
  same('navigation: fragments and history are not asked', seen.length, 2)
  await window.loadURL('suite://page/index.html')
  same('navigation: loads of the main process are not asked', seen.length, 2)
  window.webContents.removeListener('will-navigate', guard)
  await page('(location.href = "strict.html", 0)')
  same('navigation: goes on without a guard', await until(() => window.webContents.getURL() === 'suite://page/strict.html'), true)
  await window.loadURL('suite://page/index.html')

  const opened = []
  denyWindows(window.webContents, opened)
  await page('(window.open("suite://page/strict.html"), 0)')
  same('new window: was asked', await until(() => opened[0] === 'suite://page/strict.html'), true)
  await page('(() => { const link = document.createElement("a"); link.href = "https://example.org/x"; link.target = "_blank"; document.body.append(link); link.click() })()')
  same('new window: links with a target', await until(() => opened[1] === 'https://example.org/x'), true)
  await wait(100)
  same('new window: none was made', require('electron').BrowserWindow.getAllWindows().length, 1)
}
