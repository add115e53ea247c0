/**
 * Pictures of a run at the size that is drawn: the source in the way it is to fit, the mask on the grid of the latents,
 * and, when the picture is there, what was not to change put back to the last pixel.
 *
 * The engine cuts a mask at one half and samples it at the latents' size, as diffusers does; a soft edge is made here,
 * behind the decoder, where A1111 makes it ("apply overlay", modules/processing.py).
 */
import { AttuneError } from '../contract/errors.ts'
import { type Pixels, resizeLanczos, toGrey } from '../image/resample.ts'
import { fitPicture, type Size } from '../image/preprocess/fit.ts'
import type { GenerateInputs } from '../pipeline/generate.ts'
import type { EngineInputs } from './messages.ts'

/** Noise that is given in place of what the seed draws. */
export function noiseOf({
  initialNoise,
  stepNoise,
  posteriorNoise,
}: EngineInputs): Pick<GenerateInputs, 'initialNoise' | 'stepNoise' | 'posteriorNoise'> {
  return {
    ...(initialNoise && { initialNoise }),
    ...(stepNoise && { stepNoise }),
    ...(posteriorNoise && { posteriorNoise }),
  }
}

export interface SizedPictures {
  /** RGB at the request's size. */
  readonly init?: Pixels
  /** One channel, white is drawn anew. */
  readonly mask?: Pixels
  /** Present where kept pixels are put back: 0 keeps, 255 takes what was drawn; [height, width]. */
  readonly alpha?: Uint8Array
}

/**
 * @param cell pixels of one cell of the latents
 * @throws AttuneError `bad-argument` for a picture with alpha, a mask without a picture, or one that covers nothing
 */
export function sizedPictures(
  { init, fit = 'stretch', mask, inpaint }: EngineInputs,
  size: Size,
  cell: number,
): SizedPictures {
  if (init && init.channels !== 3) {
    throw new AttuneError(
      'bad-argument',
      'The picture to begin from is not RGB.',
      'Flatten it onto white first.',
    )
  }
  const sized = init && (fit === 'stretch' ? stretched(init, size) : fitPicture(init, size, fit))
  const grey = mask && toGrey(stretched(mask, size))
  if (!grey || !inpaint || !sized) return { ...(sized && { init: sized }), ...(grey && { mask: grey }) }
  if (!grey.data.some(isInside)) {
    throw new AttuneError(
      'bad-argument',
      'Nothing of the picture is marked: there is nothing to draw anew.',
      'Paint over what is to change, or remove the mask.',
    )
  }
  const { width, height } = size
  const radius = Math.round(inpaint.feather * Math.min(width, height))
  return {
    init: inpaint.content === 'fill' ? fillInside(sized, grey.data) : sized,
    mask: { width, height, channels: 1, data: wholeCells(grey, cell) },
    alpha: soften(grey.data, size, radius),
  }
}

const isInside = (byte: number): boolean => byte >= 128

const stretched = (pixels: Pixels, { width, height }: Size): Pixels =>
  pixels.width === width && pixels.height === height ? pixels : resizeLanczos(pixels, width, height)

/** White in every cell of which the mask covers something: cells are drawn whole or not at all. */
export function wholeCells({ width, height, data }: Pixels, cell: number): Uint8Array {
  const result = new Uint8Array(width * height)
  for (let top = 0; top < height; top += cell) {
    for (let left = 0; left < width; left += cell) {
      const [bottom, right] = [Math.min(height, top + cell), Math.min(width, left + cell)]
      let covered = false
      for (let y = top; y < bottom && !covered; y++) {
        for (let x = left; x < right && !covered; x++) covered = isInside(data[y * width + x] as number)
      }
      if (!covered) continue
      for (let y = top; y < bottom; y++) result.fill(255, y * width + left, y * width + right)
    }
  }
  return result
}

/**
 * The mask with an edge that fades over about `radius` pixels (six at least), inwards: what was not painted stays untouched.
 * Three box blurs of the mask shrunk by the radius come near a Gaussian and reach exactly that far.
 */
export function soften(mask: Uint8Array, { width, height }: Size, radius: number): Uint8Array {
  const hard = mask.map(byte => (isInside(byte) ? 255 : 0))
  if (radius < 1) return hard
  // Three blurs of r reach 3r on both sides of the edge: shrunk by 3r, nothing spills over it.
  const each = Math.max(1, Math.round(radius / 6))
  let plane = Float32Array.from(shrunk(hard, width, height, 3 * each))
  for (let pass = 0; pass < 3; pass++)
    plane = boxBlur(boxBlur(plane, width, height, each, 1), height, width, each, width)
  // A part that is thinner than its edge would vanish: it keeps what it can.
  let peak = 0
  for (const value of plane) peak = Math.max(peak, value)
  if (peak < 1) return hard
  return Uint8Array.from(plane, value => Math.round(value))
}

/** Erosion by a square of `reach` pixels on each side; beyond the border the mask goes on. */
function shrunk(mask: Uint8Array, width: number, height: number, reach: number): Uint8Array {
  const rows = erodeAxis(mask, width, height, reach, 1, width)
  return erodeAxis(rows, height, width, reach, width, 1)
}

