/** The digest of a model's weights: remembered, off the main thread, and of the file that is there. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { readFile, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { ModelDigest } from '../../cli/model-record.ts'
import { openModelFolder } from '../../host/model-folder.ts'
import { cacheFolder, committedDigest, knownModelDigest, modelDigest } from '../../host/model-hash.ts'
import { randomArray } from '../support/gpu.ts'
import { writeTinyModel } from '../support/tiny-models.ts'
import { temporaryFolder } from './support.ts'

const sha256 = (data: Uint8Array | string): string => createHash('sha256').update(data).digest('hex')

async function twoFiles() {
  const folder = await temporaryFolder()
  const bytes = new Uint8Array(randomArray(700_001, 1).buffer)
  const files = [join(folder, 'a.safetensors'), join(folder, 'b.safetensors')] as const
  await writeFile(files[0], bytes)
  await writeFile(files[1], 'b')
  return { folder, bytes, files, cacheFile: join(folder, 'cache', 'digests.json') }
}

test('a file has its own digest, several that of their list', async () => {
  const { bytes, files, cacheFile } = await twoFiles()
  expect(await modelDigest([files[0]], { cacheFile })).toBe(sha256(bytes))
  const list = `${sha256(bytes)}  a.safetensors\n${sha256('b')}  b.safetensors\n`
  expect(await modelDigest(files, { cacheFile })).toBe(sha256(list))
})

test('a digest is computed once, and again when the file changes', async () => {
  const { bytes, files, cacheFile } = await twoFiles()
  const one = [files[0]]
  expect(await knownModelDigest(one, { cacheFile })).toBeUndefined()
  await modelDigest(one, { cacheFile })
  expect(await knownModelDigest(one, { cacheFile })).toBe(sha256(bytes))
  // What is remembered is believed: proof that the file is not read again.
  const text = await readFile(cacheFile, 'utf8')
  await writeFile(cacheFile, text.replace(sha256(bytes), 'f'.repeat(64)))
  expect(await modelDigest(one, { cacheFile })).toBe('f'.repeat(64))
  await utimes(files[0], new Date(), new Date(2001, 1, 1))
  expect(await knownModelDigest(one, { cacheFile })).toBeUndefined()
  expect(await modelDigest(one, { cacheFile })).toBe(sha256(bytes))
})

test.each(['', '{', '[]', '{"version":1,"digests":[{"path":3}]}', `{"version":9,"digests":[]}`])(
  'a damaged cache is an empty one: %s',
  async content => {
    const { folder, bytes, files } = await twoFiles()
    const cacheFile = join(folder, 'digests.json')
    await writeFile(cacheFile, content)
    expect(await modelDigest([files[0]], { cacheFile })).toBe(sha256(bytes))
  },
)

test('no digest is no failure: a missing file, a stopped run, a cache that cannot be written', async () => {
  const { folder, bytes, files, cacheFile } = await twoFiles()
  expect(await modelDigest([join(folder, 'none')], { cacheFile })).toBeUndefined()
  expect(await modelDigest([files[0]], { cacheFile, signal: AbortSignal.abort() })).toBeUndefined()
  expect(await modelDigest([files[0]], { cacheFile: join(files[1], 'digests.json') })).toBe(sha256(bytes))
})

test('a model of the person is hashed beside the drawing, and known to the next picture', async () => {
  const folder = await temporaryFolder()
  writeTinyModel('story', folder)
  const cacheFile = join(folder, 'digests.json')
  const unet = 'unet/diffusion_pytorch_model.safetensors'
  // Its own sums are not believed: anybody may have written them.
  await writeFile(join(folder, 'SHA256SUMS'), `${'0'.repeat(64)}  ${unet}\n`)
  const opened = await openModelFolder(folder)
  const source = await opened.source(unet)
  const first = await ModelDigest.lookUp(opened, false, { cacheFile })
  expect((await first.record(folder)).sha256).toBeUndefined()
  first.begin()
  const expected = sha256(readFileSync(join(folder, unet)))
  await expect.poll(() => knownModelDigest(opened.opened('unet'), { cacheFile })).toBe(expected)
  const second = await ModelDigest.lookUp(opened, false, { cacheFile })
  expect((await second.record(folder)).sha256).toBe(expected)
  expect((await (await ModelDigest.lookUp(opened, true, { cacheFile })).record(undefined)).sha256).toBe(
    '0'.repeat(64),
  )
  expect(source).toBeDefined()
  await opened.close()
})

test("the embedded model's sums are those of its files", async () => {
  const folder = fileURLToPath(new URL('../../assets/models/storybook', import.meta.url))
  const lines = readFileSync(join(folder, 'SHA256SUMS'), 'utf8').trim().split('\n')
  expect(lines.length).toBeGreaterThanOrEqual(10)
  for (const line of lines) {
    const [digest, name = ''] = line.split(/ [ *]/)
    expect(sha256(readFileSync(join(folder, name))), name).toBe(digest)
    expect(await committedDigest(folder, name)).toBe(digest)
  }
})

test('the cache lies where the system keeps caches', () => {
  if (process.platform === 'linux')
    expect(cacheFolder({ XDG_CACHE_HOME: '/tmp/x' })).toBe(join('/tmp/x', 'attune'))
})
