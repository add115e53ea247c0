/**
 * How a file of weights spells a ControlNet: diffusers' names (`controlnet_down_blocks.…`), or those of
 * lllyasviel/ControlNet (cldm/cldm.py), bare or below `control_model.`. Modules ask by diffusers' names.
 */
import { AttuneError } from '../contract/errors.ts'
import type { TensorAlternatives, WeightCursor } from '../nn/reader.ts'
import { pathOf } from '../nn/reader.ts'
import type { Shape } from '../tensor/shape.ts'
import type { EncoderFamily } from './config.ts'
import type { EncoderConfig } from './control-net-model.ts'

/** What is asked of an opened file: `WeightReader` has it. */
export interface WeightFile extends WeightCursor {
  shapeOf(name: string): Shape | undefined
  names(): readonly string[]
}

export interface FileLayout {
  readonly layout: 'diffusers' | 'original'
  /** In front of every name: `control_model.` or nothing. */
  readonly prefix: string
  /** Channels of the conditioning embedding. */
  readonly embeddingChannels: readonly number[]
  /** What the weights say of the net's family. */
  readonly family: Partial<EncoderFamily>
}

const originalPrefix = 'control_model.'

interface Refusal {
  readonly what: string
  readonly remedy: string
  readonly is: (names: ReadonlySet<string>, list: readonly string[]) => boolean
}

const otherFiles: readonly Refusal[] = [
  {
    what: 'a ControlLoRA, which is a difference from the weights of a model',
    remedy: 'Choose a whole ControlNet of the same purpose.',
    is: names => names.has('lora_controlnet'),
  },
  {
    what: 'a T2I adapter, which is another kind of network',
    remedy: 'Choose a ControlNet of the same purpose.',
    is: (_, list) => list.some(name => /^(adapter\.)?body\.\d+\./.test(name)),
  },
  {
    what: 'a difference between a ControlNet and a model, not a whole ControlNet',
    remedy: 'Choose a file that is not called "difference" or "diff".',
    is: names => names.has('difference'),
  },
  {
    what: 'a ControlNet of Stable Diffusion XL',
    remedy: 'Choose a ControlNet of Stable Diffusion 1.x or 2.x.',
    is: (_, list) =>
      list.some(name => /^(control_model\.)?(add_embedding\.linear_1|label_emb\.0\.0)\.weight$/.test(name)),
  },
  {
    what: 'an IP-Adapter, which brings a picture in beside the text',
    remedy: 'Give it as an image prompt, or choose a ControlNet.',
    is: (_, list) => list.some(name => /^(image_proj|ip_adapter)\./.test(name)),
  },
]

/**
 * Recognises a file.
 * @param name what messages call it
 * @throws AttuneError `unsupported` for other kinds of guides by name, `bad-model` for what is none
 */
export function fileLayout(file: WeightFile, name: string): FileLayout {
  const list = file.names()
  const names = new Set(list)
  for (const { is, what, remedy } of otherFiles) {
    if (is(names, list)) throw new AttuneError('unsupported', `${name} is ${what}.`, remedy)
  }
  const shape = (key: string): Shape | undefined => file.shapeOf(key)
  const text = list.find(each => each.endsWith('attn2.to_k.weight'))
  const crossAttentionDim = text === undefined ? undefined : shape(text)?.[1]
  const familyOf = (first: string, slot: (i: number) => string, middle: string): Partial<EncoderFamily> => {
    const slots = [shape(slot(0))?.[0]]
    while (names.has(slot(slots.length))) slots.push(shape(slot(slots.length))?.[0])
    const inChannels = shape(first)?.[1]
    return {
      ...(crossAttentionDim !== undefined && { crossAttentionDim }),
      ...(inChannels !== undefined && { inChannels }),
      slotChannels: [...slots, shape(middle)?.[0]].map(each => each ?? 0),
    }
  }
  if (names.has('controlnet_cond_embedding.conv_in.weight')) {
    const sizes = [shape('controlnet_cond_embedding.conv_in.weight')?.[0]]
    for (let i = 1; names.has(`controlnet_cond_embedding.blocks.${i}.weight`); i += 2) {
      sizes.push(shape(`controlnet_cond_embedding.blocks.${i}.weight`)?.[0])
    }
    return {
      layout: 'diffusers',
      prefix: '',
      embeddingChannels: sizes.map(each => each ?? 0),
      family: familyOf(
        'conv_in.weight',
        i => `controlnet_down_blocks.${i}.weight`,
        'controlnet_mid_block.weight',
      ),
    }
  }
  const prefix = [originalPrefix, ''].find(each => names.has(`${each}zero_convs.0.0.weight`))
  if (prefix !== undefined) {
    const hint = (i: number): string => `${prefix}input_hint_block.${i}.weight`
    const sizes = [shape(hint(0))?.[0]]
    // Two convolutions a size and an activation behind each; one more convolution ends the chain.
    for (let i = 4; names.has(hint(i)); i += 4) sizes.push(shape(hint(i))?.[0])
    return {
      layout: 'original',
      prefix,
      embeddingChannels: sizes.map(each => each ?? 0),
      family: familyOf(
        `${prefix}input_blocks.0.0.weight`,
        i => `${prefix}zero_convs.${i}.0.weight`,
        `${prefix}middle_block_out.0.weight`,
      ),
    }
  }
  const some = list.slice(0, 3).join(', ')
  throw new AttuneError(
    'bad-model',
    `${name} is no ControlNet: it has neither zero_convs nor controlnet_cond_embedding${some && ` (it begins with ${some})`}.`,
    'Choose the file or folder of a ControlNet.',
  )
}

