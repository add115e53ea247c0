/**
 * The contract suite: what the desktop shell relies on in Electron, asked of whatever `electron` is here, a real one or
 * the double. Runs as an application of its own and writes what it found to ATTUNE_CONTRACT_OUT.
 */
const { app, BrowserWindow, protocol } = require('electron')
const { report, same, thrown } = require('./harness.cjs')

if (process.argv.includes('--second-instance')) {
  // Started by the suite itself.
  require('./part-instance.cjs').second()
} else {
  const early = []
  for (const event of ['will-finish-launching', 'ready']) app.on(event, () => early.push(event))
  protocol.registerSchemesAsPrivileged([
    { scheme: 'suite', privileges: { standard: true, secure: true, supportFetchAPI: true, stream: true } },
  ])
  same('app: not ready while the main script runs', app.isReady(), false)
  const before = thrown(() => new BrowserWindow({ show: false }))
  const lock = require('./part-instance.cjs').first()
  app.on('window-all-closed', () => undefined)
  app.whenReady().then(async () => {
    try {
      same('window: none before ready', await before, 'Cannot create BrowserWindow before app is ready')
      same('app: ready after whenReady', app.isReady(), true)
      same('app: order of the start', early, ['will-finish-launching', 'ready'])
      await require('./part-app.cjs')()
      const window = await require('./part-window.cjs')()
      await require('./part-bridge.cjs')(window)
      await require('./part-ipc.cjs')(window)
      await require('./part-protocol.cjs')(window)
      await require('./part-guards.cjs')(window)
      await require('./part-menu-dialog.cjs')(window)
      await lock()
      require('./harness.cjs').lacking(window)
      await require('./part-quit.cjs')()
    } catch (error) {
      same('the suite ran to its end', error.stack, '')
      report()
      app.exit(1)
    }
  })
}
