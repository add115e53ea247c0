/**
 * ComfyUI: the executed graph in the PNG text `prompt`, {id: {class_type, inputs}}; an input is a value or a link
 * [id, output]. There is no list of settings to read, so they are found by walking backwards from the sampler that
 * leads to the saved picture. Graphs come from strangers and from hundreds of node packages: every walk remembers
 * where it was, has a budget, and takes an unknown node by the names of its inputs.
 */
import { type Fields, fieldsOf, RecipeDraft, type RecipeReading, textOf } from './recipe.ts'
import { comfySampler } from './samplers.ts'

interface Node {
  readonly id: string
  readonly type: string
  readonly inputs: Fields
}

const limits = { nodes: 20_000, visits: 50_000, pieces: 64, depth: 200, characters: 1 << 20 } as const

/** Whether JSON is an executed graph of ComfyUI. */
export function isComfyGraph(value: unknown): boolean {
  const fields = fieldsOf(value)
  if (!fields) return false
  return Object.values(fields).some(node => typeof fieldsOf(node)?.['class_type'] === 'string')
}

/** Reads the recipe of the first sampling pass that leads to a saved picture. */
export function recipeFromComfyGraph(graph: unknown): RecipeReading {
  const nodes = readNodes(graph)
  if (!nodes) return { messages: [`The ComfyUI graph has more than ${limits.nodes} nodes and was not read.`] }
  const walk = new GraphWalk(nodes)
  const passes = walk.samplers()
  const sampler = passes.at(-1)
  if (!sampler) return { messages: ['The ComfyUI graph has no sampler whose inputs could be followed.'] }
  const draft = new RecipeDraft('comfyui', 'comfy')
  if (passes.length > 1)
    draft.note(`The graph samples ${passes.length} times; the settings are those of the first pass.`)
  fill(draft, walk, sampler)
  if (walk.isSpent) draft.note('The graph is too tangled to follow everywhere.')
  for (const lora of walk.loras(sampler)) draft.keep(`lora: ${lora.name}`, lora.strength)
  return draft.reading()
}

function fill(draft: RecipeDraft, walk: GraphWalk, sampler: Node): void {
  const guider = walk.target(sampler.inputs['guider'])
  const holder = guider ?? sampler
  const positive = holder.inputs['positive'] ?? holder.inputs['conditioning'] ?? holder.inputs['prompt']
  const prompt = walk.prompt(positive, 'positive')
  const negative = walk.prompt(holder.inputs['negative'], 'negative')
  if (prompt.pieces > 1 || negative.pieces > 1)
    draft.note('Several texts are combined in the graph; they stand here one after another.')
  draft.setPrompts(prompt.text, negative.text)
  const sigmas = walk.target(sampler.inputs['sigmas'])
  const value = (name: string, ...holders: readonly (Node | undefined)[]): unknown => {
    for (const node of holders) {
      if (node && name in node.inputs) return walk.scalar(node.inputs[name])
    }
    return undefined
  }
  const noise = walk.target(sampler.inputs['noise'])
  draft.setSeed(value('noise_seed', noise, sampler) ?? value('seed', sampler, noise))
  draft.setNumber('steps', value('steps', sampler, sigmas))
  draft.setNumber('guidanceScale', value('cfg', holder, sampler))
  const denoise = value('denoise', sampler, sigmas)
  if (denoise !== 1) draft.setNumber('strength', denoise)
  const select = walk.target(sampler.inputs['sampler'])
  const name = textOf(value('sampler_name', sampler, select))
  const scheduler = textOf(value('scheduler', sampler, sigmas))
  if (name !== undefined) {
    const full = scheduler && scheduler !== 'normal' ? `${name} ${scheduler}` : name
    draft.setSampler(full, comfySampler(name, scheduler))
  }
  const latent = walk.upstream(
    sampler.inputs['latent_image'] ?? sampler.inputs['latent'],
    ['samples', 'latent_image', 'latent', 'pixels', 'image'],
    node => 'width' in node.inputs && 'height' in node.inputs,
  )
  if (latent) {
    draft.setNumber('width', walk.scalar(latent.inputs['width']))
    draft.setNumber('height', walk.scalar(latent.inputs['height']))
    const batch = walk.scalar(latent.inputs['batch_size'])
    if (batch !== undefined && batch !== 1) draft.keep('batch_size', batch)
  }
  draft.setModel(walk.modelName(holder.inputs['model'] ?? sampler.inputs['model']))
  const stop = walk.clipStop(positive)
  if (stop !== undefined) draft.setNumber('clipSkip', -stop)
  draft.keep('sampler node', sampler.type)
}

