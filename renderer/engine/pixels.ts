/** Pixels of the engine on canvases, and how visibly two pictures differ. */
import { resizeHeat } from '../../model/image/heat.ts'
import type { Pixels } from '../../model/image/resample.ts'

export type { Pixels } from '../../model/image/resample.ts'

export function imageDataOf({ width, height, channels, data }: Pixels): ImageData {
  const rgba = new Uint8ClampedArray(width * height * 4)
  const [green, blue] = channels === 1 ? [0, 0] : [1, 2]
  for (let at = 0; at < width * height; at++) {
    const from = at * channels
    rgba[at * 4] = data[from] as number
    rgba[at * 4 + 1] = data[from + green] as number
    rgba[at * 4 + 2] = data[from + blue] as number
    rgba[at * 4 + 3] = channels === 4 ? (data[from + 3] as number) : 255
  }
  return new ImageData(rgba, width, height)
}

/** A preview is one pixel for eight: grown by the soft cubic of maps, so that it looks like a picture that forms. */
export function smoothPreview(pixels: Pixels, times = 3): Pixels {
  const { width, height, channels, data } = pixels
  const [across, down] = [width * times, height * times]
  const grown = new Uint8Array(across * down * channels)
  const plane = new Float32Array(width * height)
  for (let part = 0; part < channels; part++) {
    for (let at = 0; at < plane.length; at++) plane[at] = data[at * channels + part] as number
    const { data: smooth } = resizeHeat({ width, height, data: plane }, across, down)
    for (let at = 0; at < smooth.length; at++) grown[at * channels + part] = smooth[at] as number
  }
  return { width: across, height: down, channels, data: grown }
}

/** Draws pixels at their own size. */
export function drawPixels(canvas: HTMLCanvasElement, pixels: Pixels): void {
  if (canvas.width !== pixels.width) canvas.width = pixels.width
  if (canvas.height !== pixels.height) canvas.height = pixels.height
  canvas.getContext('2d')?.putImageData(imageDataOf(pixels), 0, 0)
}

/** RGB of a picture file that is opaque, as the host keeps them. */
export async function pixelsOfBlob(blob: Blob): Promise<Pixels> {
  const bitmap = await createImageBitmap(blob)
  const { width, height } = bitmap
  const canvas = new OffscreenCanvas(width, height)
  const context = canvas.getContext('2d', { willReadFrequently: true })
  context?.drawImage(bitmap, 0, 0)
  bitmap.close()
  const rgba = context?.getImageData(0, 0, width, height).data ?? new Uint8ClampedArray(width * height * 4)
  const data = new Uint8Array(width * height * 3)
  for (let at = 0, from = 0; at < data.length; at += 3, from += 4) {
    data[at] = rgba[from] as number
    data[at + 1] = rgba[from + 1] as number
    data[at + 2] = rgba[from + 2] as number
  }
  return { width, height, channels: 3, data }
}

export function pngOf(pixels: Pixels): Promise<Blob> {
  const canvas = document.createElement('canvas')
  drawPixels(canvas, pixels)
  return new Promise((resolve, reject) => {
    canvas.toBlob(blob => (blob ? resolve(blob) : reject(new Error('no picture'))), 'image/png')
  })
}

/** A difference of one channel that a person may see, of 255. */
const visible = 8

/** The share of pixels that differ visibly, 0…1; undefined for pictures of two sizes. */
export function visibleChange(before: Pixels, after: Pixels): number | undefined {
  if (before.width !== after.width || before.height !== after.height) return undefined
  let changed = 0
  const count = before.width * before.height
  for (let at = 0; at < count; at++) {
    for (let part = 0; part < Math.min(before.channels, after.channels, 3); part++) {
      const difference =
        (before.data[at * before.channels + part] as number) -
        (after.data[at * after.channels + part] as number)
      if (Math.abs(difference) <= visible) continue
      changed++
      break
    }
  }
  return changed / count
}

/** Median of the pixels' colours at the border, for the light around the picture. */
export function cornerColour({ width, height, channels, data }: Pixels): string {
  const at = (x: number, y: number, part: number) =>
    data[(y * width + x) * channels + (channels === 1 ? 0 : part)] ?? 0
  const corners = [0, 1, 2].map(part =>
    Math.round(
      (at(0, 0, part) + at(width - 1, 0, part) + at(0, height - 1, part) + at(width - 1, height - 1, part)) /
        4,
    ),
  )
  return `rgb(${corners.join(' ')})`
}
