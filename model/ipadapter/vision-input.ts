/**
 * A picture as CLIP's vision encoder sees it: a square, normalised, cut into patches. As transformers'
 * `CLIPImageProcessor` (Pillow backend) with another way for pictures that are not square: see `ImageFit`.
 */
import type { ImageFit } from '../contract/image-prompts.ts'
import { type Pixels, resizeBicubic } from '../image/resample.ts'
import type { ClipVisionConfig } from './vision-config.ts'

/** CLIP's mean and deviation of red, green and blue in 0 … 1. */
export const clipMean = [0.48145466, 0.4578275, 0.40821073] as const
export const clipDeviation = [0.26862954, 0.26130258, 0.27577711] as const

/** True where the way in which a picture becomes a square makes a difference. */
export function isFitted({ width, height }: Pick<Pixels, 'width' | 'height'>): boolean {
  return width !== height
}

/**
 * The square that the encoder looks at.
 * @param picture RGB of any size
 * @param size of the square's side
 * @returns normalised, [3, size, size]
 */
export function clipPixels(picture: Pixels, size: number, fit: ImageFit): Float32Array {
  const { width, height } = picture
  const side = fit === 'pad' ? Math.max(width, height) : Math.min(width, height)
  // As transformers rounds: the side that is named is exact, the other one cut off.
  const scaled = (of: number): number => (of === side ? size : Math.max(1, Math.trunc((size * of) / side)))
  const [w, h] = fit === 'resize' ? [size, size] : [scaled(width), scaled(height)]
  const resized = resizeBicubic(picture, w, h)
  // Negative where the picture is smaller than the square.
  const [left, top] = [Math.floor((w - size) / 2), Math.floor((h - size) / 2)]
  const pixels = new Float32Array(3 * size * size)
  for (let y = 0; y < size; y++) {
    const from = y + top
    if (from < 0 || from >= h) continue
    for (let x = 0; x < size; x++) {
      const column = x + left
      if (column < 0 || column >= w) continue
      for (let c = 0; c < 3; c++) {
        const value = resized.data[
          (from * w + column) * resized.channels + (resized.channels === 1 ? 0 : c)
        ] as number
        // What is beside the picture stays 0: CLIP's mean colour.
        pixels[(c * size + y) * size + x] =
          (value / 255 - (clipMean[c] as number)) / (clipDeviation[c] as number)
      }
    }
  }
  return pixels
}

/** Pixels [3, H, W] as patches, row by row, behind an empty one for the class token: [1, T, 3·p·p]. */
export function patchesOf(
  pixels: Float32Array,
  { imageSize, patchSize }: Pick<ClipVisionConfig, 'imageSize' | 'patchSize'>,
): Float32Array {
  const side = Math.floor(imageSize / patchSize)
  const columns = 3 * patchSize * patchSize
  const patches = new Float32Array((side * side + 1) * columns)
  let at = columns
  for (let row = 0; row < side; row++) {
    for (let column = 0; column < side; column++) {
      for (let c = 0; c < 3; c++) {
        for (let y = 0; y < patchSize; y++) {
          const start = (c * imageSize + row * patchSize + y) * imageSize + column * patchSize
          patches.set(pixels.subarray(start, start + patchSize), at)
          at += patchSize
        }
      }
    }
  }
  return patches
}
