/** The suite's preload script: every kind of value that may cross, and what must not. */
const { contextBridge, ipcRenderer } = require('electron')

class Point {
  constructor() {
    this.x = 1
  }
  length() {
    return this.x
  }
}

const failed = async run => {
  try {
    await run()
    return 'nothing'
  } catch (error) {
    return `${error.name}: ${error.message}`
  }
}

const kinds = value => Object.prototype.toString.call(value).slice(8, -1)

contextBridge.exposeInMainWorld('suite', {
  number: 7,
  text: 'text',
  nothing: undefined,
  none: null,
  list: [1, [2, 3]],
  nested: { deep: { er: true } },
  date: new Date(5),
  bytes: new Uint8Array([1, 2, 3]),
  point: new Point(),
  add: (a, b) => a + b,
  later: async value => ({ value }),
  call: (run, value) => run(value),
  echoKind: value => kinds(value),
  refuse: async () => {
    throw Object.assign(new TypeError('refused here'), { code: 'secret' })
  },
  throwNow: () => {
    throw new Error('thrown here')
  },
  make: () => () => 'made',
  invoke: (channel, ...values) => ipcRenderer.invoke(channel, ...values),
  failInvoke: (channel, ...values) => failed(() => ipcRenderer.invoke(channel, ...values)),
  invokeFunction: () => failed(() => ipcRenderer.invoke('echo', () => 1)),
  invokeSymbol: () => failed(() => ipcRenderer.invoke('echo', Symbol('s'))),
  invokePromise: () => failed(() => ipcRenderer.invoke('echo', Promise.resolve(1))),
  // Kinds are asked on this side, because the bridge copies once more.
  kindOfEcho: async name => {
    const buffer = new Uint8Array([9, 8, 7, 6, 5, 4, 3, 2]).buffer
    const cyclic = { name: 'cyclic' }
    cyclic.self = cyclic
    const values = {
      uint8: new Uint8Array([0, 127, 255]),
      float32: new Float32Array([1.5, -0.25, Infinity]),
      float64: new Float64Array([Math.PI]),
      int16: new Int16Array([-300, 300]),
      bigint64: new BigInt64Array([-5n]),
      part: new Uint8Array(buffer, 2, 3),
      buffer,
      view: new DataView(buffer, 1, 2),
      date: new Date(86400000),
      map: new Map([['a', new Set([1, 2])]]),
      regexp: /a+b/gi,
      error: new RangeError('out of range'),
      bigint: 12345678901234567890n,
      nan: NaN,
      minus: -0,
      missing: undefined,
      holes: { a: undefined, b: null },
      big: new Uint8Array(1 << 20).fill(3),
      point: new Point(),
      cyclic,
    }
    const seen = await ipcRenderer.invoke('describe', values[name])
    const back = await ipcRenderer.invoke('echo', values[name])
    return { there: seen, back: describe(back) }
  },
  once: channel => new Promise(resolve => ipcRenderer.once(channel, (_event, ...values) => resolve(values))),
  count: channel => {
    let count = 0
    const listener = () => {
      count++
    }
    ipcRenderer.on(channel, listener)
    return { get: () => count, off: () => void ipcRenderer.removeListener(channel, listener) }
  },
  send: (channel, ...values) => ipcRenderer.send(channel, ...values),
  world: () => ({
    process: typeof process,
    require: typeof require,
    requireFs: (() => {
      try {
        return typeof require('fs')
      } catch {
        return 'refused'
      }
    })(),
    bridge: typeof contextBridge.exposeInMainWorld,
    invoke: typeof ipcRenderer.invoke,
  }),
  exposeAgain: () => failed(() => contextBridge.exposeInMainWorld('suite', {})),
})

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
  const keys = Object.keys(value)
  const self = value.self === value ? ' itself' : ''
  return `${kind} ${keys}${self} ${Object.getPrototypeOf(value) === Object.prototype ? 'plain' : 'other'}`
}