function readNodes(graph: unknown): Map<string, Node> | undefined {
  const fields = fieldsOf(graph) ?? {}
  const entries = Object.entries(fields)
  if (entries.length > limits.nodes) return undefined
  const nodes = new Map<string, Node>()
  for (const [id, given] of entries) {
    const node = fieldsOf(given)
    const type = node?.['class_type']
    if (typeof type === 'string') nodes.set(id, { id, type, inputs: fieldsOf(node?.['inputs']) ?? {} })
  }
  return nodes
}

const isSampler = (node: Node) =>
  'latent_image' in node.inputs
    ? 'positive' in node.inputs || 'guider' in node.inputs
    : /sampler/i.test(node.type) && 'positive' in node.inputs && 'model' in node.inputs

/** Nodes that end a graph, the ones that save first. */
const isOutput = (node: Node) => /save|output|export/i.test(node.type) && linksOf(node).length > 0
const isPreview = (node: Node) => /preview/i.test(node.type) && linksOf(node).length > 0

function linkOf(value: unknown): string | undefined {
  if (!Array.isArray(value) || value.length !== 2) return undefined
  const [id, output] = value as readonly unknown[]
  return (typeof id === 'string' || typeof id === 'number') && typeof output === 'number'
    ? String(id)
    : undefined
}

function linksOf(node: Node): string[] {
  return Object.values(node.inputs)
    .map(linkOf)
    .filter(link => link !== undefined)
}

class GraphWalk {
  readonly #nodes: ReadonlyMap<string, Node>
  #visits = 0
  #characters = 0

  constructor(nodes: ReadonlyMap<string, Node>) {
    this.#nodes = nodes
  }

  get isSpent(): boolean {
    return this.#visits > limits.visits || this.#characters > limits.characters
  }

  /** The node behind a link. */
  target(value: unknown): Node | undefined {
    const link = linkOf(value)
    if (link === undefined || ++this.#visits > limits.visits) return undefined
    return this.#nodes.get(link)
  }

  /** The sampling passes that lead to the saved picture, the last one first. */
  samplers(): Node[] {
    const all = [...this.#nodes.values()]
    const ends = [...all.filter(isOutput), ...all.filter(isPreview)]
    const last = this.#nearest(ends, isSampler) ?? all.find(isSampler)
    const passes: Node[] = []
    for (let node = last; node && !passes.includes(node); ) {
      passes.push(node)
      node = this.#nearest(
        [node.inputs['latent_image'] ?? node.inputs['latent']]
          .map(link => this.target(link))
          .filter(found => found !== undefined),
        isSampler,
      )
    }
    return passes
  }

  /** Breadth first over every link backwards. */
  #nearest(starts: readonly Node[], wanted: (node: Node) => boolean): Node | undefined {
    const seen = new Set<string>()
    const queue = [...starts]
    for (let i = 0; i < queue.length; i++) {
      const node = queue[i] as Node
      if (seen.has(node.id)) continue
      seen.add(node.id)
      if (wanted(node)) return node
      for (const input of Object.values(node.inputs)) {
        const next = this.target(input)
        if (next && !seen.has(next.id)) queue.push(next)
      }
    }
    return undefined
  }

  /** Follows inputs of the given names until a node is wanted. */
  upstream(start: unknown, names: readonly string[], wanted: (node: Node) => boolean): Node | undefined {
    const seen = new Set<string>()
    const queue = [this.target(start)]
    for (let i = 0; i < queue.length; i++) {
      const node = queue[i]
      if (!node || seen.has(node.id)) continue
      seen.add(node.id)
      if (wanted(node)) return node
      for (const name of names) if (name in node.inputs) queue.push(this.target(node.inputs[name]))
    }
    return undefined
  }

  /** A number or text: the value itself, or that of a primitive node behind a link. */
  scalar(value: unknown): unknown {
    const seen = new Set<string>()
    let current = value
    for (;;) {
      if (typeof current === 'string' || typeof current === 'number') return current
      const node = this.target(current)
      if (!node || seen.has(node.id)) return undefined
      seen.add(node.id)
      const name = scalarInputs.find(input => input in node.inputs) ?? Object.keys(node.inputs)[0]
      current = name === undefined ? undefined : node.inputs[name]
    }
  }

