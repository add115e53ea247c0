import { access, cp, mkdir, readdir, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import { checkPlan, type Download, Downloads, type DownloadsOptions } from '../../host/models/downloads.ts'
import { inspectModel } from '../../host/models/inspect.ts'
import { Library } from '../../host/models/library.ts'
import { temporaryFolder } from '../cli/support.ts'
import { etag, payload, sendBody, serve, sha256 } from './models-server.ts'

const storybook = fileURLToPath(new URL('../../assets/models/storybook', import.meta.url))

/** A safetensors file of the given tensors, all F16 of one number. */
function safetensors(shapes: Readonly<Record<string, readonly number[]>>): Uint8Array {
  let offset = 0
  const header = Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => {
      const bytes = 2 * shape.reduce((product, side) => product * side, 1)
      const entry = { dtype: 'F16', shape, data_offsets: [offset, (offset += bytes)] }
      return [name, entry]
    }),
  )
  const json = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  return Buffer.concat([length, json, Buffer.alloc(offset)])
}

describe('inspecting models', () => {
  it('reads the embedded model: family, parts, size', async () => {
    const info = await inspectModel(storybook)
    expect(info).toMatchObject({
      layout: 'diffusers',
      role: 'model',
      family: 'small',
      missing: [],
      problems: [],
    })
    expect(info.parts.map(part => part.name)).toEqual(['text_encoder', 'unet', 'vae'])
    expect(info.parameters).toBeGreaterThan(1e6)
    expect(info.bytes).toBe(info.parts.reduce((total, part) => total + part.bytes, 0))
  })

  it('finds the licence by its file and by the card', async () => {
    const folder = join(await temporaryFolder(), 'model')
    await cp(storybook, folder, { recursive: true })
    await writeFile(join(folder, 'README.md'), '---\nlicense: creativeml-openrail-m\ntags: [x]\n---\n# Model')
    expect((await inspectModel(folder)).licence).toEqual({ name: 'creativeml-openrail-m' })
    await writeFile(join(folder, 'LICENSE.txt'), 'text')
    expect((await inspectModel(folder)).licence).toMatchObject({ file: join(folder, 'LICENSE.txt') })
  })

  it('M12: names what is missing, and what is a pickle', async () => {
    const folder = join(await temporaryFolder(), 'model')
    await cp(storybook, folder, { recursive: true })
    await rm(join(folder, 'vae'), { recursive: true })
    await rm(join(folder, 'tokenizer', 'merges.txt'))
    await rename(
      join(folder, 'unet', 'diffusion_pytorch_model.safetensors'),
      join(folder, 'unet', 'diffusion_pytorch_model.bin'),
    )
    const info = await inspectModel(folder)
    expect(info.missing).toEqual(['vae'])
    const problems = info.problems.join(' ')
    expect(problems).toContain('These parts are missing: vae.')
    expect(problems).toContain('merges.txt')
    expect(problems).toContain('unet: its weights are in a pickle file')
  })

  it.each([
    ['a checkpoint of SD 1', { 'model.diffusion_model.x.attn2.to_k.weight': [320, 768] }, 'model', 'sd1'],
    ['a checkpoint of SDXL', { 'model.diffusion_model.x.attn2.to_k.weight': [640, 2048] }, 'model', 'sdxl'],
    ['a checkpoint of Flux', { 'model.diffusion_model.double_blocks.0.w': [2] }, 'model', 'flux'],
    ['a LoRA', { 'lora_unet_down_blocks_0.lora_down.weight': [4, 8] }, 'lora', 'unknown'],
    ['a VAE', { 'decoder.conv_in.weight': [4], 'encoder.conv_in.weight': [4] }, 'vae', 'unknown'],
    ['a ControlNet', { 'control_model.input_hint_block.0.weight': [4] }, 'controlnet', 'unknown'],
    ['an embedding', { emb_params: [2, 8] }, 'embedding', 'unknown'],
    ['nothing known', { something: [1] }, 'unknown', 'unknown'],
  ] as const)('M10: recognises %s, and says that it is not drawn with', async (_, shapes, role, family) => {
    const path = join(await temporaryFolder(), 'x.safetensors')
    await writeFile(path, safetensors(shapes))
    const info = await inspectModel(path)
    expect(info).toMatchObject({ layout: 'file', role, family })
    expect(info.problems.length).toBeGreaterThan(0)
  })

  it('M8, M9: pickles and web pages are said, and nothing of them is read', async () => {
    const folder = await temporaryFolder()
    await writeFile(join(folder, 'x.ckpt'), 'anything')
    expect((await inspectModel(join(folder, 'x.ckpt'))).problems.join()).toContain('pickle')
    for (const [name, content] of [
      ['page', '<!DOCTYPE html><html>'.padEnd(500)],
      ['pointer', 'version https://git-lfs.github.com/spec/v1\noid sha256:0'],
      ['empty', ''],
      ['huge', Buffer.from([255, 255, 255, 255, 255, 255, 255, 127, 123, 125])],
    ] as const) {
      await writeFile(join(folder, `${name}.safetensors`), content)
      const info = await inspectModel(join(folder, `${name}.safetensors`))
      expect(info.problems.length, name).toBe(1)
      expect(info.role).toBe('unknown')
    }
    await expect(inspectModel(join(folder, 'nothing'))).rejects.toMatchObject({ code: 'bad-argument' })
  })
})

