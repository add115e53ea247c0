import { chmod, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { checkWritable, isExisting, writeFileAtomic, writeFileNew } from '../../host/write.ts'
import { temporaryFolder } from './support.ts'

const bytes = (text: string) => new TextEncoder().encode(text)

describe('writeFileAtomic', () => {
  it('makes the folders and leaves only the file', async () => {
    const folder = await temporaryFolder()
    await writeFileAtomic(join(folder, 'a', 'b', 'ñ 日.bin'), bytes('x'))
    expect(await readdir(join(folder, 'a', 'b'))).toEqual(['ñ 日.bin'])
  })

  it('never replaces without being asked, and leaves no temporary file', async () => {
    const folder = await temporaryFolder()
    const path = join(folder, 'f')
    await writeFileAtomic(path, bytes('one'))
    const error = await writeFileAtomic(path, bytes('two')).catch((thrown: unknown) => thrown)
    expect(isExisting(error)).toBe(true)
    expect(error).toMatchObject({ code: 'bad-file', remedy: expect.stringContaining('--overwrite') })
    await writeFileAtomic(path, bytes('three'), { overwrite: true })
    expect(await readFile(path, 'utf8')).toBe('three')
    expect(await readdir(folder)).toEqual(['f'])
  })

  it('names what is in the way', async () => {
    const folder = await temporaryFolder()
    await mkdir(join(folder, 'd'))
    await writeFile(join(folder, 'file'), '')
    const failure = (path: string) => writeFileAtomic(join(folder, path), bytes('x'), { overwrite: true })
    await expect(failure('d')).rejects.toThrow('cannot be written')
    await expect(failure('file/x')).rejects.toThrow('cannot be written')
    await expect(failure('x'.repeat(300))).rejects.toThrow('name is too long')
    expect((await readdir(folder)).sort()).toEqual(['d', 'file'])
  })

  it.runIf(process.platform === 'linux')('comes back where folders cannot be made', async () => {
    await expect(writeFileAtomic('/proc/none/x', bytes('x'))).rejects.toThrow('cannot be written')
  })

  it('lets one of many writers have the name, and all of them numbers', async () => {
    const folder = await temporaryFolder()
    const results = await Promise.allSettled(
      Array.from({ length: 8 }, (_, i) => writeFileAtomic(join(folder, 'one'), bytes(String(i)))),
    )
    expect(results.filter(result => result.status === 'fulfilled').length).toBe(1)
    const paths = await Promise.all(
      Array.from({ length: 8 }, (_, i) => writeFileNew(join(folder, 'many.png'), bytes(String(i)))),
    )
    expect(new Set(paths).size).toBe(8)
    const texts = await Promise.all(paths.map(path => readFile(path, 'utf8')))
    expect(texts).toEqual(['0', '1', '2', '3', '4', '5', '6', '7'])
    expect((await readdir(folder)).some(name => name.endsWith('.tmp'))).toBe(false)
  })
})

describe('checkWritable', () => {
  it('looks at the nearest folder that is there', async () => {
    const folder = await temporaryFolder()
    await writeFile(join(folder, 'file'), '')
    await expect(checkWritable(join(folder, 'new', 'deep', 'x.png'))).resolves.toBeUndefined()
    await expect(checkWritable(join(folder, 'file', 'x.png'))).rejects.toThrow('is a file, not a folder')
    expect(await readdir(folder)).toEqual(['file'])
  })

  // Root may write anywhere.
  it.runIf(process.getuid && process.getuid() !== 0)('names a folder that is closed', async () => {
    const folder = await temporaryFolder()
    await chmod(folder, 0o500)
    await expect(checkWritable(join(folder, 'x'))).rejects.toThrow('may not write')
  })
})
