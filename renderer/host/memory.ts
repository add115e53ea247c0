/**
 * A host that lives in the page: development without a server, and tests of components. It keeps pictures as blobs and
 * forgets everything with the page; the status bar says so.
 */
import { AttuneError } from '../../model/contract/errors.ts'
import { drawInputsSchema, inputSide, recordedInputs } from '../../model/contract/inputs.ts'
import type {
  HostApi,
  HostEvent,
  HostInput,
  HostJob,
  HostMethod,
  HostParams,
  HostPicture,
  HostResult,
  SavePictureHeader,
} from '../../model/contract/host-api.ts'
import { settingsSchema, type SettingsValues } from '../../model/contract/settings.ts'
import { type Styles, stylesSchema } from '../../model/contract/styles.ts'
import type { RawPicture } from './client.ts'

type Handlers = { readonly [M in HostMethod]?: (params: HostParams<M>) => HostResult<M> }

interface Kept {
  picture: HostPicture
  readonly record: Record<string, unknown>
  readonly url: string
}

export class MemoryHost implements HostApi {
  readonly #listeners = new Set<(event: HostEvent) => void>()
  readonly #pictures = new Map<number, Kept>()
  /** Addresses of kept pictures by key. */
  readonly #inputs = new Map<string, string>()
  #removed: Kept[] = []
  #settings: SettingsValues = settingsSchema.parse({})
  #styles: Styles = stylesSchema.parse({})
  #jobs: HostJob[] = []
  #lastId = 0

