/**
 * How a file of weights spells an IP-Adapter: the original names (tencent-ailab/IP-Adapter: `image_proj.…`,
 * `ip_adapter.N.to_k_ip.weight`, N = 2n + 1 with n counting cross-attention layers in the order down, up, middle), or
 * those of a diffusers UNet that was saved with one (`encoder_hid_proj.image_projection_layers.0.…`,
 * `<layer>.processor.to_k_ip.0.weight`). Everything else asks by the original names.
 */
import { AttuneError } from '../contract/errors.ts'
import type { WeightData } from '../graph/ops.ts'
import type { Shape } from '../tensor/shape.ts'

/** What is asked of an opened file: `WeightReader` has it. */
export interface AdapterFile {
  has(name: string): boolean
  shapeOf(name: string): Shape | undefined
  names(): readonly string[]
  tensor(
    name: string,
    shape: Shape,
    options?: { readonly names?: readonly string[]; readonly shapes?: readonly Shape[] },
  ): WeightData
}

export type AdapterKind = 'base' | 'plus' | 'full'

/** What the weights say of an adapter. */
export interface AdapterFacts {
  readonly kind: AdapterKind
  readonly layout: 'original' | 'diffusers'
  /** Width C of its tokens: that of the texts of the models that it is for. */
  readonly crossAttentionDim: number
  /** Of the features that it takes: the encoder's `projectionDim` (base) or `hiddenSize`. */
  readonly featureDim: number
  /** T; of `full`, as many as the encoder has positions. */
  readonly tokens?: number
  /** Of `plus`: the resampler's width, heads and blocks. */
  readonly resampler?: { readonly width: number; readonly numHeads: number; readonly depth: number }
  /** Width of each layer's keys, in the order of the file. */
  readonly layerWidths: readonly number[]
}

const diffusersProjection = 'encoder_hid_proj.image_projection_layers.0.'
/** Columns of a head of the resampler, in all files there are. */
export const resamplerHeadDim = 64
/** The first number of a file of Stable Diffusion XL that no other has. */
const sdxlIndex = 101

interface Refusal {
  readonly what: string
  readonly remedy: string
  readonly is: (names: ReadonlySet<string>, list: readonly string[]) => boolean
}

const chooseOther =
  'Choose an IP-Adapter of the kinds base, plus, plus-face or full-face for Stable Diffusion 1.x or 2.x.'

const otherFiles: readonly Refusal[] = [
  {
    what: 'an IP-Adapter FaceID Plus, which needs a face recogniser beside the image encoder',
    remedy: chooseOther,
    is: (_, list) =>
      list.some(name =>
        /(^|\.)perceiver_resampler\.|image_projection_layers\.\d+\.perceiver_resampler\./.test(name),
      ),
  },
  {
    what: 'an IP-Adapter FaceID, which needs a face recogniser in place of the image encoder',
    remedy: chooseOther,
    is: (names, list) =>
      list.some(name => /\.to_[qkv]_lora\./.test(name)) ||
      (names.has('image_proj.norm.weight') && names.has('image_proj.proj.2.weight')),
  },
  {
    what: 'an IP-Adapter of Stable Diffusion XL',
    remedy: chooseOther,
    is: names => names.has(`ip_adapter.${sdxlIndex}.to_k_ip.weight`),
  },
  {
    what: 'an image prompt adapter of another architecture (Flux, SD3 or HunyuanDiT)',
    remedy: chooseOther,
    is: (_, list) =>
      list.some(name =>
        /^(double_blocks|single_blocks|ip_adapter_double|ip_adapter\.\d+\.(norm_k|to_k_ip_proj))/.test(name),
      ),
  },
  {
    what: 'a ControlNet, which guides by edges, depth and the like',
    remedy: 'Give it with --control, or choose an IP-Adapter.',
    is: (_, list) => list.some(name => /^(control_model\.|zero_convs\.|controlnet_)/.test(name)),
  },
]

/**
 * Recognises a file.
 * @param name what messages call it
 * @throws AttuneError `unsupported` for other kinds by name, `bad-model` for what is no IP-Adapter
 */