function erodeAxis(
  data: Uint8Array,
  length: number,
  lines: number,
  reach: number,
  step: number,
  line: number,
): Uint8Array {
  const result = new Uint8Array(data.length)
  for (let at = 0; at < lines; at++) {
    const start = at * line
    // Where the last outside pixel was, going forth, then back.
    let last = Number.NEGATIVE_INFINITY
    for (let index = 0; index < length; index++) {
      if (data[start + index * step] === 0) last = index
      result[start + index * step] = index - last > reach ? 255 : 0
    }
    last = Number.POSITIVE_INFINITY
    for (let index = length - 1; index >= 0; index--) {
      if (data[start + index * step] === 0) last = index
      if (last - index <= reach) result[start + index * step] = 0
    }
  }
  return result
}

/** Means over 2·reach + 1 along one axis; the border's value goes on beyond it. */
function boxBlur(
  data: Float32Array,
  length: number,
  lines: number,
  reach: number,
  step: number,
): Float32Array<ArrayBuffer> {
  const line = step === 1 ? length : 1
  const result = new Float32Array(data.length)
  const count = 2 * reach + 1
  for (let at = 0; at < lines; at++) {
    const start = at * line
    const value = (index: number): number =>
      data[start + Math.min(length - 1, Math.max(0, index)) * step] as number
    let sum = 0
    for (let index = -reach; index <= reach; index++) sum += value(index)
    for (let index = 0; index < length; index++) {
      result[start + index * step] = sum / count
      sum += value(index + reach + 1) - value(index - reach)
    }
  }
  return result
}

/**
 * Colours of the surroundings in the masked part, so that nothing of what stood there remains: means of what is known
 * on coarser and coarser grids, filled in from the finest that knows something (A1111's "fill" blurs likewise).
 */
export function fillInside(picture: Pixels, mask: Uint8Array): Pixels {
  const { width, height, channels, data } = picture
  const known = Uint8Array.from(mask, byte => (isInside(byte) ? 0 : 1))
  if (!known.includes(1)) return { ...picture, data: new Uint8Array(data.length).fill(127) }
  const filled = pull(Float32Array.from(data), Float32Array.from(known), width, height, channels)
  return {
    ...picture,
    data: data.map((byte, at) =>
      known[Math.floor(at / channels)] === 1 ? byte : Math.round(filled[at] as number),
    ),
  }
}

const inside = (value: number, most: number): number => Math.min(most - 1, Math.max(0, value))

/** Values everywhere: known cells as they are, others from the grid of half the size. */
function pull(
  values: Float32Array,
  weights: Float32Array,
  width: number,
  height: number,
  channels: number,
): Float32Array {
  if (!weights.includes(0) || (width === 1 && height === 1)) return values
  const [halfWidth, halfHeight] = [Math.ceil(width / 2), Math.ceil(height / 2)]
  const sums = new Float32Array(halfWidth * halfHeight * channels)
  const counts = new Float32Array(halfWidth * halfHeight)
  for (let at = 0; at < width * height; at++) {
    if (weights[at] === 0) continue
    const cell = Math.floor(Math.floor(at / width) / 2) * halfWidth + Math.floor((at % width) / 2)
    counts[cell] = (counts[cell] as number) + 1
    for (let part = 0; part < channels; part++)
      sums[cell * channels + part] =
        (sums[cell * channels + part] as number) + (values[at * channels + part] as number)
  }
  for (let cell = 0; cell < counts.length; cell++) {
    const count = counts[cell] as number
    if (count === 0) continue
    counts[cell] = 1
    for (let part = 0; part < channels; part++)
      sums[cell * channels + part] = (sums[cell * channels + part] as number) / count
  }
  const coarse = pull(sums, counts, halfWidth, halfHeight, channels)
  const result = values.slice()
  for (let at = 0; at < width * height; at++) {
    if (weights[at] !== 0) continue
    // Bilinear between the middles of the coarse cells, so that the fill is smooth.
    const [x, y] = [(at % width) / 2 - 0.25, Math.floor(at / width) / 2 - 0.25]
    const [left, top] = [Math.floor(x), Math.floor(y)]
    for (let part = 0; part < channels; part++) {
      const cell = (cx: number, cy: number): number =>
        coarse[(inside(cy, halfHeight) * halfWidth + inside(cx, halfWidth)) * channels + part] as number
      const upper = cell(left, top) + (x - left) * (cell(left + 1, top) - cell(left, top))
      const lower = cell(left, top + 1) + (x - left) * (cell(left + 1, top + 1) - cell(left, top + 1))
      result[at * channels + part] = upper + (y - top) * (lower - upper)
    }
  }
  return result
}

/**
 * What was drawn, laid over the picture it began from.
 * @param alpha see `SizedPictures`
 */
export function putBack(drawn: Pixels, kept: Pixels, alpha: Uint8Array): Pixels {
  const { channels } = drawn
  const data = drawn.data.map((byte, at) => {
    const share = alpha[Math.floor(at / channels)] as number
    if (share === 255) return byte
    const before = kept.data[at] as number
    return share === 0 ? before : Math.round(before + ((byte - before) * share) / 255)
  })
  return { ...drawn, data }
}
