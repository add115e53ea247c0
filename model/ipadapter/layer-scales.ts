/**
 * Scales of an image prompt by layer: diffusers' dictionaries (loaders/unet_loader_utils.py), and the two presets of
 * InstantStyle (Wang et al. 2024, arXiv 2404.02733) in the same terms.
 *
 * The presets name blocks by their place, not by number: style is the coarsest block of the decoder that asks the text
 * (`up.block_1` of SD 1.x, `up.block_0` of SDXL), composition the coarsest of the encoder and the middle (`down.block_2`
 * and `mid`; InvokeAI names the same).
 */
import { AttuneError } from '../contract/errors.ts'
import type { LayerPreset, LayerScales } from '../contract/image-prompts.ts'

/** Where a layer stands: `down_blocks.1.attentions.0…`. */
interface Place {
  readonly side: 'down' | 'mid' | 'up'
  readonly block: number
  readonly attention: number
}

function placeOf(path: string): Place {
  const [room = '', block = '', , attention = ''] = path.split('.')
  if (room === 'mid_block') return { side: 'mid', block: 0, attention: 0 }
  return { side: room === 'down_blocks' ? 'down' : 'up', block: Number(block), attention: Number(attention) }
}

/** The dictionary of a preset for a network. */
export function presetScales(preset: LayerPreset, paths: readonly string[]): LayerScales {
  const blocks = (side: Place['side']): number[] =>
    paths
      .map(placeOf)
      .filter(place => place.side === side)
      .map(({ block }) => block)
  if (preset === 'style') return { up: { [`block_${Math.min(...blocks('up'))}`]: 1 } }
  return { down: { [`block_${Math.max(...blocks('down'))}`]: 1 }, mid: 1 }
}

/**
 * The factor of each layer; blocks that are not named have 0.
 * @param paths of the layers that ask the text
 * @throws AttuneError `bad-argument` for blocks and numbers of scales that the network does not have
 */
export function layerScales(asked: LayerPreset | LayerScales, paths: readonly string[]): number[] {
  const scales = typeof asked === 'string' ? presetScales(asked, paths) : asked
  const places = paths.map(placeOf)
  const counts = new Map<string, number>()
  for (const { side, block, attention } of places) {
    const key = `${side} ${block}`
    counts.set(key, Math.max(counts.get(key) ?? 0, attention + 1))
  }
  for (const side of ['down', 'up'] as const) {
    const given = scales[side]
    if (typeof given !== 'object') continue
    for (const [name, value] of Object.entries(given)) {
      const count = counts.get(`${side} ${name.slice('block_'.length)}`)
      if (count === undefined) {
        const known = [...counts.keys()]
          .filter(key => key.startsWith(side))
          .map(key => `block_${key.split(' ')[1]}`)
        throw wrong(
          `The model has no ${side}.${name} that asks the words`,
          `Choose among: ${known.join(', ')}`,
        )
      }
      if (typeof value !== 'number' && value.length !== count && value.length !== 1) {
        throw wrong(`${side}.${name} is given ${value.length} scales`, `Give one, or ${count}`)
      }
    }
  }
  return places.map(({ side, block, attention }) => {
    const given = scales[side]
    if (given === undefined) return 0
    if (typeof given === 'number') return given
    if (Array.isArray(given)) return given[0] ?? 0
    const own = given[`block_${block}`]
    if (own === undefined || typeof own === 'number') return own ?? 0
    return own[own.length === 1 ? 0 : attention] ?? 0
  })
}

function wrong(what: string, remedy: string): AttuneError {
  return new AttuneError('bad-argument', `${what}.`, `${remedy}.`)
}
