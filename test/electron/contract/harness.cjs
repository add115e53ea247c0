/** What the parts of the contract suite share: plain CommonJS, because the real Electron at hand is of 2020. */
const { deepStrictEqual } = require('assert')
const { writeFileSync } = require('fs')
const { app, protocol, session, shell } = require('electron')

/** What of the shell's Electron is not here, by name. */
let lacks = []

/** What was found, in order. */
const results = []

/** Notes whether a thing is as expected; never throws, so that one difference does not hide the next. */
exports.same = (name, actual, expected) => {
  let ok = true
  try {
    deepStrictEqual(actual, expected)
  } catch {
    ok = false
  }
  results.push(ok ? { name, ok } : { name, ok, actual: String(JSON.stringify(actual)), expected: JSON.stringify(expected) })
  // Each time, so that a run that hangs tells where.
  exports.report()
}

/** The message of what a function throws or rejects with; `nothing` when it does not. */
exports.thrown = async run => {
  try {
    return (await Promise.race([run(), exports.wait(5000).then(() => 'pending')])) === 'pending' ? 'pending' : 'nothing'
  } catch (error) {
    return error.message
  }
}

/** A promise of the first time that something emits, or `never` after a while. */
exports.once = (emitter, event, milliseconds = 5000) =>
  new Promise(resolve => {
    const timer = setTimeout(() => resolve('never'), milliseconds)
    emitter.once(event, (...values) => {
      clearTimeout(timer)
      resolve(values)
    })
  })

exports.wait = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds))

/** Asks again until the answer is true. @returns whether it became so */
exports.until = async (ask, milliseconds = 5000) => {
  for (const end = Date.now() + milliseconds; Date.now() < end; await exports.wait(20)) if (await ask()) return true
  return false
}

/** Evaluates in a window's page, with a click's rights. */
exports.inPage = (window, code) => window.webContents.executeJavaScript(code, true)

/**
 * Serves a scheme by whichever means there are: `protocol.handle` is of Electron 25.
 * @param answer path, method → { status, type, body }
 */
exports.serve = (scheme, answer) => {
  if (protocol.handle) {
    protocol.handle(scheme, async request => {
      const { status = 200, type = 'text/html', headers = {}, body = '' } = answer(new URL(request.url), request.method)
      return new Response(body, { status, headers: { 'content-type': type, ...headers } })
    })
    return
  }
  protocol.registerBufferProtocol(scheme, (request, respond) => {
    const { status = 200, type = 'text/html', headers = {}, body = '' } = answer(new URL(request.url), request.method)
    respond({ statusCode: status, mimeType: type, headers: { 'content-type': type, ...headers }, data: Buffer.from(body) })
  })
}

/** Refuses windows that pages open, by whichever means there are: `setWindowOpenHandler` is of Electron 12. */
exports.denyWindows = (contents, seen) => {
  if (contents.setWindowOpenHandler) {
    contents.setWindowOpenHandler(({ url }) => {
      seen.push(url)
      return { action: 'deny' }
    })
    return
  }
  contents.on('new-window', (event, url) => {
    event.preventDefault()
    seen.push(url)
  })
}

/** Looks for what the shell uses and an old Electron has not. */
exports.lacking = window => {
  const contents = window.webContents
  const found = {
    'protocol.handle': protocol.handle,
    'protocol.unhandle': protocol.unhandle,
    'webContents.setWindowOpenHandler': contents.setWindowOpenHandler,
    'webContents.mainFrame': contents.mainFrame,
    'session.setDevicePermissionHandler': session.defaultSession.setDevicePermissionHandler,
    'session.setDisplayMediaRequestHandler': session.defaultSession.setDisplayMediaRequestHandler,
    'shell.trashItem': shell.trashItem,
  }
  lacks = Object.keys(found).filter(name => !found[name])
}

/** Writes down what was found; synchronous, since the last things are found while the program ends. */
exports.report = () => {
  writeFileSync(
    process.env.ATTUNE_CONTRACT_OUT,
    JSON.stringify({ electron: process.versions.electron || 'double', name: app.getName(), lacks, results }),
  )
}
