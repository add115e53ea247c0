/**
 * The neutral recipe: what a picture of any program says about how it was made, in our words. Readers of the
 * programs' own formats fill a `RecipeDraft`; the draft checks every value, clamps what is out of range and says so,
 * and keeps what nobody understands. Nothing in a recipe is ever opened, fetched or run: names of models and
 * files are texts to show.
 */
import type { PromptDialect } from '../../contract/prompt.ts'
import { requestLimits, type Sampler } from '../../contract/request.ts'

export const recipeTools = [
  'attune',
  'a1111',
  'forge',
  'sd.cpp',
  'comfyui',
  'invokeai',
  'draw-things',
  'fooocus',
  'novelai',
  'easy-diffusion',
  'swarmui',
] as const
export type RecipeTool = (typeof recipeTools)[number]

/** The programs by the names that people know. */
export const toolNames: Readonly<Record<RecipeTool, string>> = {
  attune: 'Attune',
  a1111: 'AUTOMATIC1111',
  forge: 'Forge',
  'sd.cpp': 'stable-diffusion.cpp',
  comfyui: 'ComfyUI',
  invokeai: 'InvokeAI',
  'draw-things': 'Draw Things',
  fooocus: 'Fooocus',
  novelai: 'NovelAI',
  'easy-diffusion': 'Easy Diffusion',
  swarmui: 'SwarmUI',
}

export interface Recipe {
  readonly tool: RecipeTool
  readonly prompt: string
  readonly negativePrompt: string
  readonly width?: number
  readonly height?: number
  readonly steps?: number
  readonly guidanceScale?: number
  /** Decimal text: seeds have 64 bits. */
  readonly seed?: string
  /** Ours, where the program's draws the same. */
  readonly sampler?: Sampler
  /** As the program wrote it, schedule included. */
  readonly samplerName?: string
  readonly model?: { readonly name?: string; readonly hash?: string }
  readonly clipSkip?: number
  /** How much of an init image was drawn anew. */
  readonly strength?: number
  /** How its emphasis is written; absent when it is a syntax of the program's own. */
  readonly dialect?: PromptDialect
  /** Everything else that the picture carries, as it was. */
  readonly unknown: Readonly<Record<string, unknown>>
  /** What was changed or cannot be taken over, in sentences that can be shown. */
  readonly notes: readonly string[]
}

/** What a reader found: a recipe, or in `messages` why there is none. */
export interface RecipeReading {
  readonly recipe?: Recipe
  readonly messages: readonly string[]
}

/** Entries of `unknown` that are kept, and characters of a name in it. */
const unknownLimits = { entries: 512, keyLength: 200 } as const

type NumberField = 'width' | 'height' | 'steps' | 'guidanceScale' | 'clipSkip' | 'strength'

const ranges: Readonly<Record<NumberField, readonly [least: number, most: number, whole: boolean]>> = {
  width: [requestLimits.smallestSide, requestLimits.largestSide, true],
  height: [requestLimits.smallestSide, requestLimits.largestSide, true],
  steps: [1, requestLimits.steps, true],
  guidanceScale: [0, requestLimits.guidance, false],
  clipSkip: [1, requestLimits.clipSkip, true],
  strength: [0, 1, false],
}

const fieldNames: Readonly<Record<NumberField, string>> = {
  width: 'Width',
  height: 'Height',
  steps: 'Steps',
  guidanceScale: 'Guidance',
  clipSkip: 'Clip skip',
  strength: 'Strength',
}

/** Collects a recipe from values of unknown types. */
export class RecipeDraft {
  readonly #numbers: { [Field in NumberField]?: number } = {}
  // No prototype, so that a field named __proto__ is a field like any other.
  readonly #unknown = Object.create(null) as Record<string, unknown>
  #kept = 0
  readonly notes: string[] = []
  tool: RecipeTool
  prompt = ''
  negativePrompt = ''
  dialect: PromptDialect | undefined
  #seed: string | undefined
  #sampler: Sampler | undefined
  #samplerName: string | undefined
  #model: { name?: string; hash?: string } = {}

  constructor(tool: RecipeTool, dialect?: PromptDialect) {
    this.tool = tool
    this.dialect = dialect
  }

  setPrompts(prompt: unknown, negativePrompt: unknown): void {
    this.prompt = this.#promptText(prompt, 'prompt')
    this.negativePrompt = this.#promptText(negativePrompt, 'negative prompt')
  }

