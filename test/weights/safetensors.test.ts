import { describe, expect, it } from 'vitest'
import { memorySource } from '../../model/contract/bytes.ts'
import { AttuneError } from '../../model/contract/errors.ts'
import { readSafetensorsHeader } from '../../model/weights/safetensors.ts'
import { writeSafetensors } from '../../model/weights/write-safetensors.ts'
import { guardedSource, headerFile, text } from './support.ts'

const F32 = (begin: number, end: number, shape: readonly number[] = [(end - begin) / 4]) => ({
  dtype: 'F32',
  shape,
  data_offsets: [begin, end],
})
const entry = (json: string, dataBytes = 4) => headerFile(`{"w":${json}}`, dataBytes)

/** Files that must be refused, each with a part of the message. */
const hostile: readonly (readonly [title: string, file: Uint8Array, message: RegExp])[] = [
  ['an empty file', new Uint8Array(0), /is empty/],
  ['7 bytes', new Uint8Array(7), /7 bytes, and the length of its header alone takes 8/],
  ['no header', new Uint8Array(8), /the header ends at character 0 where "\{" for the header/],
  ['a header beyond the cap', headerFile('{}', 0, 100_000_001n), /claims 100,000,001 bytes.*100,000,000/],
  ['a header of 2^64 - 1 bytes', headerFile('{}', 0, (1n << 64n) - 1n), /claims 18,446,744,073,709,551,615/],
  ['a header beyond the file', headerFile('{}', 0, 3n), /claims 3 bytes, but the file ends after 2 more/],
  ['invalid UTF-8', headerFile(new Uint8Array([0x7b, 0xff, 0x7d]), 0), /not UTF-8/],
  ['overlong UTF-8', headerFile(new Uint8Array([0x7b, 0x22, 0xc0, 0x80, 0x22, 0x7d]), 0), /not UTF-8/],
  ['a byte order mark', headerFile('\ufeff{}', 0), /byte order mark/],
  ['NUL padding', headerFile('{}\u0000\u0000', 0), /padded with NUL bytes/],
  ['text behind the object', headerFile('{}x', 0), /"x" at character 2 where the end of the header/],
  ['an unclosed object', headerFile('{"a":', 0), /the header ends/],
  ['an unclosed string', headerFile('{"a', 0), /a string is not closed/],
  ['a trailing comma', headerFile('{"__metadata__":{},}', 0), /where a key in the header should be/],
  ['single quotes', headerFile("{'a':1}", 0), /a key in the header/],
  ['a duplicate name', headerFile(`{"w":${text(F32(0, 4))},"w":${text(F32(0, 4))}}`, 4), /"w" appears twice/],
  [
    'a duplicate name in another spelling',
    headerFile(`{"w":${text(F32(0, 4))},"\\u0077":${text(F32(0, 4))}}`, 4),
    /"w" appears twice/,
  ],
  [
    'duplicate metadata',
    headerFile('{"__metadata__":{},"__metadata__":{}}', 0),
    /"__metadata__" appears twice/,
  ],
  [
    'a duplicate metadata key',
    headerFile('{"__metadata__":{"a":"","a":""}}', 0),
    /metadata key "a" appears twice/,
  ],
  ['metadata that is a number', headerFile('{"__metadata__":{"a":1}}', 0), /metadata of "a" is not a string/],
  ['metadata that is a list', headerFile('{"__metadata__":[]}', 0), /where "\{" for "__metadata__"/],
  ['__proto__', headerFile(`{"__proto__":${text(F32(0, 4))}}`, 4), /named "__proto__"/],
  [
    '__proto__ spelt with escapes',
    headerFile(`{"\\u005f_proto__":${text(F32(0, 4))}}`, 4),
    /named "__proto__"/,
  ],
  ['a name of a megabyte', headerFile(`{"${'n'.repeat(1e6)}":${text(F32(0, 4))}}`, 4), /longer than 4096/],
  ['a lone surrogate', headerFile(`{"\\ud800":${text(F32(0, 4))}}`, 4), /lone surrogate/],
  ['a low surrogate first', headerFile(`{"\\udc00\\ud800":${text(F32(0, 4))}}`, 4), /lone surrogate/],
  ['an unknown escape', headerFile('{"\\x41":1}', 0), /unknown escape/],
  ['a short escape', headerFile('{"\\u00', 0), /string is not closed|unknown escape/],
  ['a raw control character', headerFile('{"a\nb\\n":1}', 0), /raw control character/],
  ['an entry that is a list', entry('["F32",[1],[0,4]]'), /where "\{" for the entry of "w"/],
  ['an entry that is null', entry('null'), /where "\{" for the entry of "w"/],
  ['no dtype', entry('{"shape":[1],"data_offsets":[0,4]}'), /"dtype" is missing in the entry of "w"/],
  ['no shape', entry('{"dtype":"F32","data_offsets":[0,4]}'), /"shape" is missing/],
  ['no offsets', entry('{"dtype":"F32","shape":[1]}'), /"data_offsets" is missing/],
  [
    'two dtypes',
    entry('{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}'),
    /"dtype" appears twice/,
  ],
  [
    'two shapes',
    entry('{"dtype":"F32","shape":[1],"shape":[1],"data_offsets":[0,4]}'),
    /"shape" appears twice/,
  ],
  [
    'an unknown field twice',
    entry('{"x":1,"x":2,"dtype":"F32","shape":[1],"data_offsets":[0,4]}'),
    /"x" appears twice/,
  ],
  [
    'a dtype that is a number',
    entry('{"dtype":1,"shape":[1],"data_offsets":[0,4]}'),
    /"dtype" is not a string/,
  ],
  ['an unknown dtype', entry(text({ ...F32(0, 4), dtype: 'F128' })), /"w" has the dtype "F128"/],
  [
    'a dtype from the prototype',
    entry(text({ ...F32(0, 4), dtype: 'toString' })),
    /has the dtype "toString"/,
  ],
  [
    'a shape that is a number',
    entry('{"dtype":"F32","shape":1,"data_offsets":[0,4]}'),
    /"shape".*is not a list/,
  ],
  [
    'a size of 1.0',
    entry('{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}'),
    /"1.0", which is not an unsigned/,
  ],
  [
    'a size of 1e0',
    entry('{"dtype":"F32","shape":[1e0],"data_offsets":[0,4]}'),
    /"1e0", which is not an unsigned/,
  ],
  [
    'a size of -1',
    entry('{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}'),
    /"-1", which is not an unsigned/,
  ],
  [
    'a size of -0',
    entry('{"dtype":"F32","shape":[-0],"data_offsets":[0,4]}'),
    /"-0", which is not an unsigned/,
  ],
  ['a size of 01', entry('{"dtype":"F32","shape":[01],"data_offsets":[0,4]}'), /number is malformed/],
  ['a size that is a string', entry('{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}'), /not a number/],
  [
    'a size above 2^53',
    entry('{"dtype":"F32","shape":[9007199254740993],"data_offsets":[0,4]}'),
    /above 2\^53/,
  ],
  ['a size of true', entry('{"dtype":"F32","shape":[true],"data_offsets":[0,4]}'), /not a number/],
  ['65 axes', entry(text(F32(0, 4, Array<number>(65).fill(1)))), /more than 64 numbers/],
  ['one offset', entry('{"dtype":"F32","shape":[1],"data_offsets":[4]}'), /must hold two numbers/],
  ['three offsets', entry('{"dtype":"F32","shape":[1],"data_offsets":[0,4,8]}'), /must hold two numbers/],
  ['a deep value', entry(`{"x":${'['.repeat(40)}`), /nests deeper than 32/],
  [
    'a gap before the first tensor',
    entry(text(F32(4, 8)), 8),
    /"w" \(bytes 4 to 8\) leaves a gap after the data's start/,
  ],
  [
    'a gap between tensors',
    headerFile(text({ a: F32(0, 4), b: F32(8, 12) }), 12),
    /"b" \(bytes 8 to 12\) leaves a gap after "a", which ends at 4/,
  ],
  ['an overlap', headerFile(text({ a: F32(0, 8), b: F32(4, 12) }), 12), /"b" \(bytes 4 to 12\) overlaps "a"/],
  [
    'the same bytes twice',
    headerFile(text({ a: F32(0, 4), b: F32(0, 4) }), 4),
    /"b" \(bytes 0 to 4\) overlaps "a"/,
  ],
  [
    'an end before the begin',
    entry(
      '{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"v":{"dtype":"F32","shape":[0],"data_offsets":[4,0]}',
    ),
    /ends before it begins/,
  ],
  ['too few bytes for the shape', entry(text(F32(0, 4, [2]))), /holds 4 bytes, but F32 \[2\] takes 8/],
  ['too many bytes for the shape', entry(text(F32(0, 8, [1])), 8), /holds 8 bytes, but F32 \[1\] takes 4/],
  ['a product above 2^64', entry(text(F32(0, 4, [2 ** 40, 2 ** 40]))), /overflows/],
  ['a product that wraps to 4 bytes', entry(text(F32(0, 4, [2 ** 32, 2 ** 32]))), /overflows/],
  ['an overflow hidden by a zero', entry(text(F32(0, 0, [2 ** 40, 2 ** 40, 0])), 0), /overflows/],
  [
    'half a byte',
    entry('{"dtype":"F4","shape":[3],"data_offsets":[0,2]}', 2),
    /does not fill whole bytes \(12 bits\)/,
  ],
  ['a cut file', entry(text(F32(0, 400)), 100), /is cut off: it has 166 of 466 bytes/],
  ['a byte too much', entry(text(F32(0, 4)), 5), /1 bytes follow the last tensor/],
  [
    'a zip',
    bytesOf('PK\u0003\u0004\u0014\u0000\u0000\u0000archive/data.pkl'),
    /pickle checkpoint.*can run code/,
  ],
  ['a pickle', bytesOf('\u0080\u0002}q\u0000(X\u0005\u0000\u0000\u0000model'), /pickle checkpoint/],
  [
    'a header of 123 bytes that is damaged, not a JSON text',
    headerFile('x'.repeat(123), 0),
    /"x" at character 0/,
  ],
  ['a header of 123 bytes that is cut off', headerFile('{', 0, 123n), /claims 123 bytes, but the file ends/],
  ['a header of 640 bytes that is cut off, not a pickle', headerFile('{', 0, 640n), /claims 640 bytes/],
  ['a zip as PyTorch writes it', bytesOf('PK\u0003\u0004\u0000\u0000\u0008\u0008'), /pickle checkpoint/],
  [
    'a Git LFS pointer',
    bytesOf('version https://git-lfs.github.com/spec/v1\noid sha256:00'),
    /Git LFS pointer/,
  ],
  ['a web page', bytesOf('\n<!DOCTYPE html><html><body>404'), /is a web page/],
  ['a JSON text', bytesOf('{"error":"Repository not found"}'), /is a JSON text/],
  ['a GGUF file', bytesOf('GGUF\u0003\u0000\u0000\u0000\u0000\u0000\u0000\u0000'), /GGUF/],
]

