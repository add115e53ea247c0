/** Reads what a model folder says about its tokenizer, in all the forms in which such folders are written. */
import { AttuneError } from '../contract/errors.ts'
import { printable } from '../weights/printable.ts'

/**
 * The parsed JSON files and the text of merges.txt of a tokenizer folder; what the folder lacks is left out.
 * Needed: either `vocab` and `merges`, or `tokenizerJson`.
 */
export interface TokenizerFiles {
  /** For messages: the folder. */
  readonly name: string
  /** vocab.json */
  readonly vocab?: unknown
  /** merges.txt */
  readonly merges?: string
  /** tokenizer_config.json */
  readonly tokenizerConfig?: unknown
  /** special_tokens_map.json */
  readonly specialTokensMap?: unknown
  /** tokenizer.json, which newer versions of transformers save instead of vocab.json and merges.txt */
  readonly tokenizerJson?: unknown
}

/** A token that is found in the text before it is split into words. */
export interface AddedToken {
  readonly content: string
  readonly id: number
  /** Whether it is looked for in the cleaned-up text (lower case) instead of the text as typed. */
  readonly normalized: boolean
}

export interface TokenizerSettings {
  readonly vocab: ReadonlyMap<string, number>
  /** In order of preference. */
  readonly merges: readonly (readonly [string, string])[]
  readonly added: readonly AddedToken[]
  readonly bosId: number
  readonly eosId: number
  readonly padId: number
  readonly unkId: number
}

type JsonObject = Readonly<Record<string, unknown>>

const roles = ['bos_token', 'eos_token', 'unk_token', 'pad_token'] as const
type Role = (typeof roles)[number]

const defaults: Readonly<Record<Role, string>> = {
  bos_token: '<|startoftext|>',
  eos_token: '<|endoftext|>',
  unk_token: '<|endoftext|>',
  pad_token: '<|endoftext|>',
}

/**
 * Resolves the files of a CLIP tokenizer as transformers does: special_tokens_map.json overrides
 * tokenizer_config.json (Stable Diffusion 2 pads with "!" only by the former).
 * @throws AttuneError `bad-model`
 */
export function readTokenizerFiles(files: TokenizerFiles): TokenizerSettings {
  const json = asObject(files.tokenizerJson)
  const model = asObject(json?.model)
  const vocab = readVocab(files.name, files.vocab ?? model?.vocab)
  const merges =
    files.merges === undefined ? readMergeList(files.name, model?.merges) : readMergeText(files.merges)
  const config = asObject(files.tokenizerConfig)
  const map = asObject(files.specialTokensMap)

  // Tokens that are listed with all their flags decide; else how the roles spell them does.
  const flags = new Map<string, { readonly normalized: boolean; readonly id: number | undefined }>()
  const decoder = asObject(config?.added_tokens_decoder)
  if (decoder) {
    for (const [id, token] of Object.entries(decoder)) note(asObject(token), Number(id))
  } else if (Array.isArray(json?.added_tokens)) {
    for (const token of json.added_tokens) note(asObject(token), undefined)
  }
  function note(token: JsonObject | undefined, id: number | undefined): void {
    if (typeof token?.content !== 'string') return
    const ownId = typeof token.id === 'number' ? token.id : id
    flags.set(token.content, { normalized: token.normalized === true, id: ownId })
  }

  const contents = new Map<Role, string>()
  const spelt = new Map<string, boolean>()
  for (const role of roles) {
    const value = map?.[role] ?? config?.[role] ?? defaults[role]
    const content = typeof value === 'string' ? value : asObject(value)?.content
    if (typeof content !== 'string') throw unusable(files.name, `its ${role} is neither a text nor a token`)
    contents.set(role, content)
    // A bare text means: as typed. One bare mention is enough.
    const normalized = typeof value !== 'string' && asObject(value)?.normalized === true
    spelt.set(content, (spelt.get(content) ?? true) && normalized)
  }
  const added: AddedToken[] = []
  for (const content of new Set([...flags.keys(), ...spelt.keys()])) {
    const id = flags.get(content)?.id ?? vocab.get(content)
    if (id === undefined)
      throw unusable(files.name, `its vocabulary lacks the special token ${printable(content)}`)
    added.push({ content, id, normalized: flags.get(content)?.normalized ?? spelt.get(content) ?? false })
  }
  const idOf = (role: Role): number => {
    const content = contents.get(role)
    return added.find(token => token.content === content)?.id as number
  }
  return {
    vocab,
    merges,
    added,
    bosId: idOf('bos_token'),
    eosId: idOf('eos_token'),
    padId: idOf('pad_token'),
    unkId: idOf('unk_token'),
  }
}

function readVocab(name: string, json: unknown): ReadonlyMap<string, number> {
  const object = asObject(json)
  if (!object) throw unusable(name, 'it has no vocabulary (vocab.json or tokenizer.json)')
  const vocab = new Map<string, number>()
  for (const [token, id] of Object.entries(object)) {
    if (typeof id !== 'number' || !Number.isSafeInteger(id) || id < 0) {
      throw unusable(name, `its vocabulary gives ${printable(token)} the id ${JSON.stringify(id)}`)
    }
    vocab.set(token, id)
  }
  return vocab
}

function readMergeText(text: string): (readonly [string, string])[] {
  const merges: (readonly [string, string])[] = []
  for (const line of text.split(/\r?\n/)) {
    // Only the version line is a comment: "# #" is a merge.
    if (line === '' || line.startsWith('#version')) continue
    const [left, right] = line.split(' ')
    if (left && right) merges.push([left, right])
  }
  return merges
}

function readMergeList(name: string, json: unknown): (readonly [string, string])[] {
  if (!Array.isArray(json)) throw unusable(name, 'it has no merges (merges.txt or tokenizer.json)')
  return json.map((merge: unknown) => {
    const [left, right] = typeof merge === 'string' ? merge.split(' ') : Array.isArray(merge) ? merge : []
    if (typeof left !== 'string' || typeof right !== 'string')
      throw unusable(name, 'its merges are not pairs')
    return [left, right] as const
  })
}

function asObject(json: unknown): JsonObject | undefined {
  return typeof json === 'object' && json !== null && !Array.isArray(json) ? (json as JsonObject) : undefined
}

function unusable(name: string, why: string): AttuneError {
  return new AttuneError(
    'bad-model',
    `The tokenizer in ${name} cannot be used: ${why}.`,
    'Download the tokenizer folder of the model again (vocab.json, merges.txt, tokenizer_config.json, special_tokens_map.json).',
  )
}
