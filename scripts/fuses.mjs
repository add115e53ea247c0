/**
 * Electron's fuses: switches in the binary that nobody can turn back without breaking its signature. Read and written
 * here and not by @electron/fuses, because the version that electron-builder brings does not know the ninth, and a
 * fuse that is not known must fail the build. Plain JavaScript, since electron-builder loads it.
 */

const sentinel = 'dL7pKGdnNz796PbbjQWNKmHXBZaB9tsX'
const states = { 0x30: 'off', 0x31: 'on', 0x72: 'removed', 0x90: 'inherit' }

/** In the order of the wire (electron's build/fuses/fuses.json5). */
export const fuseNames = [
  'runAsNode',
  'cookieEncryption',
  'nodeOptions',
  'nodeCliInspect',
  'embeddedAsarIntegrityValidation',
  'onlyLoadAppFromAsar',
  'loadBrowserProcessSpecificV8Snapshot',
  'grantFileProtocolExtraPrivileges',
  'wasmTrapHandlers',
]

/** How they leave the factory here. */
export const wantedFuses = {
  // Otherwise the signed program runs any script as Node.
  runAsNode: false,
  cookieEncryption: true,
  nodeOptions: false,
  nodeCliInspect: false,
  // Of macOS and Windows; Linux ignores it.
  embeddedAsarIntegrityValidation: true,
  onlyLoadAppFromAsar: true,
  loadBrowserProcessSpecificV8Snapshot: false,
  // The page lives on app://, not on file://.
  grantFileProtocolExtraPrivileges: false,
  // onnxruntime's WebAssembly would be slower without.
  wasmTrapHandlers: true,
}

/** Every wire of a binary: a universal one of macOS has one for each processor. */
export function findFuseWires(bytes) {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const wires = []
  for (let at = buffer.indexOf(sentinel); at >= 0; at = buffer.indexOf(sentinel, at + 1)) {
    const start = at + sentinel.length
    const [version, length] = [buffer[start] ?? 0, buffer[start + 1] ?? 0]
    const found = [...buffer.subarray(start + 2, start + 2 + length)]
    if (version !== 1 || found.length !== length || found.some(each => !(each in states))) {
      throw new Error(`the fuses at ${at} cannot be read: version ${version}, ${length} fuses`)
    }
    wires.push({ at: start + 2, version, states: found.map(each => states[each]) })
  }
  return wires
}

/** The state of each fuse by name; those that are not known here are `fuse 9` and so on. */
export function readFuses(bytes) {
  const [wire] = findFuseWires(bytes)
  if (!wire) throw new Error('there are no fuses in this file')
  return Object.fromEntries(wire.states.map((state, index) => [fuseNames[index] ?? `fuse ${index}`, state]))
}

/**
 * Sets all fuses, in place. @returns how many wires there were
 * @throws Error when a fuse of the binary is not decided here, or one that is wanted is not in it
 */
export function flipFuses(bytes, wanted) {
  const wires = findFuseWires(bytes)
  if (!wires.length) throw new Error('there are no fuses in this file')
  for (const wire of wires) {
    const names = wire.states.map((_, index) => fuseNames[index] ?? `fuse ${index}`)
    const undecided = names.filter(name => wanted[name] === undefined)
    const missing = Object.keys(wanted).filter(name => !names.includes(name))
    if (undecided.length) throw new Error(`nobody decided the fuses ${undecided.join(', ')}`)
    if (missing.length) throw new Error(`this Electron has no fuses ${missing.join(', ')}`)
    for (const [index, name] of names.entries()) {
      // One that was removed does nothing in either state.
      if (wire.states[index] !== 'removed') bytes[wire.at + index] = wanted[name] ? 0x31 : 0x30
    }
  }
  return wires.length
}
