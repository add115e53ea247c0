/** A host in folders of its own, for tests. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import type { HostFacts } from '../../host/service/facts.ts'

const folders: string[] = []

afterAll(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true, force: true })
})

/** A folder that lasts for the file's tests. */
export async function lastingFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'attune-host-'))
  folders.push(folder)
  return folder
}

/** Facts of an empty place; nothing of this user's is touched. */
export async function facts(more: Partial<HostFacts> = {}): Promise<HostFacts> {
  const root = await lastingFolder()
  return {
    version: '9.9.9',
    shell: 'browser',
    dataFolder: join(root, 'data'),
    cacheFolder: join(root, 'cache'),
    picturesFolder: join(root, 'pictures'),
    modelsFolder: join(root, 'models'),
    desktop: {
      trash: () => Promise.reject(new Error('no bin')),
      reveal: () => Promise.resolve(),
      openFolder: () => Promise.resolve(),
    },
    ...more,
  }
}
