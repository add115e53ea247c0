/**
 * Faults of the disk. The file system is the real one behind a shim that fails a chosen call: each operation is tried
 * once for every call that it makes, with that call failing (the method of SQLite's tests). Numbers: docs/faults.md.
 */
import type * as Files from 'node:fs/promises'
import { mkdir, readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { JobQueue } from '../../host/jobs/queue.ts'
import { HostService } from '../../host/service/service.ts'
import { openSettings } from '../../host/settings/settings.ts'
import { writeFileAtomic, writeFileNew } from '../../host/write.ts'
import { facts, lastingFolder } from '../host/service-support.ts'
import { header, request } from '../host/server-support.ts'

/** What the shim does: gives a code to fail a call with. Reading is never failed. */
const disk = vi.hoisted(() => {
  const shim = {
    fail: undefined as ((call: string, path: string) => string | undefined) | undefined,
    check(this: void, call: string, path: string): void {
      const code = shim.fail?.(call, path)
      if (code !== undefined) throw Object.assign(new Error(`${code}: ${call} '${path}'`), { code, path })
    },
  }
  return shim
})

vi.mock('node:fs/promises', async original => {
  const real = await original<typeof Files>()
  const { check } = disk
  const checked =
    <A extends unknown[], R>(call: string, run: (...all: A) => Promise<R>) =>
    async (...all: A): Promise<R> => {
      check(call, String(all[0]))
      return run(...all)
    }
  const open = async (...all: Parameters<typeof real.open>) => {
    const writes = all[1] !== undefined && all[1] !== 'r'
    if (writes) check('open', String(all[0]))
    const handle = await real.open(...all)
    const path = `${String(all[0])}${writes ? '' : ' (read)'}`
    return new Proxy(handle, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name, target)
        if (typeof value !== 'function') return value
        return async (...rest: unknown[]): Promise<unknown> => {
          if (['write', 'writeFile', 'appendFile', 'sync', 'datasync', 'truncate'].includes(String(name)))
            check(String(name), path)
          return (value as (...rest: unknown[]) => unknown).apply(target, rest)
        }
      },
    })
  }
  return {
    ...real,
    open,
    mkdir: checked('mkdir', real.mkdir as (...all: unknown[]) => Promise<unknown>),
    link: checked('link', real.link),
    rename: checked('rename', real.rename),
    writeFile: checked('writeFile', real.writeFile as (...all: unknown[]) => Promise<unknown>),
  }
})

const services: HostService[] = []
afterEach(async () => {
  disk.fail = undefined
  for (const service of services.splice(0)) await service.close()
})

const pixels = Uint8Array.of(10, 20, 30, 40, 50, 60)
const noRunner = {}

/** Fails the k-th call below a folder. @returns whether it came to that */
function failAt(k: number, code: string, below: string): () => boolean {
  let count = 0
  let failed = false
  disk.fail = (_, path) => {
    if (!path.startsWith(below) || ++count !== k) return undefined
    failed = true
    return code
  }
  return () => failed
}

const words: Readonly<Record<string, RegExp>> = {
  ENOSPC: /the disk is full|no room|ENOSPC/,
  EDQUOT: /the quota of the disk is used up/,
  EROFS: /the disk is read-only/,
  EACCES: /the folder does not allow it/,
  EIO: /the disk reports an error/,
}

describe('saving a picture of the window', () => {
  it.each(['ENOSPC', 'EDQUOT', 'EROFS', 'EACCES', 'EIO'])(
    'fault T1: %s at any call: told by name, nothing half is left, the next try saves it',
    async code => {
      const place = await facts(noRunner)
      const service = await HostService.open(place)
      services.push(service)
      let tried = 0
      let told = 0
      for (let k = 1; ; k++) {
        const before = await readdir(place.picturesFolder).catch(() => [])
        const failed = failAt(k, code, place.picturesFolder)
        const answer = await service.savePicture(header, pixels).catch((error: unknown) => error)
        disk.fail = undefined
        if (!failed()) break
        tried++
        const after = await readdir(place.picturesFolder).catch(() => [])
        if (answer instanceof Error) {
          told++
          expect(answer, `call ${k}`).toMatchObject({
            code: code === 'ENOSPC' || code === 'EDQUOT' ? 'disk-full' : 'bad-file',
            remedy: expect.stringMatching(/.+\.$/),
          })
          expect(answer.message, `call ${k}`).toMatch(words[code] as RegExp)
          expect(after, `call ${k}`).toEqual(before)
          await service.savePicture(header, pixels)
        } else {
          // What may fail without harm, such as the folder's flush on a network drive.
          expect(after.length, `call ${k}`).toBe(before.length + 1)
        }
      }
      // Folder, file, bytes, flush, name: five at least.
      expect(tried).toBeGreaterThanOrEqual(5)
      expect(told).toBeGreaterThanOrEqual(4)
      const names = await readdir(place.picturesFolder)
      expect(names.every(name => name.endsWith('.png'))).toBe(true)
      for (const name of names) {
        const { data } = await sharp(join(place.picturesFolder, name))
          .raw()
          .toBuffer({ resolveWithObject: true })
        expect([...data]).toEqual([...pixels])
      }
      expect((await service.call('gallery.query', {})).total).toBe(names.length)
    },
  )
})

