/** The end: in which order it is told, and how it is held back. */
const { app, BrowserWindow } = require('electron')
const { report, same, until, wait } = require('./harness.cjs')

module.exports = async () => {
  const order = []
  for (const event of ['before-quit', 'will-quit', 'window-all-closed']) app.on(event, () => order.push(event))
  const [window] = BrowserWindow.getAllWindows()

  app.once('before-quit', event => event.preventDefault())
  app.quit()
  same('quit: before-quit comes at once', order.splice(0), ['before-quit'])
  await wait(200)
  same('quit: before-quit holds it back', [order, window.isDestroyed()], [[], false])

  window.once('close', event => {
    order.push('close')
    event.preventDefault()
  })
  app.quit()
  await wait(300)
  same('quit: a window that does not close holds it back', [order.splice(0), window.isDestroyed()], [['before-quit', 'close'], false])

  window.once('close', () => order.push('close'))
  window.once('closed', () => order.push('closed'))
  let held = 0
  app.once('will-quit', event => {
    held++
    event.preventDefault()
  })
  app.quit()
  await until(() => held === 1)
  await wait(100)
  same('quit: order', order.splice(0), ['before-quit', 'close', 'will-quit', 'closed'])
  same('quit: will-quit holds it back, the windows are gone', BrowserWindow.getAllWindows().length, 0)

  app.on('quit', (_event, code) => {
    same('quit: last', [order, code], [['before-quit', 'will-quit'], 0])
    report()
  })
  app.quit()
}
