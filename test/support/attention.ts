/**
 * A capture as a run would bring it, drawn from Gaussian blobs: each word has its place in the picture, early heads
 * are vague and late ones sharp, the marker takes what is left, so that every row of probabilities sums to one.
 */
import type { CapturedAttention, CapturedLayer, CapturedToken } from '../../model/attention/captured.ts'
import type { StepMaps } from '../../model/attention/recording.ts'

/** Where a word lies: centre and radius as shares of the picture. A radius of 0 is a word that lies nowhere. */
interface Blob {
  readonly tokens: readonly string[]
  readonly x: number
  readonly y: number
  readonly radius: number
}

const blobs: readonly Blob[] = [
  { tokens: ['a'], x: 0.5, y: 0.5, radius: 0 },
  { tokens: ['red'], x: 0.28, y: 0.66, radius: 0.17 },
  { tokens: ['car'], x: 0.3, y: 0.7, radius: 0.13 },
  { tokens: ['and'], x: 0.5, y: 0.5, radius: 0 },
  { tokens: ['a'], x: 0.5, y: 0.5, radius: 0 },
  { tokens: ['blue'], x: 0.72, y: 0.42, radius: 0.2 },
  { tokens: ['light', 'house'], x: 0.74, y: 0.38, radius: 0.15 },
  { tokens: ['on'], x: 0.5, y: 0.5, radius: 0 },
  { tokens: ['the'], x: 0.5, y: 0.5, radius: 0 },
  { tokens: ['grass'], x: 0.5, y: 0.95, radius: 0.3 },
]

export interface SyntheticGrid {
  readonly path: string
  readonly height: number
  readonly width: number
  readonly numHeads: number
}

/** storybook's layers for a picture of 128×128: latents of 16×16. */
export const storybookGrids: readonly SyntheticGrid[] = [
  { path: 'down_blocks.0.attentions.0.transformer_blocks.0.attn2', height: 16, width: 16, numHeads: 4 },
  { path: 'down_blocks.1.attentions.0.transformer_blocks.0.attn2', height: 8, width: 8, numHeads: 4 },
  { path: 'mid_block.attentions.0.transformer_blocks.0.attn2', height: 4, width: 4, numHeads: 4 },
  { path: 'up_blocks.1.attentions.0.transformer_blocks.0.attn2', height: 8, width: 8, numHeads: 4 },
  { path: 'up_blocks.2.attentions.0.transformer_blocks.0.attn2', height: 16, width: 16, numHeads: 4 },
]

/** Some of SD 1.5's layers for a picture of 768×512: 64×96, 32×48, 16×24, 8×12. */
export const wideGrids: readonly SyntheticGrid[] = [
  { path: 'down_blocks.0.attentions.0.transformer_blocks.0.attn2', height: 64, width: 96, numHeads: 2 },
  { path: 'down_blocks.1.attentions.0.transformer_blocks.0.attn2', height: 32, width: 48, numHeads: 2 },
  { path: 'mid_block.attentions.0.transformer_blocks.0.attn2', height: 8, width: 12, numHeads: 2 },
  { path: 'up_blocks.1.attentions.2.transformer_blocks.0.attn2', height: 16, width: 24, numHeads: 2 },
]

/** @param size of the picture, in pixels */
export function syntheticCapture(
  grids: readonly SyntheticGrid[] = storybookGrids,
  size = { width: 128, height: 128 },
  steps = 4,
): CapturedAttention {
  const prompt = blobs.map(blob => blob.tokens.join('')).join(' ')
  const tokens: CapturedToken[] = [{ index: 0, chunk: 0, position: 0, id: 1000, text: '<|startoftext|>' }]
  const words: CapturedAttention['words'][number][] = []
  let cursor = 0
  blobs.forEach((blob, word) => {
    const start = cursor
    const columns: number[] = []
    for (const text of blob.tokens) {
      const index = tokens.length
      columns.push(index)
      tokens.push({
        index,
        chunk: 0,
        position: index,
        id: 10 + index,
        text,
        span: [cursor, cursor + text.length],
        word,
      })
      cursor += text.length
    }
    words.push({ text: blob.tokens.join(''), span: [start, cursor], columns })
    cursor++
  })
  const layers = grids.map((grid): CapturedLayer => {
    const sums = new Float32Array(grid.numHeads * grid.height * grid.width * tokens.length)
    for (let head = 0; head < grid.numHeads; head++) {
      for (let at = 0; at < grid.height * grid.width; at++) {
        const x = ((at % grid.width) + 0.5) / grid.width
        const y = (Math.floor(at / grid.width) + 0.5) / grid.height
        const row = (head * grid.height * grid.width + at) * tokens.length
        let given = 0
        tokens.forEach((token, column) => {
          if (token.word === undefined) return
          // A little unevenness that looks like noise and is the same every time.
          const wave = Math.sin(at * 12.9898 + column * 78.233 + head * 37.7) * 43_758.5453
          const grain = 0.85 + 0.15 * (wave - Math.floor(wave))
          const share = shareOf(blobs[token.word] as Blob, x, y, 1 + head * 0.25) * grain
          sums[row + column] = share * steps
          given += share
        })
        sums[row] = (1 - given) * steps
      }
    }
    return { ...grid, sums }
  })
  return { prompt, ...size, steps, half: 'cond', tokens, words, layers }
}

/** Maps of every step that sharpen as the picture forms. */
export function syntheticSteps(captured: CapturedAttention, width: number, height: number): StepMaps {
  const { steps, words } = captured
  const data = new Float32Array(steps * words.length * width * height)
  let to = 0
  for (let step = 0; step < steps; step++) {
    for (const blob of blobs) {
      for (let at = 0; at < width * height; at++) {
        const x = ((at % width) + 0.5) / width
        const y = (Math.floor(at / width) + 0.5) / height
        data[to++] = shareOf(blob, x, y, 2.5 - (1.5 * step) / Math.max(1, steps - 1))
      }
    }
  }
  return {
    width,
    height,
    steps: Array.from({ length: steps }, (_, step) => step),
    words: words.map((_, word) => word),
    data,
  }
}

function shareOf({ x, y, radius }: Blob, atX: number, atY: number, blur: number): number {
  if (radius === 0) return 0.006
  const distance = ((atX - x) ** 2 + (atY - y) ** 2) / (2 * (radius * blur) ** 2)
  return 0.004 + (0.22 / blur) * Math.exp(-distance)
}
