/**
 * Packages: the configuration is valid, the fuses are flipped, the icons are what they say, and `--linux --dir` packs
 * offline around a stub of Electron what belongs into the program, and nothing else.
 */
import { mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { extractFile, listPackage } from '@electron/asar'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findFuseWires, flipFuses, fuseNames, readFuses, wantedFuses } from '../../scripts/fuses.mjs'
import { drawIcon, icnsTypes, icoSizes, pngSizes } from '../../scripts/make-icons.ts'
import { packForLinux, sizeOf } from '../support/electron/pack.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const require = createRequire(import.meta.url)

let folder: string
beforeAll(async () => {
  // On the repository's drive, for hard links; `out/` is ignored by git and by every check.
  await mkdir(join(root, 'out'), { recursive: true })
  folder = await mkdtemp(join(root, 'out', 'test-package-'))
})
afterAll(() => rm(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }))

interface Configuration extends Record<string, unknown> {
  files: unknown[]
}

/** electron-builder's own reading and checking; its place is internal, and the version is pinned. */
const { getConfig, validateConfiguration } = require('app-builder-lib/out/util/config/config.js') as {
  getConfig(project: string, path: string, options: null): Promise<Configuration>
  validateConfiguration(config: unknown, logger: unknown): Promise<void>
}
const { DebugLogger } = require('builder-util') as { DebugLogger: new (enabled: boolean) => unknown }
const readConfig = () => getConfig(root, 'electron-builder.yml', null)

describe('electron-builder.yml', () => {
  it('is valid, for three systems', async () => {
    const config = await readConfig()
    await validateConfiguration(config, new DebugLogger(false))
    expect(config).toMatchObject({
      asar: true,
      npmRebuild: false,
      publish: null,
      afterPack: 'scripts/after-pack.mjs',
      linux: { target: ['AppImage', 'deb'] },
      mac: { target: [{ target: 'dmg', arch: 'universal' }], hardenedRuntime: true },
      win: { target: ['nsis'] },
    })
    // No type of file becomes ours: open-with only.
    expect(config['fileAssociations']).toBeUndefined()
    for (const [key, text] of Object.entries(config)) {
      expect(JSON.stringify(text) ?? '', key).not.toMatch(/https?:|token|electronDist|stub/i)
    }
  })

  it('would not be valid with a mistake', async () => {
    const config = await readConfig()
    await expect(validateConfiguration({ ...config, asarr: true }, new DebugLogger(false))).rejects.toThrow(
      /asarr/,
    )
  })
})

describe('fuses', () => {
  const sentinel = 'dL7pKGdnNz796PbbjQWNKmHXBZaB9tsX'
  const binary = (states: string, wires = 1) =>
    Buffer.concat([
      Buffer.from('ELF and so on'),
      ...Array.from({ length: wires }, () =>
        Buffer.concat([
          Buffer.from(sentinel),
          Buffer.from([1, states.length]),
          Buffer.from(states, 'latin1'),
          Buffer.alloc(50),
        ]),
      ),
    ])

  it('are read by name', () => {
    const read = readFuses(binary('1011r0010'))
    expect(Object.keys(read)).toEqual([...fuseNames])
    expect(read).toMatchObject({
      runAsNode: 'on',
      cookieEncryption: 'off',
      embeddedAsarIntegrityValidation: 'removed',
    })
  })

  it('are flipped in every wire, and leave all else as it is', () => {
    const before = binary('101100010', 2)
    const after = Buffer.from(before)
    expect(flipFuses(after, wantedFuses)).toBe(2)
    for (const wire of findFuseWires(after)) {
      expect(wire.states).toEqual(['off', 'on', 'off', 'off', 'on', 'on', 'off', 'off', 'on'])
    }
    const changed = [...after].filter((byte, at) => byte !== before[at]).length
    expect(changed).toBe(2 * 8)
    expect(after.length).toBe(before.length)
  })

  it('fail the build when one is new or missing', () => {
    expect(() => flipFuses(binary('1011000100'), wantedFuses)).toThrow('nobody decided the fuses fuse 9')
    expect(() => flipFuses(binary('10110001'), wantedFuses)).toThrow('has no fuses wasmTrapHandlers')
    expect(() => flipFuses(Buffer.from('nothing'), wantedFuses)).toThrow('no fuses')
    expect(() => findFuseWires(binary('10x'))).toThrow('cannot be read')
    expect(() => findFuseWires(Buffer.concat([Buffer.from(sentinel), Buffer.from([2, 1, 0x30])]))).toThrow(
      'version 2',
    )
    expect(() => findFuseWires(Buffer.from(sentinel))).toThrow('cannot be read')
  })
})

