/**
 * A host for tests of the window's screens: serves the built window and answers the whole contract from memory, with as
 * many pictures as asked for (cut from docs/contact-sheet.png) and jobs that draw themselves. Tests reach its state.
 */
import { createReadStream } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import { build } from 'vite'
import {
  type HostDownload,
  type HostEvent,
  type HostGalleryQuery,
  type HostJob,
  type HostMethod,
  hostMethods,
  type HostModel,
  type HostParams,
} from '../../model/contract/host-api.ts'
import { generateRequestSchema } from '../../model/contract/request.ts'
import { settingsSchema } from '../../model/contract/settings.ts'
import { type Styles, stylesSchema } from '../../model/contract/styles.ts'
import { type Entry, entryOf, fits, settingsOf, things } from './fake-pictures.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
export interface FakeHost {
  readonly origin: string
  readonly entries: Map<number, Entry>
  readonly calls: { method: string; params: unknown }[]
  jobs: HostJob[]
  paused: boolean
  models: HostModel[]
  downloads: HostDownload[]
  /** Answers instead of the usual ones: an error record, by method. */
  readonly failures: Map<string, { code: string; message: string; remedy?: string }>
  indexing: boolean
  settings: ReturnType<typeof settingsSchema.parse>
  styles: Styles
  /** What reading a dropped picture answers. */
  reading: unknown
  fill(count: number): void
  emit(event: HostEvent): void
  close(): Promise<void>
}

/** Builds the window once for all tests of a run. @returns its folder */
export async function buildWindow(outDir: string): Promise<string> {
  await build({
    configFile: join(root, 'renderer/vite.config.ts'),
    logLevel: 'error',
    build: { outDir, emptyOutDir: true },
  })
  return outDir
}

const isEnded = ({ state }: HostJob) => state === 'done' || state === 'failed' || state === 'cancelled'

const json = (response: ServerResponse, status: number, value: unknown) =>
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
const bodyOf = async (request: IncomingMessage): Promise<Buffer> => {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part as Buffer)
  return Buffer.concat(parts)
}

const file = (response: ServerResponse, path: string) => {
  const types: Readonly<Record<string, string>> = {
    '.html': 'text/html',
    '.js': 'text/javascript',
    '.mjs': 'text/javascript',
    '.css': 'text/css',
    '.svg': 'image/svg+xml',
    '.png': 'image/png',
    '.json': 'application/json',
    '.wasm': 'application/wasm',
  }
  const stream = createReadStream(path)
  stream.on('error', () => response.writeHead(404).end())
  stream.on('open', () => {
    response.writeHead(200, {
      'content-type': types[extname(path)] ?? 'application/octet-stream',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-embedder-policy': 'require-corp',
    })
    stream.pipe(response)
  })
}

