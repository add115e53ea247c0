/** Windows: making, loading, showing, states. @returns the window of the other parts */
const { app, BrowserWindow } = require('electron')
const path = require('path')
const { inPage, once, same, serve, thrown, until } = require('./harness.cjs')

const html = `<!doctype html><meta charset="utf-8"><title>Suite page</title><link rel="icon" href="data:,"><p id="p">page</p>`

module.exports = async () => {
  const asked = []
  serve('suite', (url, method) => {
    asked.push(`${method} ${url.pathname}`)
    if (url.pathname === '/index.html' || url.pathname === '/') return { body: html }
    if (url.pathname === '/data.json') return { type: 'application/json', headers: { 'x-suite': 'yes' }, body: '{"a":1}' }
    if (url.pathname === '/bytes') return { type: 'application/octet-stream', body: Buffer.from([0, 1, 254, 255]) }
    if (url.pathname === '/strict.html') {
      return { headers: { 'content-security-policy': "default-src 'none'; script-src 'self'" }, body: `${html}<script>window.inline = 1</script><script src="/own.js"></script>` }
    }
    if (url.pathname === '/own.js') return { type: 'text/javascript', body: 'window.own = 1' }
    return { status: 404, body: 'not here' }
  })
  const order = []
  app.once('web-contents-created', (_event, contents) => order.push(`created ${typeof contents.id}`))
  app.once('browser-window-created', () => order.push('window'))
  const window = new BrowserWindow({
    show: false,
    width: 640,
    height: 480,
    title: 'First title',
    backgroundColor: '#123456',
    webPreferences: {
      preload: path.join(__dirname, 'preload.cjs'),
      contextIsolation: true,
      sandbox: true,
      nodeIntegration: false,
      webSecurity: true,
    },
  })
  for (const event of ['did-start-loading', 'dom-ready', 'did-navigate', 'did-finish-load']) {
    window.webContents.once(event, () => order.push(event))
  }
  const ready = once(window, 'ready-to-show')
  same('window: hidden when asked', window.isVisible(), false)
  same('window: title before the page', window.getTitle(), 'First title')
  same('window: size', window.getSize(), [640, 480])
  same('window: background', window.getBackgroundColor(), '#123456')
  same('window: no address before loading', window.webContents.getURL(), '')
  const loading = window.loadURL('suite://page/index.html')
  same('window: loadURL gives a promise', typeof loading.then, 'function')
  same('window: loadURL ends', await loading, undefined)
  same('window: ready to be shown', (await ready) !== 'never', true)
  same('window: address', window.webContents.getURL(), 'suite://page/index.html')
  same('window: title of the page', await until(() => window.webContents.getTitle() === 'Suite page'), true)
  await until(() => order.includes('did-finish-load'))
  same('window: contents are told of', order.includes('created number'), true)
  same('window: loading begins before it ends', order.indexOf('did-start-loading') < order.indexOf('did-finish-load'), true)
  same('window: document before load', order.indexOf('did-navigate') < order.indexOf('did-finish-load'), true)
  same('window: asked of the scheme', asked[0], 'GET /index.html')
  same('window: loading a missing host fails', /^ERR_[A-Z_]+ \(-\d+\) loading 'http:\/\/nowhere\.invalid\/'/.test(await thrown(() => window.loadURL('http://nowhere.invalid/'))), true)
  await window.loadURL('suite://page/index.html')
  same('window: among all', BrowserWindow.getAllWindows().map(each => each.id), [window.id])
  same('window: of its contents', BrowserWindow.fromWebContents(window.webContents) === window, true)
  same('window: by id', BrowserWindow.fromId(window.id) === window, true)
  window.show()
  same('window: shown', window.isVisible(), true)
  window.hide()
  same('window: hidden again', window.isVisible(), false)
  window.setBounds({ x: 100, y: 80, width: 700, height: 500 })
  same('window: size that was set', await until(() => window.getSize().join() === '700,500'), true)
  same('window: normal bounds', [window.getNormalBounds().width, window.getNormalBounds().height], [700, 500])
  same('script: value', await inPage(window, '1 + 1'), 2)
  same('script: promise', await inPage(window, 'Promise.resolve({ a: [1] })'), { a: [1] })
  same('script: rejection', await thrown(() => inPage(window, 'Promise.reject(new Error("from the page"))')), 'from the page')
  const other = new BrowserWindow({ show: false })
  const closed = once(other, 'closed')
  let prevented = 0
  other.once('close', event => {
    prevented++
    event.preventDefault()
  })
  other.close()
  await new Promise(resolve => setTimeout(resolve, 100))
  same('window: closing can be prevented', [prevented, other.isDestroyed()], [1, false])
  other.close()
  same('window: closing a second time', (await closed) !== 'never', true)
  same('window: destroyed', other.isDestroyed(), true)
  same('window: one is left', BrowserWindow.getAllWindows().length, 1)
  const third = new BrowserWindow({ show: false })
  let asks = 0
  third.on('close', event => {
    asks++
    event.preventDefault()
  })
  const gone = once(third, 'closed')
  third.destroy()
  same('window: destroy does not ask', [(await gone) !== 'never', asks], [true, 0])
  return window
}