export function adapterFacts(file: AdapterFile, name: string): AdapterFacts {
  const list = file.names()
  const names = new Set(list)
  for (const { is, what, remedy } of otherFiles) {
    if (is(names, list)) throw new AttuneError('unsupported', `${name} is ${what}.`, remedy)
  }
  const isDiffusers = list.some(each => each.startsWith(diffusersProjection))
  if (!isDiffusers && !list.some(each => each.startsWith('image_proj.'))) {
    const some = list.slice(0, 3).join(', ')
    throw new AttuneError(
      'bad-model',
      `${name} is no IP-Adapter: it has no image_proj${some && ` (it begins with ${some})`}.`,
      'Choose the .safetensors file of an IP-Adapter.',
    )
  }
  if (list.some(each => each.startsWith('encoder_hid_proj.image_projection_layers.1.'))) {
    throw new AttuneError(
      'unsupported',
      `${name} holds several IP-Adapters in one file.`,
      'Give each as a file of its own.',
    )
  }
  const layout = isDiffusers ? 'diffusers' : 'original'
  const shape = (key: string): Shape | undefined =>
    file.shapeOf(layout === 'original' ? key : (diffusersName(key) ?? key))
  const size = (key: string, axis: number): number => {
    const found = shape(key)?.[axis]
    if (found !== undefined && found > 0) return found
    throw new AttuneError(
      'bad-model',
      `${name} is incomplete: it has no ${key} of ${axis + 1} axes or more.`,
      'Download the file again.',
    )
  }
  const layerWidths = widthsOf(file, list, layout)
  if (shape('image_proj.proj.weight')) {
    const crossAttentionDim = size('image_proj.norm.weight', 0)
    const columns = size('image_proj.proj.weight', 0)
    if (columns % crossAttentionDim !== 0) {
      throw new AttuneError(
        'bad-model',
        `${name} is damaged: image_proj.proj gives ${columns} numbers, which are no whole tokens of ${crossAttentionDim}.`,
        'Download the file again.',
      )
    }
    return {
      kind: 'base',
      layout,
      crossAttentionDim,
      featureDim: size('image_proj.proj.weight', 1),
      tokens: columns / crossAttentionDim,
      layerWidths,
    }
  }
  if (shape('image_proj.proj.3.weight')) {
    const crossAttentionDim = size('image_proj.proj.3.weight', 0)
    if (size('image_proj.proj.2.weight', 0) !== crossAttentionDim) {
      // In diffusers' names both have the same keys, but this one makes several tokens of one face.
      throw new AttuneError(
        'unsupported',
        `${name} is an IP-Adapter FaceID, which needs a face recogniser.`,
        chooseOther,
      )
    }
    return {
      kind: 'full',
      layout,
      crossAttentionDim,
      featureDim: size('image_proj.proj.0.weight', 1),
      layerWidths,
    }
  }
  if (shape('image_proj.latents')) {
    let depth = 0
    while (shape(`image_proj.layers.${depth}.0.to_q.weight`)) depth++
    return {
      kind: 'plus',
      layout,
      crossAttentionDim: size('image_proj.proj_out.weight', 0),
      featureDim: size('image_proj.proj_in.weight', 1),
      tokens: size('image_proj.latents', 1),
      resampler: {
        width: size('image_proj.latents', 2),
        numHeads: Math.max(1, Math.floor(size('image_proj.layers.0.0.to_q.weight', 0) / resamplerHeadDim)),
        depth,
      },
      layerWidths,
    }
  }
  throw new AttuneError(
    'unsupported',
    `${name} is an IP-Adapter of a kind that this version does not know.`,
    chooseOther,
  )
}

/** Rows of each layer's to_k_ip, in the file's numbering (original) or order of names (diffusers). */
function widthsOf(file: AdapterFile, list: readonly string[], layout: AdapterFacts['layout']): number[] {
  if (layout === 'diffusers') {
    return list
      .filter(each => each.endsWith('.processor.to_k_ip.0.weight'))
      .map(each => file.shapeOf(each)?.[0] ?? 0)
  }
  return list
    .map(each => /^ip_adapter\.(\d+)\.to_k_ip\.weight$/.exec(each)?.[1])
    .filter(number => number !== undefined)
    .map(Number)
    .toSorted((a, b) => a - b)
    .map(number => file.shapeOf(`ip_adapter.${number}.to_k_ip.weight`)?.[0] ?? 0)
}

const resamplerNames: Readonly<Record<string, string>> = {
  '0.norm1': 'ln0',
  '0.norm2': 'ln1',
  '0.to_q': 'attn.to_q',
  '0.to_k': 'attn.to_k',
  '0.to_v': 'attn.to_v',
  '0.to_out': 'attn.to_out.0',
  '1.0': 'ff.0',
  '1.1': 'ff.1.net.0.proj',
  '1.3': 'ff.1.net.2',
}

/** diffusers' name of a weight of the projection; undefined where it has none of its own. */
export function diffusersName(original: string): string | undefined {
  const path = original.replace(/^image_proj\./, '')
  if (path === original) return undefined
  const renamed = path
    .replace(/^proj\.(weight|bias)$/, 'image_embeds.$1')
    .replace(/^proj\.0\./, 'ff.net.0.proj.')
    .replace(/^proj\.2\./, 'ff.net.2.')
    .replace(/^proj\.3\./, 'norm.')
    .replace(
      /^layers\.(\d+)\.(.+)\.(weight|bias)$/,
      (whole: string, layer: string, part: string, kind: string) =>
        resamplerNames[part] === undefined ? whole : `layers.${layer}.${resamplerNames[part]}.${kind}`,
    )
  return diffusersProjection + renamed
}
