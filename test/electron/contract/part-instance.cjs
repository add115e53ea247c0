/** One instance: a second start is told to the first one and ends. */
const { app } = require('electron')
const { spawn } = require('child_process')
const { once, same } = require('./harness.cjs')

/** In the first process, before it is ready. @returns the rest, to be run when it is */
exports.first = () => {
  same('instance: the first gets the lock', app.requestSingleInstanceLock(), true)
  same('instance: it has it', app.hasSingleInstanceLock(), true)
  same('instance: asking again is no harm', app.requestSingleInstanceLock(), true)
  return async () => {
    const told = once(app, 'second-instance', 20000)
    const args = [...process.argv.slice(1).map(word => (word === '.' ? app.getAppPath() : word)), '--second-instance', '/tmp/a picture.png']
    const child = spawn(process.execPath, [...process.execArgv, ...args], { stdio: 'ignore', cwd: '/' })
    const ended = once(child, 'exit', 20000)
    const [event, words, folder] = await told
    same('instance: event', typeof event.preventDefault, 'function')
    same('instance: words of the second', [words.includes('--second-instance'), words.includes('/tmp/a picture.png')], [true, true])
    same('instance: folder of the second', folder, '/')
    same('instance: the second has no lock and ends', (await ended)[0], 7)
    app.releaseSingleInstanceLock()
    same('instance: released', app.hasSingleInstanceLock(), false)
  }
}

/** In the second process. */
exports.second = () => {
  const lock = app.requestSingleInstanceLock()
  app.on('quit', () => process.exit(lock ? 8 : 7))
  app.quit()
  app.whenReady().then(() => app.quit())
}
