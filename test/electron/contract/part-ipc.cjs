/** Messages: invoke and handle, kinds both ways, errors, events to the page. */
const { ipcMain } = require('electron')
const { inPage, once, same, thrown, until, wait } = require('./harness.cjs')

const kinds = value => Object.prototype.toString.call(value).slice(8, -1)

function describe(value) {
  const kind = kinds(value)
  if (value === undefined || value === null) return kind
  if (typeof value === 'number') return `${kind} ${Object.is(value, -0) ? '-0' : value}`
  if (typeof value !== 'object') return `${kind} ${value}`
  if (ArrayBuffer.isView(value) && kind !== 'DataView') return `${kind} ${value.length} ${Array.from(value.slice(0, 4))}`
  if (ArrayBuffer.isView(value) || kind === 'ArrayBuffer') return `${kind} ${value.byteLength}`
  if (kind === 'Date') return `${kind} ${value.getTime()}`
  if (kind === 'RegExp') return `${kind} ${value}`
  if (kind === 'Error') return `${kind} ${value.message}`
  if (kind === 'Map') return `${kind} ${[...value].map(([key, each]) => `${key} ${describe(each)}`)}`
  if (kind === 'Set') return `${kind} ${[...value]}`
  const self = value.self === value ? ' itself' : ''
  return `${kind} ${Object.keys(value)}${self} ${Object.getPrototypeOf(value) === Object.prototype ? 'plain' : 'other'}`
}

const invoked = channel => `Error: Error invoking remote method '${channel}': `

const expected = {
  uint8: 'Uint8Array 3 0,127,255',
  float32: 'Float32Array 3 1.5,-0.25,Infinity',
  float64: `Float64Array 1 ${Math.PI}`,
  int16: 'Int16Array 2 -300,300',
  bigint64: 'BigInt64Array 1 -5',
  part: 'Uint8Array 3 7,6,5',
  buffer: 'ArrayBuffer 8',
  view: 'DataView 2',
  date: 'Date 86400000',
  map: 'Map a Set 1,2',
  regexp: 'RegExp /a+b/gi',
  error: 'Error out of range',
  bigint: 'BigInt 12345678901234567890',
  nan: 'Number NaN',
  minus: 'Number -0',
  missing: 'Undefined',
  holes: 'Object a,b plain',
  big: 'Uint8Array 1048576 3,3,3,3',
  point: 'Object x plain',
  cyclic: 'Object name,self itself plain',
}

module.exports = async window => {
  const page = code => inPage(window, code)
  let event
  ipcMain.handle('echo', (from, value) => {
    event = from
    return value
  })
  ipcMain.handle('describe', (_from, value) => describe(value))
  for (const [name, text] of Object.entries(expected)) {
    same(`ipc: ${name} both ways`, await page(`suite.kindOfEcho('${name}')`), { there: text, back: text })
  }
  same('ipc: sender is the window', event.sender === window.webContents, true)
  same('ipc: several values', (ipcMain.handle('many', (_from, ...values) => values.length), await page(`suite.invoke('many', 1, 'b', [3])`)), 3)
  ipcMain.handle('refuse', () => {
    throw Object.assign(new Error('not so'), { code: 'x' })
  })
  ipcMain.handle('refuseLater', async () => {
    await wait(1)
    throw new TypeError('later')
  })
  ipcMain.handle('refuseText', () => Promise.reject('only text'))
  same('ipc: error of a handler', await page(`suite.failInvoke('refuse')`), `${invoked('refuse')}Error: not so`)
  same('ipc: rejection of a handler', await page(`suite.failInvoke('refuseLater')`), `${invoked('refuseLater')}TypeError: later`)
  same('ipc: rejection without an error', await page(`suite.failInvoke('refuseText')`), `${invoked('refuseText')}only text`)
  same('ipc: no handler', await page(`suite.failInvoke('nobody')`), `${invoked('nobody')}No handler registered for 'nobody'`)
  same('ipc: a function is not cloned', await page('suite.invokeFunction()'), 'Error: An object could not be cloned.')
  same('ipc: a symbol is not cloned', await page('suite.invokeSymbol()'), 'Error: An object could not be cloned.')
  same('ipc: a promise is not cloned', await page('suite.invokePromise()'), 'Error: An object could not be cloned.')
  same('ipc: a second handler is refused', await thrown(() => ipcMain.handle('echo', () => 1)), "Attempted to register a second handler for 'echo'")
  same('ipc: a handler is a function', (await thrown(() => ipcMain.handle('other', 'no'))).startsWith('Expected handler to be a function'), true)
  ipcMain.removeHandler('many')
  same('ipc: a handler that was removed', await page(`suite.failInvoke('many')`), `${invoked('many')}No handler registered for 'many'`)
  ipcMain.handleOnce('single', () => 'once')
  same('ipc: handleOnce', [await page(`suite.invoke('single')`), /No handler/.test(await page(`suite.failInvoke('single')`))], ['once', true])

  const sent = once(ipcMain, 'from-page')
  await page(`suite.send('from-page', { a: 1 }, [2])`)
  const [from, ...values] = await sent
  same('ipc: send to main', [from.sender === window.webContents, values], [true, [{ a: 1 }, [2]]])
  const told = page(`suite.once('to-page').then(values => [values.length, values[0].a, values[1] instanceof Uint8Array && values[1][1]])`)
  await wait(100)
  window.webContents.send('to-page', { a: 1 }, new Uint8Array([1, 2]))
  same('ipc: send to the page', await told, [2, 1, 2])
  await page(`window.counter = suite.count('tick'), 0`)
  for (let at = 0; at < 5; at++) window.webContents.send('tick', at)
  same('ipc: every event arrives', await until(async () => (await page('counter.get()')) === 5), true)
  await page('counter.off()')
  window.webContents.send('tick')
  await wait(100)
  same('ipc: none after the listener is off', await page('counter.get()'), 5)
  same('ipc: what cannot be cloned is refused when sending', (await thrown(() => window.webContents.send('tick', () => 1))) !== 'nothing', true)
  const order = await page(`Promise.all([3, 1, 2].map(each => suite.invoke('echo', each)))`)
  same('ipc: answers belong to their questions', order, [3, 1, 2])
}
