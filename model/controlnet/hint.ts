/**
 * A picture as a net takes it: RGB from 0 to 1 at the size that is drawn. Resizing is Pillow's LANCZOS, as diffusers'
 * image processor; cropping and filling are those of A1111's extension (scripts/controlnet.py, `detectmap_proc`).
 */
import { AttuneError } from '../contract/errors.ts'
import type { GuideResize } from '../contract/guides.ts'
import { type Pixels, resizeLanczos } from '../image/resample.ts'

export interface HintOptions {
  readonly width: number
  readonly height: number
  readonly resize: GuideResize
  readonly channelOrder: 'rgb' | 'bgr'
}

/** How many times the drawing's area a picture may take before it is cropped. */
const mostGrowth = 64

/** [1, H, W, 3] */
export function hintOf(picture: Pixels, { width, height, resize, channelOrder }: HintOptions): Float32Array {
  const { data } = fit(toRgb(picture), width, height, resize)
  const hint = new Float32Array(data.length)
  const single = Math.fround
  for (let i = 0; i < data.length; i += 3) {
    for (let c = 0; c < 3; c++) {
      const from = channelOrder === 'rgb' ? c : 2 - c
      hint[i + c] = single((data[i + from] as number) / 255)
    }
  }
  return hint
}

/** Brings a picture to a size: see `guideResizes`. */
export function fit(picture: Pixels, width: number, height: number, resize: GuideResize): Pixels {
  if (resize === 'stretch') return resizeLanczos(picture, width, height)
  const [across, down] = [width / picture.width, height / picture.height]
  const scale = resize === 'crop' ? Math.max(across, down) : Math.min(across, down)
  if (scale > mostGrowth * Math.min(across, down)) {
    throw new AttuneError(
      'bad-argument',
      `A picture of ${picture.width}x${picture.height} is too narrow to be cropped to ${width}x${height}.`,
      'Cut it nearer to the aspect of the drawing, or stretch or fill it.',
    )
  }
  const scaled = resizeLanczos(
    picture,
    Math.max(1, Math.round(picture.width * scale)),
    Math.max(1, Math.round(picture.height * scale)),
  )
  return placed(scaled, width, height, resize === 'fill' ? borderColour(scaled) : undefined)
}

/** Centred on a canvas of that size; what lies outside is cut, what is missing has the colour. */
function placed(source: Pixels, width: number, height: number, colour: readonly number[] = []): Pixels {
  const { channels } = source
  const data = new Uint8Array(width * height * channels)
  const left = Math.trunc((source.width - width) / 2)
  const top = Math.trunc((source.height - height) / 2)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [fromX, fromY] = [x + left, y + top]
      const inside = fromX >= 0 && fromX < source.width && fromY >= 0 && fromY < source.height
      const from = (fromY * source.width + fromX) * channels
      for (let c = 0; c < channels; c++) {
        data[(y * width + x) * channels + c] = inside ? (source.data[from + c] as number) : (colour[c] ?? 0)
      }
    }
  }
  return { width, height, channels, data }
}

/** The median of each channel along the picture's border. */
function borderColour({ width, height, channels, data }: Pixels): number[] {
  const positions: number[] = []
  for (let x = 0; x < width; x++) positions.push(x, (height - 1) * width + x)
  for (let y = 0; y < height; y++) positions.push(y * width, y * width + width - 1)
  return Array.from({ length: channels }, (_, c) => {
    const values = positions.map(at => data[at * channels + c] as number).sort((a, b) => a - b)
    const middle = values.length / 2
    return Math.round(
      ((values[Math.floor(middle)] as number) + (values[Math.ceil(middle) - 1] as number)) / 2,
    )
  })
}

/** Pillow's `convert("RGB")`: grey is repeated, alpha is left out. */
function toRgb({ width, height, channels, data }: Pixels): Pixels {
  if (channels === 3) return { width, height, channels, data }
  const rgb = new Uint8Array(width * height * 3)
  for (let i = 0; i < width * height; i++) {
    for (let c = 0; c < 3; c++) rgb[i * 3 + c] = data[i * channels + (channels === 1 ? 0 : c)] as number
  }
  return { width, height, channels: 3, data: rgb }
}