describe('the queue', () => {
  it('fault T3: a job that could not be written is refused; what was accepted is there after a restart', async () => {
    const folder = await lastingFolder()
    const options = {
      file: join(folder, 'data', 'jobs.jsonl'),
      runner: { run: () => new Promise<never>(() => undefined) },
      outputFolder: () => join(folder, 'pictures'),
    }
    await mkdir(join(folder, 'data'))
    const accepted: string[] = []
    let tried = 0
    for (let k = 1; k < 20; k++) {
      const { queue } = await JobQueue.open(options)
      const failed = failAt(k, 'ENOSPC', join(folder, 'data'))
      const job = await queue.add({ prompt: `picture ${k}`, seed: '1' }).catch(() => undefined)
      disk.fail = undefined
      if (job) accepted.push(job.request.prompt)
      await queue.close()
      if (!failed()) break
      tried++
    }
    expect(tried).toBeGreaterThanOrEqual(2)
    const { queue, notices } = await JobQueue.open(options)
    const kept = queue.jobs.map(job => job.request.prompt)
    await queue.close()
    expect(kept).toEqual(expect.arrayContaining(accepted))
    expect(notices.join()).not.toContain('damaged')
  })
})

describe('settings', () => {
  it('fault S5: whichever call fails, the file is the old one or the new one, and the change holds', async () => {
    const folder = await lastingFolder()
    const path = join(folder, 'data', 'settings.json')
    await (await openSettings({ path })).update({ language: 'de', theme: 'dark' })
    let tried = 0
    for (let k = 1; ; k++) {
      const settings = await openSettings({ path })
      const theme = settings.get('theme') === 'dark' ? 'light' : 'dark'
      const failed = failAt(k, 'ENOSPC', folder)
      await settings.set('theme', theme)
      disk.fail = undefined
      expect(settings.get('theme')).toBe(theme)
      const written = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>
      expect(written['language']).toBe('de')
      if (!failed()) {
        expect(written['theme']).toBe(theme)
        break
      }
      tried++
      if (written['theme'] !== theme) expect(settings.notices.join()).toContain('the disk is full')
      expect(await readdir(join(folder, 'data'))).toEqual(['settings.json'])
    }
    expect(tried).toBeGreaterThanOrEqual(4)
  })
})

describe('names', () => {
  it('fault T8: a file that a virus scanner holds for a moment is tried again, then explained', async () => {
    const folder = await lastingFolder()
    const path = join(folder, 'a.json')
    let held = 2
    disk.fail = call => (call === 'rename' && held-- > 0 ? 'EBUSY' : undefined)
    await writeFileAtomic(path, new TextEncoder().encode('1'), { overwrite: true })
    expect(await readFile(path, 'utf8')).toBe('1')
    disk.fail = call => (call === 'rename' ? 'EBUSY' : undefined)
    await expect(
      writeFileAtomic(path, new TextEncoder().encode('2'), { overwrite: true }),
    ).rejects.toMatchObject({ code: 'bad-file', message: /another program holds it/ })
    disk.fail = undefined
    expect(await readFile(path, 'utf8')).toBe('1')
    expect(await readdir(folder)).toEqual(['a.json'])
  })

  it('fault T9: a folder without links and flushes (exFAT, some networks) keeps pictures all the same', async () => {
    const folder = await lastingFolder()
    disk.fail = (call, path) =>
      call === 'link' ? 'EPERM' : call === 'sync' && path.endsWith('(read)') ? 'EINVAL' : undefined
    const bytes = new TextEncoder().encode(JSON.stringify(request))
    const first = await writeFileNew(join(folder, 'a.png'), bytes)
    const second = await writeFileNew(join(folder, 'a.png'), bytes)
    expect([first, second]).toEqual([join(folder, 'a.png'), join(folder, 'a-2.png')])
    expect((await readdir(folder)).sort()).toEqual(['a-2.png', 'a.png'])
    expect(new Uint8Array(await readFile(second))).toEqual(bytes)
  })
})