describe('the library', () => {
  it('lists models below the folders, the embedded first, without what is not whole', async () => {
    const root = await temporaryFolder()
    const models = join(root, 'models')
    await mkdir(join(models, 'author'), { recursive: true })
    await cp(storybook, join(models, 'author', 'mine'), { recursive: true })
    await writeFile(join(models, 'old.ckpt'), 'x')
    await mkdir(join(models, 'coming.partial'))
    await writeFile(join(models, 'coming.partial', 'x.safetensors'), 'half')
    await mkdir(join(models, '.hidden'))
    await writeFile(join(models, '.hidden', 'x.safetensors'), 'x')
    // M16: a circle of links ends.
    await symlink(models, join(models, 'circle'))
    const library = new Library({ folders: () => [models, join(root, 'gone')], embedded: [storybook] })
    const { models: found, problems } = await library.list()
    expect(found[0]).toMatchObject({ name: 'storybook', isEmbedded: true, problems: [] })
    const names = found.map(model => model.name)
    expect(names).toContain('mine')
    expect(names).toContain('old.ckpt')
    expect(names).not.toContain('x.safetensors')
    expect(problems.join()).toContain('gone')
    expect((await library.find(storybook))?.name).toBe('storybook')
    expect(await library.find('nobody')).toBeUndefined()
  })

  it('M15: looks again at what has changed, and only at that', async () => {
    const models = await temporaryFolder()
    const path = join(models, 'x.safetensors')
    await writeFile(path, safetensors({ emb_params: [2, 8] }))
    const library = new Library({ folders: () => [models] })
    const [first] = (await library.list()).models
    expect(first?.role).toBe('embedding')
    await writeFile(path, safetensors({ 'lora_unet_x.lora_down.weight': [4, 8] }))
    expect((await library.list()).models[0]?.role).toBe('lora')
    await rm(path)
    expect((await library.list()).models).toEqual([])
  })
})