/** Finds weights under the file's own names, whatever modules call them. */
export function layoutCursor(
  file: WeightFile,
  { layout, prefix }: Pick<FileLayout, 'layout' | 'prefix'>,
  config: Pick<EncoderConfig, 'levels'>,
  embeddingChannels: readonly number[],
): WeightCursor {
  if (layout === 'diffusers') return file
  const stored = (path: string): string => prefix + originalName(path, config, embeddingChannels)
  const cursor = (path: string): WeightCursor => ({
    path,
    at: segment => cursor(path === '' ? String(segment) : `${path}.${segment}`),
    has(name) {
      return file.has(stored(pathOf(this, name)))
    },
    tensor(name: string, shape: Shape, alternatives: TensorAlternatives = {}) {
      const full = pathOf(this, name)
      return file.tensor(full, shape, { ...alternatives, names: [stored(full)] })
    },
  })
  return cursor('')
}

const resnetNames: Readonly<Record<string, string>> = {
  norm1: 'in_layers.0',
  conv1: 'in_layers.2',
  time_emb_proj: 'emb_layers.1',
  norm2: 'out_layers.0',
  conv2: 'out_layers.3',
  conv_shortcut: 'skip_connection',
}

/** lllyasviel's name of a weight of diffusers' name; `input_blocks` count through all levels. */
export function originalName(
  path: string,
  { levels }: Pick<EncoderConfig, 'levels'>,
  embeddingChannels: readonly number[],
): string {
  const [room = '', second = '', third = '', fourth = '', fifth = ''] = path.split('.')
  const rest = (from: number): string => path.split('.').slice(from).join('.')
  switch (room) {
    case 'conv_in':
      return `input_blocks.0.0.${rest(1)}`
    case 'time_embedding':
      return `time_embed.${second === 'linear_1' ? 0 : 2}.${rest(2)}`
    case 'controlnet_cond_embedding': {
      // An activation stands behind each convolution and counts.
      if (second === 'blocks') return `input_hint_block.${2 * Number(third) + 2}.${rest(3)}`
      const last = 4 * (embeddingChannels.length - 1) + 2
      return `input_hint_block.${second === 'conv_in' ? 0 : last}.${rest(2)}`
    }
    case 'controlnet_down_blocks':
      return `zero_convs.${second}.0.${rest(2)}`
    case 'controlnet_mid_block':
      return `middle_block_out.0.${rest(1)}`
    case 'mid_block':
      return second === 'attentions'
        ? `middle_block.1.${rest(3)}`
        : `middle_block.${2 * Number(third)}.${resnetNames[fourth] ?? fourth}.${rest(4)}`
    case 'down_blocks': {
      const level = Number(second)
      const first = levels.slice(0, level).reduce((sum, each) => sum + each.layersPerBlock + 1, 1)
      if (third === 'downsamplers') {
        return `input_blocks.${first + (levels[level]?.layersPerBlock ?? 0)}.0.op.${rest(5)}`
      }
      const block = first + Number(fourth)
      return third === 'attentions'
        ? `input_blocks.${block}.1.${rest(4)}`
        : `input_blocks.${block}.0.${resnetNames[fifth] ?? fifth}.${rest(5)}`
    }
    default:
      return path
  }
}