  /** All texts that a conditioning is made of, in the order of the walk. */
  prompt(start: unknown, role: 'positive' | 'negative'): { text: string; pieces: number } {
    const pieces: string[] = []
    this.#collect(start, role, pieces, new Set(), 0)
    const unique = [...new Set(pieces.filter(piece => piece.trim() !== ''))]
    return { text: unique.join('\n'), pieces: unique.length }
  }

  #collect(value: unknown, role: string, pieces: string[], seen: Set<string>, depth: number): void {
    if (pieces.length >= limits.pieces || depth > limits.depth) return
    if (typeof value === 'string') return void pieces.push(this.#bounded(value))
    const node = this.target(value)
    if (!node || seen.has(node.id)) return
    seen.add(node.id)
    // What has been zeroed says nothing.
    if (/zeroout/i.test(node.type)) return
    const texts = Object.keys(node.inputs).filter(name => textInput.test(name))
    if (texts.length && !/conditioning(combine|concat|average|set)/i.test(node.type)) {
      const found = texts.map(name => this.#string(node.inputs[name], seen, depth + 1))
      // SDXL's two texts are usually one.
      pieces.push(...new Set(found))
      return
    }
    // A node with both sides (ControlNetApplyAdvanced) is followed on the side that is asked for.
    const names =
      role in node.inputs
        ? [role]
        : Object.keys(node.inputs).filter(name => /^(conditioning|cond|positive|base|input)/i.test(name))
    const onward = names.length ? names : Object.keys(node.inputs).filter(name => linkOf(node.inputs[name]))
    for (const name of onward) this.#collect(node.inputs[name], role, pieces, seen, depth + 1)
  }

  /** Text as a node of strings makes it: its own, or its parts joined. */
  #string(value: unknown, seen: Set<string>, depth: number): string {
    if (typeof value === 'string') return this.#bounded(value)
    const node = depth > limits.depth ? undefined : this.target(value)
    if (!node || seen.has(`text ${node.id}`)) return ''
    // Only along this path: the same text may well be used twice.
    seen.add(`text ${node.id}`)
    const delimiter = node.inputs['delimiter'] ?? node.inputs['separator']
    const names = Object.keys(node.inputs).filter(name => stringInput.test(name))
    const parts = names.map(name => this.#string(node.inputs[name], seen, depth + 1)).filter(Boolean)
    seen.delete(`text ${node.id}`)
    return parts.join(typeof delimiter === 'string' ? delimiter : names.length > 1 ? ', ' : '')
  }

  /** Chains of nodes that each double a text would fill the memory. */
  #bounded(text: string): string {
    this.#characters += text.length
    return this.#characters > limits.characters ? '' : text
  }

  modelName(start: unknown): string | undefined {
    const node = this.upstream(start, ['model', 'model1', 'base_model', 'input'], found =>
      modelInputs.some(name => typeof found.inputs[name] === 'string'),
    )
    return node && textOf(modelInputs.map(name => node.inputs[name]).find(name => typeof name === 'string'))
  }

  loras(sampler: Node): { name: string; strength: unknown }[] {
    const found: { name: string; strength: unknown }[] = []
    const holder = this.target(sampler.inputs['guider']) ?? sampler
    this.upstream(holder.inputs['model'], ['model'], node => {
      const name = node.inputs['lora_name']
      if (typeof name === 'string')
        found.push({ name, strength: this.scalar(node.inputs['strength_model']) ?? 1 })
      return found.length >= limits.pieces
    })
    return found
  }

  /** `stop_at_clip_layer` of the text encoder in use: -2 is A1111's clip skip 2. */
  clipStop(conditioning: unknown): number | undefined {
    const node = this.upstream(
      conditioning,
      ['clip', 'conditioning', 'positive', 'conditioning_1'],
      found => typeof found.inputs['stop_at_clip_layer'] === 'number',
    )
    const stop = node?.inputs['stop_at_clip_layer']
    return typeof stop === 'number' && stop < 0 ? stop : undefined
  }
}

const scalarInputs = ['value', 'seed', 'noise_seed', 'int', 'float', 'number', 'Number', 'string', 'text']
const modelInputs = ['ckpt_name', 'unet_name', 'model_name', 'base_ckpt_name']
/** The inputs of text encoders. */
const textInput = /^(text(_?[glbn123])?|prompt|clip_l|t5xxl|text_positive|populated_text|wildcard_text)$/i
/** Inputs of nodes that make strings. */
const stringInput =
  /^(text|string|value|prompt|str|text_?[a-d0-9]+|string_?[a-d0-9]+|populated_text|input_text)$/i