describe('downloads of models', () => {
  const open: Downloads[] = []
  afterEach(async () => {
    for (const downloads of open.splice(0)) await downloads.close()
  })

  function manager(more: DownloadsOptions = {}): Downloads {
    const downloads = new Downloads({
      transfer: () => ({
        allowInsecure: true,
        allowPrivate: true,
        retries: 1,
        sleep: () => Promise.resolve(),
        marginBytes: 0,
      }),
      ...more,
    })
    open.push(downloads)
    return downloads
  }

  const small = Buffer.from('{"a":1}')
  const plan = (url: string) => ({
    name: 'model',
    files: [
      {
        url: `${url}?small`,
        path: 'unet/config.json',
        size: small.length,
        sha256: createHash('sha256').update(small).digest('hex'),
      },
      { url, path: 'unet/model.safetensors', size: payload.length, sha256 },
      { url: `${url}?loose`, path: 'README.md' },
    ],
  })
  const good = (url: string | undefined) =>
    url?.includes('small') ? small : url?.includes('loose') ? Buffer.from('hello') : payload

  it('appear in the library when they are whole', async () => {
    const server = await serve((request, response) => sendBody(request, response, good(request.url)))
    const folder = await temporaryFolder()
    const downloads = manager()
    const seen: Download[] = []
    downloads.subscribe(download => seen.push(download))
    const { id, total } = await downloads.add(plan(server.url), folder)
    expect(total).toBeUndefined()
    expect(await readdir(folder)).toEqual(['model.partial'])
    const done = await downloads.settled(id)
    expect(done).toMatchObject({ state: 'done', path: join(folder, 'model'), unverified: ['README.md'] })
    expect(done.bytes).toBe(small.length + payload.length + 5)
    expect(await readdir(folder)).toEqual(['model'])
    expect((await readdir(join(folder, 'model'), { recursive: true })).sort()).toEqual([
      'README.md',
      'unet',
      'unet/config.json',
      'unet/model.safetensors',
    ])
    expect(seen.map(({ state }) => state)).toContain('running')
    await expect(downloads.add(plan(server.url), folder)).rejects.toThrow('already')
    downloads.remove(id)
    expect(downloads.list).toEqual([])
  })

  it('of one file give that file', async () => {
    const server = await serve((request, response) => sendBody(request, response, payload))
    const folder = await temporaryFolder()
    const downloads = manager()
    const file = { url: server.url, path: 'x.safetensors', sha256 }
    const { id } = await downloads.add({ name: 'x.safetensors', files: [file], isSingleFile: true }, folder)
    expect(await downloads.settled(id)).toMatchObject({ state: 'done' })
    expect(await readdir(folder)).toEqual(['x.safetensors'])
    expect((await stat(join(folder, 'x.safetensors'))).isFile()).toBe(true)
  })

  it('pause, are found after a restart, go on, and do not fetch twice', async () => {
    let isSlow = true
    const server = await serve((request, response) => {
      if (!isSlow || request.url?.includes('?')) return sendBody(request, response, good(request.url))
      response.writeHead(200, { etag, 'content-length': payload.length }).write(payload.subarray(0, 50_000))
    })
    const folder = await temporaryFolder()
    const first = manager()
    const { id } = await first.add(plan(server.url), folder)
    while (server.requests.length < 2) await new Promise(resolve => setTimeout(resolve, 5))
    await new Promise(resolve => setTimeout(resolve, 50))
    await first.pause(id)
    expect(first.list[0]?.state).toBe('paused')
    expect(await readdir(folder)).toEqual(['model.partial'])

    isSlow = false
    const second = manager()
    const [found] = await second.findUnfinished(folder)
    expect(found).toMatchObject({ name: 'model', state: 'paused' })
    expect(await second.findUnfinished(folder)).toEqual([])
    second.resume(found?.id ?? '')
    expect(await second.settled(found?.id ?? '')).toMatchObject({ state: 'done' })
    expect(server.requests.filter(({ url }) => url.includes('small'))).toHaveLength(1)
    expect(server.requests.some(({ headers }) => headers.range === 'bytes=50000-')).toBe(true)
  })

  it('cancelled, leave nothing', async () => {
    const server = await serve(
      (_, response) => void response.writeHead(200, { 'content-length': 1e6 }).write('x'),
    )
    const folder = await temporaryFolder()
    const downloads = manager()
    const { id } = await downloads.add(plan(server.url), folder)
    while (!server.requests.length) await new Promise(resolve => setTimeout(resolve, 5))
    await downloads.cancel(id)
    expect(downloads.list[0]?.state).toBe('cancelled')
    expect(await readdir(folder)).toEqual([])
  })

  it('that fail say why, and can be tried again; others go on', async () => {
    let isBroken = true
    const server = await serve((request, response) =>
      isBroken && request.url?.includes('loose')
        ? void response.writeHead(404).end()
        : sendBody(request, response, good(request.url)),
    )
    const folder = await temporaryFolder()
    const downloads = manager({ parallel: () => 1 })
    const broken = await downloads.add(plan(server.url), folder)
    const fine = await downloads.add({ name: 'other', files: plan(server.url).files.slice(0, 1) }, folder)
    expect(await downloads.settled(fine.id)).toMatchObject({ state: 'done' })
    expect(await downloads.settled(broken.id)).toMatchObject({
      state: 'failed',
      problem: { code: 'bad-file', message: expect.stringContaining('404') as string },
    })
    await expect(access(join(folder, 'model'))).rejects.toThrow()
    isBroken = false
    downloads.resume(broken.id)
    expect(await downloads.settled(broken.id)).toMatchObject({ state: 'done' })
  })

  it('D9: plans with unsafe names are refused', () => {
    const file = { url: 'https://h/x', path: 'x' }
    for (const bad of [
      { name: '../x', files: [file] },
      { name: 'CON', files: [file] },
      { name: 'x', files: [{ ...file, path: '../../x' }] },
      { name: 'x', files: [{ ...file, path: 'a\\b' }] },
      { name: 'x', files: [file, { ...file, path: 'X' }] },
      { name: 'x', files: [{ ...file, path: 'attune-download.json' }] },
      { name: 'x', files: [] },
      { name: 'x', files: [{ ...file, sha256: 'abc' }] },
    ])
      expect(() => checkPlan(bad), JSON.stringify(bad)).toThrow()
  })
})
