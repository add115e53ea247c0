/** File names from words and layer paths: safe on every system, readable, no two alike. */
import type { NamedMap } from '../../model/attention/named-maps.ts'

/** Names that Windows keeps for devices, with any extension. */
const reserved = /^(con|prn|aux|nul|com\d|lpt\d)$/i
const lengthLimit = 60

/** A word as a part of a file name: letters and digits of every script stay, everything else becomes a dash. */
export function safeStem(text: string): string {
  const stem = [
    ...text
      .normalize('NFC')
      .toLowerCase()
      .replace(/[^\p{L}\p{N}_]+/gu, '-'),
  ]
    .slice(0, lengthLimit)
    .join('')
    .replace(/^-+|-+$/g, '')
  if (stem === '') return 'word'
  return reserved.test(stem) ? `${stem}_` : stem
}

/** A layer's path without what all cross-attention layers share. */
export function shortLayer(path: string): string {
  return path.replace(/\.transformer_blocks\.0\.attn2$/, '').replace(/[^\w.-]+/g, '-')
}

/**
 * Names without extension, in the order of the maps: `car`, `car.up_blocks.1.attentions.0`, `car.….head-3`; a second
 * occurrence of a word is `car-2`. Compared without case, as Windows and macOS do.
 */
export function mapNames(maps: readonly NamedMap[], reservedNames: readonly string[] = []): string[] {
  const stems = new Map<number, string>()
  const taken = new Set(reservedNames.map(name => name.toLowerCase()))
  for (const { word, label } of maps) {
    if (!stems.has(word)) stems.set(word, unique(safeStem(label), taken))
  }
  const used = new Set<string>()
  return maps.map(({ word, layer, head }) => {
    const layerPart = layer === undefined ? '' : `.${shortLayer(layer)}`
    const headPart = head === undefined ? '' : `.head-${head}`
    return unique(`${stems.get(word)}${layerPart}${headPart}`, used)
  })
}

function unique(name: string, taken: Set<string>): string {
  let candidate = name
  for (let number = 2; taken.has(candidate.toLowerCase()); number++) candidate = `${name}-${number}`
  taken.add(candidate.toLowerCase())
  return candidate
}