function bytesOf(latin1: string): Uint8Array {
  return Uint8Array.from(latin1, character => character.charCodeAt(0))
}

describe('a hostile header', () => {
  it.each(hostile)('is refused: %s', async (_title, file, message) => {
    const error = await readSafetensorsHeader(guardedSource('model.safetensors', file)).then(
      () => undefined,
      (reason: unknown) => reason,
    )
    expect(error).toBeInstanceOf(AttuneError)
    const refusal = error as AttuneError
    expect(refusal.code).toBe('bad-file')
    expect(refusal.message).toMatch(message)
    expect(refusal.message).toContain('model.safetensors')
    expect(refusal.message.length).toBeLessThan(500)
    expect(refusal.remedy).toMatch(/\.$/)
  })

  it('lists names so that they cannot disturb a terminal', async () => {
    const file = headerFile(text({ 'a\u202eb\u001b[31m': F32(4, 8) }), 8)
    await expect(readSafetensorsHeader(memorySource('m', file))).rejects.toThrow('"a\\u{202e}b\\u{1b}[31m"')
  })

  it('is refused quickly when it holds more than a million tensors', async () => {
    const file = headerFile(
      `{${Array.from({ length: 1_000_001 }, (_, i) => `"${i}":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}`).join(',')}}`,
      0,
    )
    const started = performance.now()
    await expect(readSafetensorsHeader(memorySource('m', file))).rejects.toThrow(
      'more than 1,000,000 tensors',
    )
    expect(performance.now() - started).toBeLessThan(10_000)
  })
})