describe('icons', () => {
  const icons = join(root, 'assets/icons')

  it('are drawn from the SVG, in every size', async () => {
    for (const size of pngSizes) {
      const { width, height, format, hasAlpha } = await sharp(
        join(icons, `png/${size}x${size}.png`),
      ).metadata()
      expect({ width, height, format, hasAlpha }).toEqual({
        width: size,
        height: size,
        format: 'png',
        hasAlpha: true,
      })
    }
    // The committed one is the SVG's, not an older one's.
    const drawn = await sharp(await drawIcon(await readFile(join(icons, 'attune.svg')), 64))
      .raw()
      .toBuffer()
    const kept = await sharp(join(icons, 'png/64x64.png')).raw().toBuffer()
    const worst = drawn.reduce((most, byte, at) => Math.max(most, Math.abs(byte - (kept[at] ?? 0))), 0)
    expect(worst).toBeLessThanOrEqual(8)
  })

  it('lie in containers that their systems read', async () => {
    const ico = await readFile(join(icons, 'icon.ico'))
    expect([ico.readUInt16LE(0), ico.readUInt16LE(2), ico.readUInt16LE(4)]).toEqual([0, 1, icoSizes.length])
    for (const [index, size] of icoSizes.entries()) {
      const entry = 6 + 16 * index
      const [length, at] = [ico.readUInt32LE(entry + 8), ico.readUInt32LE(entry + 12)]
      expect(ico[entry]).toBe(size % 256)
      expect((await sharp(ico.subarray(at, at + length)).metadata()).width).toBe(size)
    }
    const icns = await readFile(join(icons, 'icon.icns'))
    expect([icns.toString('latin1', 0, 4), icns.readUInt32BE(4)]).toEqual(['icns', icns.length])
    let at = 8
    for (const [type, size] of icnsTypes) {
      const length = icns.readUInt32BE(at + 4)
      expect(icns.toString('latin1', at, at + 4)).toBe(type)
      expect((await sharp(icns.subarray(at + 8, at + length)).metadata()).width).toBe(size)
      at += length
    }
    expect(at).toBe(icns.length)
  })
})

describe.skipIf(process.platform !== 'linux')('the packed program for Linux', () => {
  let packed: string
  let files: string[]
  beforeAll(async () => {
    packed = await packForLinux(folder)
    files = listPackage(join(packed, 'resources/app.asar'), { isPack: false })
  })

  it('holds main, preload and renderer', async () => {
    for (const path of [
      '/dist/main/main.mjs',
      '/dist/preload/preload.cjs',
      '/dist/renderer/index.html',
      '/LICENSE',
      '/NOTICE',
    ]) {
      expect(files).toContain(path)
    }
    const manifest = JSON.parse(extractFile(join(packed, 'resources/app.asar'), 'package.json').toString())
    expect(manifest).toMatchObject({ name: 'attune', main: 'dist/main/main.mjs', type: 'module' })
    expect(manifest).not.toHaveProperty('devDependencies')
  })

  it('holds neither sources nor tests nor maps', () => {
    expect(files.filter(path => /\.(?:map|ts|mts|tsx|h|cc)$/.test(path))).toEqual([])
    expect([...new Set(files.map(path => path.split('/')[1]))].toSorted()).toEqual(
      ['LICENSE', 'NOTICE', 'dist', 'node_modules', 'package.json'].toSorted(),
    )
    expect(files.filter(path => /\/(?:test|tests|examples|bench)\//.test(path))).toEqual([])
  })

  it('holds the packages that it needs, and no others', () => {
    const modules = new Set(
      files.flatMap(path => /^\/node_modules\/((?:@[^/]+\/)?[^@/][^/]*)/.exec(path)?.[1] ?? []),
    )
    expect([...modules].toSorted()).toEqual([
      '@img/colour',
      '@img/sharp-libvips-linux-x64',
      '@img/sharp-linux-x64',
      '@photostructure/sqlite',
      'detect-libc',
      'node-gyp-build',
      'semver',
      'sharp',
    ])
  })

  it('has native modules and WebAssembly beside the archive, for this system only', async () => {
    const unpacked = join(packed, 'resources/app.asar.unpacked')
    for (const path of [
      'node_modules/@photostructure/sqlite/prebuilds/linux-x64/@photostructure+sqlite.glibc.node',
      'node_modules/@img/sharp-linux-x64/package.json',
      'dist/renderer/ort/ort.wasm',
    ]) {
      expect((await stat(join(unpacked, path))).isFile()).toBe(true)
    }
    const prebuilds = await readdir(join(unpacked, 'node_modules/@photostructure/sqlite/prebuilds'))
    expect(prebuilds).toEqual(['linux-x64'])
  })

  it('has the embedded model beside it', async () => {
    const model = join(packed, 'resources/assets/models/storybook')
    expect(await readdir(model)).toEqual(await readdir(join(root, 'assets/models/storybook')))
  })

  it('is as small as it is (printed)', async () => {
    const [archive, native, model] = [
      (await sizeOf(join(packed, 'resources/app.asar'))) / 1e6,
      (await sizeOf(join(packed, 'resources/app.asar.unpacked'))) / 1e6,
      (await sizeOf(join(packed, 'resources/assets'))) / 1e6,
    ]
    const text = [archive, native, model].map(each => each.toFixed(1))
    console.log(
      `packed without Electron and the window: ${text[0]} MB archive, ${text[1]} MB native, ${text[2]} MB model`,
    )
    expect(archive + native).toBeLessThan(60)
  })
})