export async function startFakeHost(windowFolder: string, count = 0): Promise<FakeHost> {
  const sheet = await readFile(join(root, 'docs/contact-sheet.png'))
  const arts = await Promise.all(
    things.map((_, at) =>
      sharp(sheet)
        .extract({ left: (at % 6) * 256, top: Math.floor(at / 6) * 282, width: 256, height: 256 })
        .png()
        .toBuffer(),
    ),
  )
  const streams = new Set<ServerResponse>()
  const removed: Entry[] = []
  let lastJob = 0
  const fake: FakeHost = {
    origin: '',
    entries: new Map(),
    calls: [],
    jobs: [],
    paused: false,
    models: [
      {
        id: 'storybook',
        name: 'Storybook',
        family: 'Small model',
        bytes: 41_800_000,
        usable: true,
        problems: [],
        embedded: true,
        licence: 'Apache-2.0',
        memory: 41_200_000,
      },
    ],
    downloads: [],
    failures: new Map(),
    indexing: false,
    settings: settingsSchema.parse({}),
    styles: stylesSchema.parse({}),
    reading: { messages: [] },
    fill(size) {
      fake.entries.clear()
      for (let id = 1; id <= size; id++) fake.entries.set(id, entryOf(id))
    },
    emit(event) {
      for (const stream of streams) stream.write(`data: ${JSON.stringify(event)}\n\n`)
    },
    async close() {
      for (const stream of streams) stream.end()
      server.closeAllConnections()
      await new Promise(done => server.close(done))
    },
  }
  fake.fill(count)

  const found = (query: HostGalleryQuery) => {
    const list = [...fake.entries.values()].filter(entry => fits(entry, query))
    const by = { newest: -1, oldest: 1, name: 0, largest: 0 }[query.sort ?? 'newest']
    return list.sort((a, b) =>
      by === 0 ? a.picture.name.localeCompare(b.picture.name) : by * (a.picture.created - b.picture.created),
    )
  }
  const changed = () => fake.emit({ type: 'gallery', indexing: fake.indexing })
  const handlers: { readonly [M in HostMethod]: (params: HostParams<M>) => unknown } = {
    'app.info': () => ({
      version: '0.1.0',
      shell: 'browser',
      platform: 'linux',
      hostSeat: { name: 'NVIDIA H200', backend: 'webgpu' },
      outputFolder: '/home/ada/Pictures/Attune',
      memory: 17_179_869_184,
      notices: [],
    }),
    'settings.get': () => fake.settings,
    'settings.set': ({ patch }) => {
      fake.settings = settingsSchema.parse({ ...fake.settings, ...patch })
      fake.emit({ type: 'settings', settings: fake.settings })
      return fake.settings
    },
    'gallery.query': query => {
      const list = found(query)
      const { offset = 0, limit = 200 } = query
      return {
        pictures: list.slice(offset, offset + limit).map(({ picture }) => picture),
        total: list.length,
        indexing: fake.indexing,
      }
    },
    'gallery.facet': ({ key, query }) => {
      const counts = new Map<string, number>()
      for (const entry of found(query ?? {})) {
        const value = settingsOf(entry)[key]
        if (value !== undefined) counts.set(String(value), (counts.get(String(value)) ?? 0) + 1)
      }
      return [...counts]
        .map(([value, n]) => ({ value, count: n }))
        .sort((a, b) => b.count - a.count)
        .slice(0, 100)
    },
    'gallery.get': ({ id }) => {
      const entry = fake.entries.get(id)
      if (!entry) throw new Error(`There is no picture ${id}.`)
      return {
        picture: entry.picture,
        recipe: entry.recipe,
        infotext: `${entry.recipe.prompt}\nSteps: ${entry.recipe.steps}, Seed: ${entry.recipe.seed}`,
      }
    },
    'gallery.favourite': ({ id, on }) => {
      const entry = fake.entries.get(id)
      if (entry) entry.picture = { ...entry.picture, favourite: on }
      return {}
    },
    'gallery.remove': ({ ids }) => {
      removed.length = 0
      for (const id of ids) {
        const entry = fake.entries.get(id)
        if (entry) removed.push(entry)
        fake.entries.delete(id)
      }
      changed()
      return {}
    },
    'gallery.undoRemove': () => {
      for (const entry of removed) fake.entries.set(entry.picture.id, entry)
      changed()
      return { restored: removed.splice(0).length }
    },
    'gallery.reveal': () => ({}),
    'gallery.rescan': () => ({}),
    'models.list': () => ({ models: fake.models }),
    'models.addFolder': ({ path }) => {
      fake.settings = { ...fake.settings, modelFolders: [...fake.settings.modelFolders, String(path)] }
      fake.emit({ type: 'settings', settings: fake.settings })
      return { models: fake.models, cancelled: false }
    },
    'models.removeFolder': () => ({}),
    'jobs.list': () => ({ jobs: fake.jobs, paused: fake.paused }),
    'jobs.add': ({ requests }) => {
      const jobs = requests.map(
        ({ template, ...request }): HostJob => ({
          id: `job-${++lastJob}`,
          request: generateRequestSchema.parse(request),
          ...(template && { template }),
          state: 'queued',
          added: new Date().toISOString(),
          secondsLeft: 6,
        }),
      )
      fake.jobs.push(...jobs)
      fake.emit({ type: 'jobs' })
      return { jobs }
    },
    'jobs.reorder': ({ id, before }) => {
      const job = fake.jobs.find(each => each.id === id)
      const rest = fake.jobs.filter(each => each.id !== id)
      const at = before === undefined ? rest.length : rest.findIndex(each => each.id === before)
      if (job) fake.jobs = rest.toSpliced(at, 0, job)
      return {}
    },
    'jobs.cancel': ({ id }) => {
      fake.jobs = fake.jobs.map(job => (job.id === id ? { ...job, state: 'cancelled' } : job))
      return {}
    },
    'jobs.pause': ({ id }) => {
      if (id === undefined) fake.paused = true
      else fake.jobs = fake.jobs.map(job => (job.id === id ? { ...job, state: 'paused' } : job))
      return {}
    },
    'jobs.resume': ({ id }) => {
      if (id === undefined) fake.paused = false
      else fake.jobs = fake.jobs.map(job => (job.id === id ? { ...job, state: 'queued' } : job))
      return {}
    },
    'jobs.remove': ({ id }) => {
      fake.jobs = fake.jobs.filter(job => (id === undefined ? !isEnded(job) : job.id !== id))
      return {}
    },
    'downloads.list': () => ({ downloads: fake.downloads }),
    'downloads.start': ({ url }) => {
      const name = String(url).split('/').at(-1) ?? ''
      const download: HostDownload = {
        id: `d${fake.downloads.length + 1}`,
        url,
        name,
        state: 'running',
        received: 0,
      }
      fake.downloads.push(download)
      return download
    },
    'downloads.pause': ({ id }) => {
      fake.downloads = fake.downloads.map(each => (each.id === id ? { ...each, state: 'paused' } : each))
      return {}
    },
    'downloads.cancel': () => ({}),
    'downloads.retry': () => ({}),
    'shell.openFolder': () => ({}),
    'shell.chooseFolder': () => ({}),
    'shell.completeFolder': ({ path }) => ({
      folders: ['/home/ada/models/', '/home/ada/music/'].filter(folder => folder.startsWith(path)),
    }),
    'styles.get': () => fake.styles,
    'styles.set': ({ patch }) => {
      fake.styles = stylesSchema.parse({ ...fake.styles, ...patch })
      fake.emit({ type: 'styles', styles: fake.styles })
      return fake.styles
    },
    'log.write': () => ({}),
  }

  const call = async (request: IncomingMessage, response: ServerResponse) => {
    const { method, params } = JSON.parse((await bodyOf(request)).toString()) as {
      method: HostMethod
      params: unknown
    }
    fake.calls.push({ method, params })
    const failure = fake.failures.get(method)
    if (failure) return json(response, 400, { error: failure })
    const checked = hostMethods[method].params.safeParse(params)
    if (!checked.success)
      return json(response, 400, { error: { code: 'bad-argument', message: checked.error.message } })
    try {
      json(response, 200, { result: (handlers[method] as (params: unknown) => unknown)(params) })
    } catch (error) {
      json(response, 400, { error: { code: 'bad-argument', message: (error as Error).message } })
    }
  }
  const server = createServer((request, response) => {
    const path = decodeURIComponent((request.url ?? '/').split('?')[0] ?? '/')
    const picture = /^\/host\/(?:pictures|thumbnails)\/(\d+)$/.exec(path)
    const model = /^\/host\/models\/storybook\/(.+)$/.exec(path)
    if (normalize(path) !== path) response.writeHead(400).end()
    else if (path === '/host/call') void call(request, response)
    else if (path === '/host/recipe') void bodyOf(request).then(() => json(response, 200, fake.reading))
    else if (path === '/host/events') {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(':\n\n')
      streams.add(response)
      request.on('close', () => streams.delete(response))
    } else if (picture) {
      const entry = fake.entries.get(Number(picture[1]))
      if (!entry) return void response.writeHead(404).end()
      response
        .writeHead(200, { 'content-type': 'image/png', 'cache-control': 'max-age=60' })
        .end(arts[entry.art])
    } else if (model) file(response, join(root, 'assets/models/storybook', model[1] ?? ''))
    else file(response, join(windowFolder, path === '/' ? 'index.html' : path))
  })
  await new Promise<void>(done => server.listen(0, '127.0.0.1', done))
  Object.assign(fake, { origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}` })
  return fake
}
