import { expect, it } from 'vitest'
import { AttuneError } from '../../model/contract/errors.ts'
import { readAsFloat32, WeightReader } from '../../model/weights/weight-reader.ts'
import { writeSafetensors } from '../../model/weights/write-safetensors.ts'
import { guardedSource, seeded } from './support.ts'

const sound = writeSafetensors(
  {
    'a.weight': { dtype: 'F32', shape: [2, 3], data: new Float32Array(6) },
    'b.weight': { dtype: 'F16', shape: [5], data: new Uint16Array(5) },
    c: { dtype: 'BF16', shape: [], data: new Uint16Array(1) },
  },
  { format: 'pt' },
)

/** Characters that matter to the grammar, so that mutations reach further than the first check. */
const grammar = [...'{}[]",:0123456789eE.-+\\utnrf \u0000'].map(character => character.charCodeAt(0))

function mutate(random: (limit: number) => number): Uint8Array {
  let file = Uint8Array.from(sound)
  const headerEnd = 8 + Number(new DataView(file.buffer).getBigUint64(0, true))
  for (let edits = 1 + random(4); edits > 0; edits--) {
    const at = random(10) === 0 ? random(file.length || 1) : 8 + random(headerEnd - 8)
    const byte = random(2) ? (grammar[random(grammar.length)] as number) : random(256)
    const kind = random(8)
    if (kind < 4) file[at] = byte
    else if (kind === 4) file = Uint8Array.from([...file.subarray(0, at), byte, ...file.subarray(at)])
    else if (kind === 5) file = Uint8Array.from([...file.subarray(0, at), ...file.subarray(at + 1)])
    else if (kind === 6) file = file.slice(0, random(file.length + 1))
    else file[random(8)] = random(256)
    // Half of the time the length prefix follows, so that the header is scanned to its end.
    if (file.length >= 8 && kind !== 7 && random(2)) {
      new DataView(file.buffer).setBigUint64(
        0,
        BigInt(Math.max(0, headerEnd - 8 + file.length - sound.length)),
        true,
      )
    }
  }
  return file
}

it('2,000 damaged files are read within their bytes, or refused in words', async () => {
  const random = seeded(20261123)
  let refused = 0
  for (let round = 0; round < 2000; round++) {
    const file = mutate(random)
    try {
      const reader = await WeightReader.open([guardedSource('m.safetensors', file)])
      for (const name of reader.names()) await readAsFloat32(reader.tensor(name, reader.shapeOf(name) ?? []))
      reader.finish()
    } catch (error) {
      if (!(error instanceof AttuneError)) throw new Error(`round ${round}`, { cause: error })
      expect(['bad-file', 'bad-model']).toContain(error.code)
      refused++
    }
  }
  // Some mutations change a name or a value and leave a sound file.
  expect(refused).toBeGreaterThan(1500)
  expect(refused).toBeLessThan(2000)
})
