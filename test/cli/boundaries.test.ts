import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { checkBoundaries, readSources, scanImports } from '../support/boundaries.ts'

const source = (...lines: string[]) => `${lines.join('\n')}\n`
const check = (files: Record<string, string>) => checkBoundaries(new Map(Object.entries(files)))
/** The violations of one file that imports one module. */
const violation = (from: string, target: string, to?: string) =>
  check({ [from]: source(`import { x } from '${target}'`), ...(to ? { [to]: '' } : {}) }).violations.join()

describe('scanImports', () => {
  it('finds every form, and no comments', () => {
    const text = source(
      '/** import a from "not" */',
      '// import b from "not"',
      "import type { A } from './types.ts'",
      "import def, { type B } from '../b.ts'",
      'import {',
      '  c,',
      '} from "pkg/sub"',
      "import './effect.ts'",
      "import * as all from '@scope/name/deep'",
      "export { d } from './d.ts'",
      "export type { E } from './e.ts'",
      "export * from './f.ts'",
      "const late = await import('./late.ts')",
      "export const text = 'x'",
      "const glob = 'model/*'",
      "import type from './named-type.ts'",
    )
    expect(
      scanImports(text).map(({ target, kind }) => (kind === 'value' ? target : `${target} (${kind})`)),
    ).toEqual([
      './types.ts (type)',
      '../b.ts',
      'pkg/sub',
      './effect.ts',
      '@scope/name/deep',
      './d.ts',
      './e.ts (type)',
      './f.ts',
      './named-type.ts',
      './late.ts (late)',
    ])
  })
})

describe('checkBoundaries', () => {
  it.each([
    ['model/graph/a.ts', '../tensor/b.ts', 'model/tensor/b.ts'],
    ['model/pipeline/a.ts', '../unet/b.ts', 'model/unet/b.ts'],
    ['model/schedulers/a.ts', '../random/b.ts', 'model/random/b.ts'],
    ['model/graph/a.ts', './b.ts', 'model/graph/b.ts'],
    ['host/a.ts', '../model/weights/b.ts', 'model/weights/b.ts'],
    ['host/images.ts', 'sharp'],
    ['cli/commands/a.ts', '../../model/pipeline/b.ts', 'model/pipeline/b.ts'],
    ['cli/a.ts', '../host/b.ts', 'host/b.ts'],
    ['renderer/engine/a.ts', '../../model/worker/b.ts', 'model/worker/b.ts'],
    ['renderer/app/a.ts', '../engine/b.ts', 'renderer/engine/b.ts'],
    ['electron/main.ts', 'electron'],
    ['test/x.test.ts', '../model/gpu/b.ts', 'model/gpu/b.ts'],
    ['model/contract/a.ts', 'zod'],
  ] as const)('lets %s import %s', (from, target, to?: string) => {
    expect(violation(from, target, to)).toBe('')
  })

  it.each([
    ['model/tensor/a.ts', '../graph/b.ts', 'model/graph/b.ts', 'stands above'],
    ['model/contract/a.ts', '../tensor/b.ts', 'model/tensor/b.ts', 'stands above'],
    ['model/unet/a.ts', '../vae/b.ts', 'model/vae/b.ts', 'side by side'],
    ['model/graph/a.ts', '../../host/b.ts', 'host/b.ts', 'model/ imports only model/'],
    ['model/graph/a.ts', 'node:fs', undefined, 'knows no Node'],
    ['model/graph/a.ts', 'fs/promises', undefined, 'knows no Node'],
    ['model/image/a.ts', 'sharp', undefined, 'knows no sharp'],
    ['model/gpu/a.ts', 'webgpu', undefined, 'knows no webgpu'],
    ['model/cellar/a.ts', '../graph/b.ts', 'model/graph/b.ts', 'has no floor'],
    ['host/a.ts', '../model/gpu/b.ts', 'model/gpu/b.ts', 'host takes only'],
    ['host/a.ts', '../cli/b.ts', 'cli/b.ts', 'host takes only'],
    ['renderer/app/a.ts', '../../model/worker/b.ts', 'model/worker/b.ts', 'renderer takes only'],
    ['host/a.ts', 'electron', undefined, 'only electron/'],
    ['cli/a.ts', '../test/support/b.ts', 'test/support/b.ts', 'nothing imports test/'],
  ] as const)('refuses %s importing %s', (from, target, to, why) => {
    expect(violation(from, target, to)).toContain(why)
  })

  it('lets the host take types of any room, since it implements them', () => {
    const files = {
      'model/pipeline/folder.ts': '',
      'host/a.ts': source("import type { F } from '../model/pipeline/folder.ts'"),
    }
    expect(check(files).violations).toEqual([])
  })

  it('names a cycle once, and takes no type or late import for one', () => {
    const files = {
      'cli/a.ts': source("import './b.ts'"),
      'cli/b.ts': source("import './c.ts'"),
      'cli/c.ts': source("import './a.ts'"),
    }
    expect(check(files).violations).toEqual(['cycle: cli/a.ts → cli/b.ts → cli/c.ts → cli/a.ts'])
    expect(check({ ...files, 'cli/c.ts': source("import type { A } from './a.ts'") }).violations).toEqual([])
    expect(check({ ...files, 'cli/c.ts': source("const a = () => import('./a.ts')") }).violations).toEqual([])
  })

  it('warns of long files', () => {
    const { warnings, violations } = check({
      'cli/long.ts': '\n'.repeat(451),
      'cli/fine.ts': '\n'.repeat(450),
    })
    expect({ warnings, violations }).toEqual({
      warnings: [expect.stringContaining('cli/long.ts has 451')],
      violations: [],
    })
  })

  it('reads this repository', () => {
    const files = readSources(fileURLToPath(new URL('../..', import.meta.url)))
    expect(files.has('cli/main.ts')).toBe(true)
    expect([...files.keys()].some(path => path.includes('node_modules'))).toBe(false)
  })
})
