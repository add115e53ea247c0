/**
 * Faults T3, T4: the host is killed again and again while it writes. What it acknowledged must be there afterwards, whole;
 * what it did not may be there or not, but never in halves. The child's whole program is `killed-child.ts`.
 */
import { spawn } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { HostService } from '../../host/service/service.ts'
import { facts } from '../host/service-support.ts'
import { idleRunner, pixelsOf } from './killed-child.ts'

const child = fileURLToPath(new URL('killed-child.ts', import.meta.url))
const rounds = 6

interface Acknowledged {
  readonly pictures: Map<string, number>
  theme: string | undefined
  readonly jobs: Set<string>
}

/** Lets a host work in a folder, and kills it after so many acknowledgements and a moment. */
async function work(root: object, round: number, into: Acknowledged): Promise<number> {
  const host = spawn(process.execPath, ['--import', 'tsx', child, JSON.stringify(root), String(round)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let text = ''
  let errors = ''
  let count = 0
  host.stderr.on('data', (part: Buffer) => (errors += String(part)))
  host.stdout.on('data', (part: Buffer) => {
    text += String(part)
    const lines = text.split('\n')
    text = lines.pop() ?? ''
    for (const line of lines) {
      const told = JSON.parse(line) as { picture?: string; number?: number; theme?: string; job?: string }
      if (told.picture !== undefined) into.pictures.set(told.picture, told.number ?? 0)
      if (told.theme !== undefined) into.theme = told.theme
      if (told.job !== undefined) into.jobs.add(told.job)
      // Not at the acknowledgement, but somewhere in what comes after it.
      if (++count === 5 + round * 3) setTimeout(() => host.kill('SIGKILL'), (round * 7) % 11)
    }
  })
  const code = await new Promise<number | null>(resolve => host.once('exit', resolve))
  if (code !== null) throw new Error(`the host ended by itself with ${code}: ${errors}`)
  return count
}

describe('killed while it writes', () => {
  it(`fault T3: ${rounds} times: everything acknowledged is there, nothing is torn`, async () => {
    const place = await facts({
      embeddedModel: fileURLToPath(new URL('../../assets/models/storybook', import.meta.url)),
    })
    const all: Acknowledged = { pictures: new Map(), theme: undefined, jobs: new Set() }
    let count = 0
    for (let round = 1; round <= rounds; round++) {
      const { desktop: _, ...paths } = place
      count += await work(paths, round, all)
      const service = await HostService.open({ ...place, openRunner: idleRunner })
      const { pictures } = await service.call('gallery.query', { limit: 1000 })
      const listed = new Set(pictures.map(({ name }) => name))
      for (const name of all.pictures.keys()) expect(listed, `round ${round}`).toContain(name)
      expect(pictures.filter(({ problem }) => problem !== undefined)).toEqual([])
      // A theme that was being set may hold; the last acknowledged one or the one after it.
      const { theme } = await service.call('settings.get', {})
      expect(['dark', 'light']).toContain(theme)
      const { jobs } = await service.call('jobs.list', {})
      const prompts = new Set(jobs.map(({ request }) => request.prompt))
      for (const prompt of all.jobs) expect(prompts, `round ${round}`).toContain(prompt)
      const { notices } = await service.call('app.info', {})
      expect(notices.filter(notice => /settings|favourites/.test(notice))).toEqual([])
      await service.close()
      const files = (await readdir(place.picturesFolder)).filter(name => name.endsWith('.png'))
      for (const name of files) {
        const { data } = await sharp(await readFile(join(place.picturesFolder, name)))
          .raw()
          .toBuffer({ resolveWithObject: true })
        const number = all.pictures.get(name)
        if (number !== undefined)
          expect([...data.subarray(0, 3)], name).toEqual([...pixelsOf(number).subarray(0, 3)])
        expect(data.length).toBe(pixelsOf(0).length)
      }
    }
    expect(count).toBeGreaterThan(rounds * 8)
  })
})