  readonly #handlers: Handlers = {
    'app.info': () => ({
      version: 'development',
      shell: 'browser',
      platform: navigator.platform,
      outputFolder: '',
      memory: 0,
      notices: [],
    }),
    'settings.get': () => this.#settings,
    'settings.set': ({ patch }) => {
      this.#settings = settingsSchema.parse({ ...this.#settings, ...patch })
      this.#tell({ type: 'settings', settings: this.#settings })
      return this.#settings
    },
    'gallery.query': query => {
      const text = query.text?.toLowerCase() ?? ''
      const all = [...this.#pictures.values()]
        .map(({ picture }) => picture)
        .filter(picture => picture.prompt.toLowerCase().includes(text))
        .filter(picture => query.favourite === undefined || picture.favourite === query.favourite)
        .sort((a, b) => (query.sort === 'oldest' ? a.created - b.created : b.created - a.created))
      const { offset = 0, limit = 200 } = query
      return { pictures: all.slice(offset, offset + limit), total: all.length, indexing: false }
    },
    'gallery.facet': () => [],
    'gallery.get': ({ id }) => {
      const { picture, record } = this.#kept(id)
      return { picture, record }
    },
    'gallery.favourite': ({ id, on }) => {
      const kept = this.#kept(id)
      kept.picture = { ...kept.picture, favourite: on }
      this.#tell({ type: 'gallery', indexing: false })
      return {}
    },
    'gallery.remove': ({ ids }) => {
      this.#removed = ids.map(id => this.#kept(id))
      for (const id of ids) this.#pictures.delete(id)
      this.#tell({ type: 'gallery', indexing: false })
      return {}
    },
    'gallery.undoRemove': () => {
      for (const kept of this.#removed) this.#pictures.set(kept.picture.id, kept)
      const restored = this.#removed.length
      this.#removed = []
      this.#tell({ type: 'gallery', indexing: false })
      return { restored }
    },
    'gallery.reveal': () => ({}),
    'gallery.rescan': () => ({}),
    'models.list': () => ({
      models: [
        {
          id: 'storybook',
          name: 'Storybook',
          family: 'Attune Storybook',
          bytes: 42_000_000,
          usable: true,
          problems: [],
          embedded: true,
        },
      ],
      nets: [],
    }),
    'jobs.list': () => ({ jobs: this.#jobs, paused: false }),
    'jobs.add': ({ requests }) => {
      const added = requests.map(
        ({ template, inputs, ...request }): HostJob => ({
          id: `job-${++this.#lastId}`,
          // The caller's request was checked by its own types; the memory host draws nothing.
          request: request as HostJob['request'],
          ...(template && { template }),
          ...(inputs && { inputs: drawInputsSchema.parse(inputs) }),
          state: 'queued',
          added: new Date().toISOString(),
        }),
      )
      this.#jobs = [...this.#jobs, ...added]
      this.#tell({ type: 'jobs' })
      return { jobs: added }
    },
    'jobs.remove': ({ id }) => {
      this.#jobs = this.#jobs.filter(job => id !== undefined && job.id !== id)
      this.#tell({ type: 'jobs' })
      return {}
    },
    'jobs.cancel': ({ id }) => {
      this.#jobs = this.#jobs.map(job => (job.id === id ? { ...job, state: 'cancelled' } : job))
      this.#tell({ type: 'jobs' })
      return {}
    },
    'downloads.list': () => ({ downloads: [] }),
    'shell.completeFolder': () => ({ folders: [] }),
    'styles.get': () => this.#styles,
    'styles.set': ({ patch }) => {
      this.#styles = stylesSchema.parse({ ...this.#styles, ...patch })
      this.#tell({ type: 'styles', styles: this.#styles })
      return this.#styles
    },
    'log.write': () => ({}),
  }

  async call<M extends HostMethod>(method: M, params: HostParams<M>): Promise<HostResult<M>> {
    const handler = this.#handlers[method] as ((params: HostParams<M>) => HostResult<M>) | undefined
    if (!handler) {
      throw new AttuneError('unsupported', `The development host has no ${method}.`, 'Run npm start.')
    }
    return handler(params)
  }

  subscribe(listener: (event: HostEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  pictureUrl(id: number): string {
    return this.#kept(id).url
  }

  /** As a host would: upright, opaque, under the digest of what is kept. */
  async keepInput(blob: Blob): Promise<HostInput> {
    const bitmap = await createImageBitmap(blob).catch((cause: unknown) => {
      throw new AttuneError(
        'bad-file',
        'The file is not a picture that can be read.',
        'Use a PNG, JPEG, WebP or AVIF.',
        { cause },
      )
    })
    const scale = Math.min(1, inputSide / Math.max(bitmap.width, bitmap.height))
    const width = Math.max(1, Math.round(bitmap.width * scale))
    const height = Math.max(1, Math.round(bitmap.height * scale))
    const canvas = new OffscreenCanvas(width, height)
    const context = canvas.getContext('2d')
    if (context) {
      context.fillStyle = '#ffffff'
      context.fillRect(0, 0, width, height)
      context.drawImage(bitmap, 0, 0, width, height)
    }
    bitmap.close()
    const png = await canvas.convertToBlob({ type: 'image/png' })
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', await png.arrayBuffer()))
    const key = [...digest].map(byte => byte.toString(16).padStart(2, '0')).join('')
    if (!this.#inputs.has(key)) this.#inputs.set(key, URL.createObjectURL(png))
    return { key, width, height }
  }

  inputUrl(key: string): string {
    return this.#inputs.get(key) ?? 'about:blank'
  }

  async savePicture(
    picture: RawPicture,
    header: Omit<SavePictureHeader, 'width' | 'height' | 'channels'>,
  ): Promise<number> {
    const { width, height } = picture
    const canvas = new OffscreenCanvas(width, height)
    const rgba = new Uint8ClampedArray(width * height * 4).fill(255)
    for (let at = 0; at < width * height; at++) {
      for (let part = 0; part < 3; part++) {
        rgba[at * 4 + part] = picture.data[at * picture.channels + (picture.channels === 1 ? 0 : part)] ?? 0
      }
    }
    canvas.getContext('2d')?.putImageData(new ImageData(rgba, width, height), 0, 0)
    const blob = await canvas.convertToBlob({ type: 'image/png' })
    const id = ++this.#lastId
    const { prompt = '', negativePrompt = '' } = header.request as Record<string, string>
    this.#pictures.set(id, {
      url: URL.createObjectURL(blob),
      record: {
        request: header.request,
        ...(header.inputs && { inputs: recordedInputs(drawInputsSchema.parse(header.inputs)) }),
      },
      picture: {
        id,
        name: `picture-${id}.png`,
        folder: '',
        bytes: blob.size,
        created: Date.now(),
        changed: Date.now(),
        key: String(id),
        width,
        height,
        tool: 'attune',
        prompt,
        negativePrompt,
        favourite: false,
        missing: false,
      },
    })
    this.#tell({ type: 'gallery', indexing: false })
    return id
  }

  #kept(id: number): Kept {
    const kept = this.#pictures.get(id)
    if (kept) return kept
    throw new AttuneError('bad-argument', `There is no picture ${id}.`, 'Choose another one.')
  }

  #tell(event: HostEvent): void {
    for (const listener of this.#listeners) listener(event)
  }
}
