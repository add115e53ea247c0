/**
 * Pillow's LANCZOS and BICUBIC resize for 8-bit pictures, bit for bit. diffusers resizes init images and masks with the
 * one (VaeImageProcessor), transformers what CLIP sees with the other, so a picture drawn from the same photo is the same
 * only with the same rounding: two passes, 22-bit fixed-point weights, 8 bits in between.
 *
 * Reference: python-pillow/Pillow, src/libImaging/Resample.c.
 */

/** Interleaved 8-bit pixels, row by row from the top. */
export interface Pixels {
  readonly width: number
  readonly height: number
  /** 1 grey, 3 RGB, 4 RGBA. */
  readonly channels: 1 | 3 | 4
  /** [height, width, channels] */
  readonly data: Uint8Array
}

const precisionBits = 22
/** Lanczos window: three lobes on each side. */
const lobes = 3

/** How far it reaches on each side, and its weight at a distance, both in pixels of the result. */
interface Filter {
  readonly support: number
  readonly weight: (x: number) => number
}

const lanczosFilter: Filter = { support: lobes, weight: lanczos }
const bicubicFilter: Filter = { support: 2, weight: bicubic }

/** The inputs that make one output: from `first[i]` on, `counts[i]` of them, weights at `i * stride`. */
interface Taps {
  readonly first: Int32Array
  readonly counts: Int32Array
  readonly weights: Int32Array
  readonly stride: number
}

/** Resizes without keeping the aspect, as diffusers does. */
export function resizeLanczos(source: Pixels, width: number, height: number): Pixels {
  return resize(source, width, height, lanczosFilter)
}

/** As `resizeLanczos`, with Pillow's cubic (a = −0.5). */
export function resizeBicubic(source: Pixels, width: number, height: number): Pixels {
  return resize(source, width, height, bicubicFilter)
}

function resize(source: Pixels, width: number, height: number, filter: Filter): Pixels {
  // Rows first, unless the height shrinks much more than the width: so since Pillow 13. Bytes between the passes are
  // rounded and cut off, so the order shows.
  if (source.height > height && source.height - height > 2 * (source.width - width)) {
    const short = resizeColumns(source, height, filter)
    return width === source.width ? short : resizeRows(short, width, filter)
  }
  const wide = width === source.width ? source : resizeRows(source, width, filter)
  return height === source.height ? wide : resizeColumns(wide, height, filter)
}

function resizeRows(source: Pixels, width: number, filter: Filter): Pixels {
  const { channels, height } = source
  const taps = makeTaps(source.width, width, filter)
  const data = new Uint8Array(width * height * channels)
  for (let y = 0; y < height; y++) {
    const row = y * source.width * channels
    for (let x = 0; x < width; x++) {
      weigh(source.data, row, channels, taps, x, data, (y * width + x) * channels, channels)
    }
  }
  return { width, height, channels, data }
}

function resizeColumns(source: Pixels, height: number, filter: Filter): Pixels {
  const { channels, width } = source
  const taps = makeTaps(source.height, height, filter)
  const rowLength = width * channels
  const data = new Uint8Array(rowLength * height)
  for (let y = 0; y < height; y++) {
    weigh(source.data, 0, rowLength, taps, y, data, y * rowLength, rowLength)
  }
  return { width, height, channels, data }
}

/** Sums `count` neighbouring values over the taps of output `index`; taps lie `pitch` values apart from `start`. */
function weigh(
  source: Uint8Array,
  start: number,
  pitch: number,
  taps: Taps,
  index: number,
  target: Uint8Array,
  to: number,
  count: number,
): void {
  const first = start + (taps.first[index] as number) * pitch
  const length = taps.counts[index] as number
  const weights = index * taps.stride
  for (let i = 0; i < count; i++) {
    let sum = 1 << (precisionBits - 1)
    for (let tap = 0; tap < length; tap++) {
      sum += (source[first + tap * pitch + i] as number) * (taps.weights[weights + tap] as number)
    }
    const value = sum >> precisionBits
    target[to + i] = value < 0 ? 0 : value > 255 ? 255 : value
  }
}

function makeTaps(inSize: number, outSize: number, filter: Filter): Taps {
  const scale = inSize / outSize
  const filterScale = Math.max(scale, 1)
  const support = filter.support * filterScale
  const stride = Math.ceil(support) * 2 + 1
  const first = new Int32Array(outSize)
  const counts = new Int32Array(outSize)
  const weights = new Int32Array(outSize * stride)
  const exact = new Float64Array(stride)
  for (let i = 0; i < outSize; i++) {
    const center = (i + 0.5) * scale
    const from = Math.max(0, Math.trunc(center - support + 0.5))
    const count = Math.min(inSize, Math.trunc(center + support + 0.5)) - from
    let sum = 0
    for (let tap = 0; tap < count; tap++) {
      const weight = filter.weight((tap + from - center + 0.5) * (1 / filterScale))
      exact[tap] = weight
      sum += weight
    }
    for (let tap = 0; tap < count; tap++) {
      const scaled = ((exact[tap] as number) / sum) * (1 << precisionBits)
      weights[i * stride + tap] = Math.trunc(scaled + (scaled < 0 ? -0.5 : 0.5))
    }
    first[i] = from
    counts[i] = count
  }
  return { first, counts, weights, stride }
}

function lanczos(x: number): number {
  return x >= -lobes && x < lobes ? sinc(x) * sinc(x / lobes) : 0
}

function bicubic(x: number): number {
  const a = -0.5
  const distance = Math.abs(x)
  if (distance < 1) return ((a + 2) * distance - (a + 3)) * distance * distance + 1
  if (distance < 2) return (((distance - 5) * distance + 8) * distance - 4) * a
  return 0
}

function sinc(x: number): number {
  if (x === 0) return 1
  const angle = x * Math.PI
  return Math.sin(angle) / angle
}

/** Pillow's `convert("L")`: ITU-R 601 luma in 16-bit fixed point. */
export function toGrey(source: Pixels): Pixels {
  if (source.channels === 1) return source
  const { width, height, channels, data } = source
  const grey = new Uint8Array(width * height)
  for (let i = 0, from = 0; i < grey.length; i++, from += channels) {
    const red = data[from] as number
    const green = data[from + 1] as number
    const blue = data[from + 2] as number
    grey[i] = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
  }
  return { width, height, channels: 1, data: grey }
}