  #promptText(value: unknown, name: string): string {
    if (value === undefined || value === null) return ''
    const text = textOf(value)
    if (text === undefined) {
      this.note(`The ${name} is not text and was left out.`)
      return ''
    }
    if (text.length <= requestLimits.promptLength) return text
    this.note(
      `The ${name} had ${text.length} characters and was cut to the ${requestLimits.promptLength} that are read.`,
    )
    // A cut through a surrogate pair would leave half a character.
    return text.slice(0, requestLimits.promptLength).replace(/[\ud800-\udbff]$/, '')
  }

  /** Takes a number or its text; clamps it into what a request allows and says what it was. */
  setNumber(field: NumberField, value: unknown): void {
    if (value === undefined || value === null || value === '') return
    const given = numberOf(value)
    if (given === undefined) {
      this.note(`${fieldNames[field]} was ${shown(value)}, which is no number, and was left out.`)
      return
    }
    const [least, most, whole] = ranges[field]
    const taken = Math.min(most, Math.max(least, whole ? Math.round(given) : given))
    if (taken !== given) this.note(`${fieldNames[field]} was ${given}; ${taken} is taken.`)
    this.#numbers[field] = taken
  }

  /** `512x768`, `512 x 768` or [512, 768] or (512, 768). */
  setSize(value: unknown): void {
    if (value === undefined || value === null) return
    const found = Array.isArray(value)
      ? (value as unknown[])
      : /(\d{1,9}) *[x×,] *(\d{1,9})/.exec(textOf(value) ?? '')?.slice(1)
    if (found?.length !== 2) return this.note(`Size was ${shown(value)}, which is no size, and was left out.`)
    this.setNumber('width', found[0])
    this.setNumber('height', found[1])
  }

  setSeed(value: unknown): void {
    if (value === undefined || value === null || value === '') return
    const text = typeof value === 'number' || typeof value === 'bigint' ? String(value) : value
    if (typeof text === 'string' && /^\d{1,20}$/.test(text.trim())) {
      const seed = BigInt(text.trim())
      if (seed <= requestLimits.largestSeed) {
        this.#seed = seed.toString()
        return
      }
    }
    this.note(`Seed was ${shown(value)}, which is no seed here, and was left out.`)
  }

  /** @param sampler ours where one draws the same */
  setSampler(name: unknown, sampler: Sampler | undefined): void {
    const text = textOf(name)?.trim().slice(0, unknownLimits.keyLength)
    if (!text) return
    this.#samplerName = text
    this.#sampler = sampler
    if (!sampler) this.note(`The sampler ${shown(text)} has no equal here; choose one.`)
  }

  setModel(name: unknown, hash?: unknown): void {
    const nameText = textOf(name)?.slice(0, 1000)
    const hashText = textOf(hash)?.slice(0, 200)
    if (nameText) this.#model.name = nameText
    if (hashText) this.#model.hash = hashText
  }

  /** Keeps what is not understood. */
  keep(key: string, value: unknown): void {
    if (value === undefined) return
    if (++this.#kept > unknownLimits.entries) {
      if (this.#kept === unknownLimits.entries + 1)
        this.note(`More than ${unknownLimits.entries} further settings; the rest was not read.`)
      return
    }
    this.#unknown[key.slice(0, unknownLimits.keyLength)] = value
  }

  /**
   * Keeps every field of an object but the ones that were taken.
   * @param taken names, or one text of names with spaces between
   */
  keepOthers(fields: Readonly<Record<string, unknown>>, taken: readonly string[] | string): void {
    const known = new Set(typeof taken === 'string' ? taken.split(' ') : taken)
    for (const [key, value] of Object.entries(fields)) if (!known.has(key)) this.keep(key, value)
  }

  note(sentence: string): void {
    if (this.notes.length < 50 && !this.notes.includes(sentence)) this.notes.push(sentence)
  }

  /** Whether there is anything to reuse. */
  get isEmpty(): boolean {
    return !this.prompt && !this.negativePrompt && !this.#seed && this.#numbers.steps === undefined
  }

  finish(): Recipe {
    return {
      tool: this.tool,
      prompt: this.prompt,
      negativePrompt: this.negativePrompt,
      ...this.#numbers,
      ...(this.#seed !== undefined && { seed: this.#seed }),
      ...(this.#sampler && { sampler: this.#sampler }),
      ...(this.#samplerName && { samplerName: this.#samplerName }),
      ...((this.#model.name || this.#model.hash) && { model: { ...this.#model } }),
      ...(this.dialect && { dialect: this.dialect }),
      unknown: this.#unknown,
      notes: [...this.notes],
    }
  }

  /** The finished recipe as a reading; without one when nothing can be reused. */
  reading(): RecipeReading {
    if (!this.isEmpty) return { recipe: this.finish(), messages: [] }
    return { messages: [`The picture names ${toolNames[this.tool]}, but holds no settings to reuse.`] }
  }
}

/** Text, or a number as text; nothing else is read as a name. */
export function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  return typeof value === 'number' || typeof value === 'bigint' ? String(value) : undefined
}

/** A finite number, or the text of one. */
export function numberOf(value: unknown): number | undefined {
  if (typeof value === 'string' && !/^\s*[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?\s*$/i.test(value.slice(0, 64)))
    return undefined
  const number = typeof value === 'string' || typeof value === 'bigint' ? Number(value) : value
  return typeof number === 'number' && Number.isFinite(number) ? number : undefined
}

export type Fields = Readonly<Record<string, unknown>>

/** An object of fields, or undefined for anything else. */
export function fieldsOf(value: unknown): Fields | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : undefined
}

function shown(value: unknown): string {
  const text =
    textOf(value) ?? (value === null ? 'null' : Array.isArray(value) ? 'a list' : `a ${typeof value}`)
  return `"${text.length > 40 ? `${text.slice(0, 40)}…` : text}"`
}
