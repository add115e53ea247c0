/** Maps as picture files, through sharp: 8-bit colour, 16-bit grey, animated WebP, and SVG figures as PNG. */
import sharp from 'sharp'
import { AttuneError } from '../../model/contract/errors.ts'
import { drawMatrix, figureCellLimit, type MatrixFigure } from '../../model/image/figure.ts'
import { greyHeat, type HeatMap, type HeatRange, paintHeat } from '../../model/image/heat.ts'
import type { Pixels } from '../../model/image/resample.ts'

/** 16-bit grey PNG: 0 is `range.low`, 65535 is `range.high`, linear, without gamma. */
export async function encodePng16(map: HeatMap, range: HeatRange): Promise<Uint8Array> {
  const { width, height } = map
  return sharp(greyHeat(map, range), { raw: { width, height, channels: 1 } })
    .toColourspace('grey16')
    .png({ compressionLevel: 6, adaptiveFiltering: true })
    .toBuffer()
}

/** WebP's own limit of a side, and of what one animation may have in all: sharp stacks the frames. */
const webpSide = 16_383

/**
 * An animated WebP of frames of one size, lossless, endless.
 * @param delay milliseconds a frame; the last stays four times as long
 * @throws AttuneError `unsupported` for frames that WebP cannot hold
 */
export async function encodeAnimation(frames: readonly Pixels[], delay = 160): Promise<Uint8Array> {
  const [first] = frames
  if (!first) throw new AttuneError('internal', 'An animation has no frames.')
  const { width, height } = first
  if (width > webpSide || height > webpSide) {
    throw new AttuneError(
      'unsupported',
      `WebP holds at most ${webpSide} pixels a side, and the picture is ${width}x${height}.`,
      'Leave the format webp out.',
    )
  }
  const stacked = new Uint8Array(frames.length * width * height * 3)
  frames.forEach((frame, at) => stacked.set(frame.data, at * width * height * 3))
  const raw = { width, height: height * frames.length, channels: 3, pageHeight: height } as const
  return sharp(stacked, { raw, limitInputPixels: false })
    .webp({
      lossless: true,
      effort: 3,
      loop: 0,
      delay: frames.map((_, at) => (at === frames.length - 1 ? delay * 4 : delay)),
    })
    .toBuffer()
}

let fontsFound: Promise<boolean> | undefined

/**
 * Whether sharp finds fonts here. Without any, letters are left out or all look alike: so two that differ are drawn
 * and compared.
 */
export function canDrawText(): Promise<boolean> {
  fontsFound ??= Promise.all([drawLetter('A'), drawLetter('g')]).then(
    ([a, b]) => a.some(byte => byte !== 0) && !a.equals(b),
  )
  return fontsFound
}

function drawLetter(letter: string): Promise<Buffer> {
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="24" height="24"><text x="4" y="19" font-size="18" font-family="sans-serif">${letter}</text></svg>`
  return sharp(Buffer.from(svg)).ensureAlpha().raw().toBuffer()
}

/**
 * A figure as SVG and as PNG of twice its size. The SVG names fonts; the PNG uses them where there are some, and
 * else letters of its own.
 * @param text for tests: which letters the PNG has
 */
export async function encodeFigure(
  figure: MatrixFigure,
  text?: 'fonts' | 'paths',
): Promise<{ svg: Uint8Array; png: Uint8Array; letters: 'fonts' | 'paths' }> {
  const letters = text ?? ((await canDrawText()) ? 'fonts' : 'paths')
  const rows = figure.rowLabels.length
  let image: string | undefined
  if (figure.data.length > figureCellLimit) {
    // Cells grow to whole pixels, because not every viewer honours "pixelated".
    const across = Math.max(1, Math.ceil(1536 / figure.columns))
    const cells = paintHeat(
      { width: figure.columns, height: rows, data: figure.data },
      figure.range,
      figure.colormap,
    )
    const grown = await sharp(cells.data, { raw: { width: cells.width, height: cells.height, channels: 3 } })
      .resize(cells.width * across, cells.height * 16, { kernel: 'nearest', fit: 'fill' })
      .png()
      .toBuffer()
    image = `data:image/png;base64,${grown.toString('base64')}`
  }
  const options = image ? { image } : {}
  const { svg } = drawMatrix(figure, options)
  const forPng = letters === 'fonts' ? svg : drawMatrix(figure, { ...options, text: 'paths' }).svg
  const png = await sharp(Buffer.from(forPng), { density: 144, limitInputPixels: 100_000_000 })
    .removeAlpha()
    .png()
    .toBuffer()
  return { svg: new TextEncoder().encode(svg), png, letters }
}