describe('a sound header', () => {
  it('gives absolute offsets', async () => {
    const file = headerFile(text({ b: F32(4, 12, [2, 1]), a: F32(0, 4) }), 12)
    const header = await readSafetensorsHeader(guardedSource('m', file))
    expect(header.dataOffset).toBe(file.length - 12)
    expect([...header.tensors]).toEqual([
      ['b', { dtype: 'F32', shape: [2, 1], byteOffset: header.dataOffset + 4, byteLength: 8 }],
      ['a', { dtype: 'F32', shape: [1], byteOffset: header.dataOffset, byteLength: 4 }],
    ])
  })

  it.each<[string, string, number]>([
    ['no tensors', '{}', 0],
    ['leading and trailing white space', ' \n{ } \t\r', 0],
    ['metadata', '{"__metadata__":{"format":"pt","é":"\\ud83d\\ude00\\"\\\\\\/"}}', 0],
    ['metadata null', '{"__metadata__":null}', 0],
    ['a scalar', '{"w":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}', 4],
    ['an axis of zero', '{"w":{"dtype":"F32","shape":[1099511627776,0],"data_offsets":[0,0]}}', 0],
    [
      'a field of a later version',
      '{"w":{"x":[{"y":[1e2,null,true,""]},[]],"dtype":"U8","shape":[1],"data_offsets":[0,1]}}',
      1,
    ],
    ['a NUL in a name, as the reference', '{"a\\u0000b":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1],
    ['names of object members', '{"constructor":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1],
    [
      'two empty tensors at one place',
      '{"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"b":{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}',
      0,
    ],
    ['four-bit numbers', '{"a":{"dtype":"F4","shape":[4],"data_offsets":[0,2]}}', 2],
  ])('is accepted: %s', async (_title, json, dataBytes) => {
    await expect(
      readSafetensorsHeader(guardedSource('m', headerFile(json, dataBytes))),
    ).resolves.toBeDefined()
  })

  it('keeps metadata', async () => {
    const file = writeSafetensors({}, { format: 'pt', 'a "b"\n': '😀' })
    const header = await readSafetensorsHeader(memorySource('m', file))
    expect([...header.metadata]).toEqual([
      ['format', 'pt'],
      ['a "b"\n', '😀'],
    ])
  })
})

describe('writeSafetensors', () => {
  it('aligns every tensor and reads back', async () => {
    const file = writeSafetensors({
      odd: { dtype: 'U8', shape: [3], data: Uint8Array.of(1, 2, 3) },
      half: { dtype: 'F16', shape: [1, 3], data: Uint16Array.of(0x3c00, 0, 0xffff) },
      single: { dtype: 'F32', shape: [2], data: Float32Array.of(1.5, -2) },
    })
    const { tensors, dataOffset } = await readSafetensorsHeader(guardedSource('m', file))
    expect(dataOffset % 8).toBe(0)
    expect([...tensors.keys()]).toEqual(['single', 'half', 'odd'])
    const { byteOffset, byteLength } = tensors.get('single') ?? { byteOffset: 0, byteLength: 0 }
    expect(new Float32Array(file.slice(byteOffset, byteOffset + byteLength).buffer)).toEqual(
      Float32Array.of(1.5, -2),
    )
  })
})
