/**
 * A heat map of a matrix as SVG: labelled rows, axis titles, colour bar. The figure of the papers (source tokens ×
 * target positions), and of any attention matrix [L, S]. Written by hand, without fonts of its own: `text: 'paths'`
 * draws every letter as squares of a small built-in font, for machines that have none.
 */
import { AttuneError } from '../contract/errors.ts'
import { type Colormap, colourOf } from './colormap.ts'
import { normalise, type HeatRange } from './heat.ts'
import { pixelText, pixelTextWidth } from './pixel-font.ts'

export interface MatrixFigure {
  readonly title: string
  /** Under the title, smaller: where the numbers come from. */
  readonly subtitle?: string
  readonly rowLabels: readonly string[]
  /** One per column; absent for positions, which are counted. */
  readonly columnLabels?: readonly string[]
  readonly rowTitle: string
  readonly columnTitle: string
  /** [rows, columns] */
  readonly data: Float32Array
  readonly columns: number
  /** A stronger tick every so many columns: the width of the grid whose rows they are. */
  readonly group?: number
  readonly range: HeatRange
  readonly barTitle: string
  readonly colormap: Colormap
}

export interface FigureOptions {
  readonly text?: 'fonts' | 'paths'
  /**
   * The cells as a picture (a data: address of [rows, columns] pixels). Asked for where there are too many cells for
   * a rectangle each; without it rectangles are drawn whatever their number.
   */
  readonly image?: string
}

/** More cells than this are better drawn as a picture: the SVG would have megabytes. */
export const figureCellLimit = 6_000

const ink = '#1a1a1a'
const faint = '#666666'

/** Sizes in CSS pixels. */
const sizes = { label: 13, title: 17, subtitle: 12, tick: 12, axis: 13 } as const

/**
 * @returns an SVG document with its size in pixels
 * @throws AttuneError `internal` when labels and data disagree
 */
export function drawMatrix(
  figure: MatrixFigure,
  options: FigureOptions = {},
): { svg: string; width: number; height: number } {
  const { rowLabels, columns, data, columnLabels } = figure
  const rows = rowLabels.length
  if (rows * columns !== data.length || (columnLabels && columnLabels.length !== columns) || rows < 1) {
    throw new AttuneError('internal', `A figure of ${rows}×${columns} cannot show ${data.length} numbers.`)
  }
  const pen = new Pen(options.text ?? 'fonts')
  const rowLabelsShown = rowLabels.map(clip)
  const columnLabelsShown = columnLabels?.map(clip)
  const cellWidth = columnLabels
    ? Math.max(26, Math.min(44, 700 / columns))
    : Math.max(760, Math.min(columns, 1536)) / columns
  const plotWidth = cellWidth * columns
  const cellHeight = Math.max(20, Math.min(34, 560 / rows))
  const plotHeight = cellHeight * rows
  const labelSpace = Math.max(...rowLabelsShown.map(label => pen.measure(label, sizes.label))) + 12
  const left = Math.ceil(20 + 22 + labelSpace)
  const slant = columnLabelsShown
    ? Math.max(...columnLabelsShown.map(label => pen.measure(label, sizes.label))) * 0.72 + 22
    : 26
  const titleHeight = figure.subtitle ? 64 : 46
  const barLeft = left + plotWidth + 28
  const barHeight = Math.max(plotHeight, 130)
  const ticks = niceTicks(figure.range)
  const tickSpace = Math.max(...ticks.map(tick => pen.measure(tick.text, sizes.tick)))
  const barTitleAt = barLeft + 16 + 10 + tickSpace + 18
  const width = Math.ceil(
    Math.max(
      barTitleAt + 16,
      left + pen.measure(figure.title, sizes.title, true) + 20,
      left + pen.measure(figure.subtitle ?? '', sizes.subtitle) + 20,
    ),
  )
  const bodyHeight = Math.max(plotHeight + slant + 28, barHeight + 20)
  const height = Math.ceil(titleHeight + bodyHeight + 14)
  const top = titleHeight

  const parts: string[] = [`<rect width="${width}" height="${height}" fill="#ffffff"/>`]
  parts.push(pen.text(figure.title, left, 30, { size: sizes.title, bold: true }))
  if (figure.subtitle) parts.push(pen.text(figure.subtitle, left, 50, { size: sizes.subtitle, fill: faint }))

  parts.push(
    options.image
      ? `<image x="${left}" y="${top}" width="${n(plotWidth)}" height="${n(plotHeight)}" preserveAspectRatio="none" ` +
          `image-rendering="optimizeSpeed" style="image-rendering:pixelated" href="${options.image}"/>`
      : cells(figure, left, top, cellWidth, cellHeight),
    `<rect x="${left}" y="${top}" width="${n(plotWidth)}" height="${n(plotHeight)}" fill="none" stroke="${ink}"/>`,
  )
  rowLabelsShown.forEach((label, row) => {
    const y = top + (row + 0.5) * cellHeight
    parts.push(pen.text(label, left - 8, y + sizes.label * 0.35, { size: sizes.label, anchor: 'end' }))
  })
  parts.push(
    pen.text(figure.rowTitle, 24, top + plotHeight / 2, {
      size: sizes.axis,
      anchor: 'middle',
      turn: -90,
      fill: faint,
    }),
  )

  const bottom = top + plotHeight
  if (columnLabelsShown) {
    columnLabelsShown.forEach((label, column) => {
      const x = left + (column + 0.5) * cellWidth
      parts.push(pen.text(label, x + 4, bottom + 16, { size: sizes.label, anchor: 'end', turn: -45 }))
    })
  } else parts.push(positionTicks(pen, figure, left, bottom, cellWidth))
  parts.push(
    pen.text(figure.columnTitle, left + plotWidth / 2, bottom + slant + 18, {
      size: sizes.axis,
      anchor: 'middle',
      fill: faint,
    }),
  )

  parts.push(colourBar(figure, barLeft, top, barHeight))
  for (const { at, text } of ticks) {
    const y = top + (1 - at) * barHeight
    parts.push(line(barLeft + 16, y, barLeft + 21, y, ink))
    parts.push(pen.text(text, barLeft + 25, y + sizes.tick * 0.35, { size: sizes.tick }))
  }
  parts.push(
    pen.text(figure.barTitle, barTitleAt, top + barHeight / 2, {
      size: sizes.axis,
      anchor: 'middle',
      turn: -90,
      fill: faint,
    }),
  )
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" ` +
    `font-family="Inter, 'DejaVu Sans', 'Segoe UI', Helvetica, Arial, sans-serif">\n` +
    `<title>${escapeXml(figure.title)}</title>\n${parts.filter(Boolean).join('\n')}\n</svg>\n`
  return { svg, width, height }
}

function cells(
  figure: MatrixFigure,
  left: number,
  top: number,
  cellWidth: number,
  cellHeight: number,
): string {
  const { columns, data, range, colormap } = figure
  const rects: string[] = []
  data.forEach((value, at) => {
    const x = left + (at % columns) * cellWidth
    const y = top + Math.floor(at / columns) * cellHeight
    // A hair wider than the cell: otherwise the white behind shines through between neighbours.
    rects.push(
      `<rect x="${n(x)}" y="${n(y)}" width="${n(cellWidth + 0.35)}" height="${n(cellHeight + 0.35)}" fill="${hex(colourOf(colormap, normalise(value, range)))}"/>`,
    )
  })
  return `<g shape-rendering="crispEdges">${rects.join('')}</g>`
}

/** Ticks of counted columns: at most eight with numbers, on borders of rows of the grid where there is one. */
function positionTicks(
  pen: Pen,
  figure: MatrixFigure,
  left: number,
  bottom: number,
  cellWidth: number,
): string {
  const { columns, group } = figure
  const unit = group && group > 1 && columns / group >= 2 ? group : 1
  const count = Math.ceil(columns / unit)
  const stride = unit * niceStride(count, 8)
  const parts: string[] = []
  if (unit > 1 && count <= 128) {
    for (let at = 0; at <= columns; at += unit)
      parts.push(line(left + at * cellWidth, bottom, left + at * cellWidth, bottom + 3, '#999999'))
  }
  for (let at = 0; at <= columns; at += stride) {
    const x = left + at * cellWidth
    parts.push(
      line(x, bottom, x, bottom + 6, ink),
      pen.text(String(at), x, bottom + 20, { size: sizes.tick, anchor: 'middle' }),
    )
  }
  return parts.join('')
}

/** The smallest of 1, 2, 4, 5, 8, 10, 16, 20 … that leaves at most `limit` parts. */
function niceStride(count: number, limit: number): number {
  for (let scale = 1; ; scale *= 10) {
    for (const step of [1, 2, 4, 5, 8]) if (count / (step * scale) <= limit) return step * scale
  }
}

function colourBar({ colormap }: MatrixFigure, x: number, top: number, height: number): string {
  const stops = Array.from(
    { length: 33 },
    (_, at) => `<stop offset="${n(at / 32)}" stop-color="${hex(colourOf(colormap, 1 - at / 32))}"/>`,
  )
  return (
    `<defs><linearGradient id="bar" x1="0" y1="0" x2="0" y2="1">${stops.join('')}</linearGradient></defs>` +
    `<rect x="${n(x)}" y="${top}" width="16" height="${n(height)}" fill="url(#bar)" stroke="${ink}"/>`
  )
}

/** Round numbers within a range, with where they lie in it (0…1). */
export function niceTicks({ low, high }: HeatRange): { at: number; text: string }[] {
  if (!(high > low)) return [{ at: 0, text: low.toPrecision(2) }]
  const rough = (high - low) / 4
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = power * ([1, 2, 2.5, 5, 10].find(factor => factor * power >= rough * 0.999) ?? 10)
  const digits = Math.max(0, -Math.floor(Math.log10(step)) + (Math.abs(step / power - 2.5) < 1e-9 ? 1 : 0))
  const ticks: { at: number; text: string }[] = []
  for (let index = Math.ceil(low / step - 1e-9); index * step <= high + step * 1e-9; index++) {
    const value = index * step
    ticks.push({
      at: (value - low) / (high - low),
      text: digits > 6 ? value.toExponential(1) : value.toFixed(digits),
    })
  }
  return ticks
}

interface TextStyle {
  readonly size: number
  readonly anchor?: 'start' | 'middle' | 'end'
  readonly bold?: boolean
  readonly fill?: string
  /** Degrees, clockwise, around the given point. */
  readonly turn?: number
}

/** Writes text either way. */
class Pen {
  readonly #paths: boolean
  constructor(text: 'fonts' | 'paths') {
    this.#paths = text === 'paths'
  }

  /** Pixels; for fonts a generous guess, since no font is measured here. */
  measure(text: string, size: number, bold = false): number {
    if (this.#paths) return pixelTextWidth(text) * dotOf(size)
    let ems = 0
    // Ideographs and the like are as wide as they are high.
    for (const character of text)
      ems += (character.codePointAt(0) as number) >= 0x1100 ? 1 : bold ? 0.68 : 0.62
    return ems * size
  }

  text(text: string, x: number, y: number, style: TextStyle): string {
    const { size, anchor = 'start', bold = false, fill = ink, turn } = style
    const rotate = turn ? ` rotate(${turn})` : ''
    if (this.#paths) {
      const dot = dotOf(size)
      const shift = anchor === 'start' ? 0 : -pixelTextWidth(text) * dot * (anchor === 'middle' ? 0.5 : 1)
      return `<path transform="translate(${n(x)} ${n(y)})${rotate} translate(${n(shift)} ${n(-7 * dot)}) scale(${dot})" fill="${fill}" d="${pixelText(text)}"/>`
    }
    const weight = bold ? ' font-weight="600"' : ''
    return `<text transform="translate(${n(x)} ${n(y)})${rotate}" font-size="${size}" text-anchor="${anchor}"${weight} fill="${fill}">${escapeXml(text)}</text>`
  }
}

/** One dot of the built-in font: its capitals are 7 dots high. */
function dotOf(size: number): number {
  return size >= 16 ? 2 : 1.5
}

function line(x1: number, y1: number, x2: number, y2: number, stroke: string): string {
  return `<line x1="${n(x1)}" y1="${n(y1)}" x2="${n(x2)}" y2="${n(y2)}" stroke="${stroke}"/>`
}

/** Labels come from prompts: long ones are cut, spaces made visible where they are all there is. */
function clip(label: string): string {
  const characters = [...label]
  const shown = characters.length > 24 ? `${characters.slice(0, 23).join('')}…` : label
  return shown.trim() === '' ? '␣' : shown
}

function escapeXml(text: string): string {
  return (
    text
      // XML 1.0 has no way to write these at all.
      // oxlint-disable-next-line no-control-regex
      .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '\ufffd')
      .replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, '\ufffd')
      .replaceAll('&', '&amp;')
      .replaceAll('<', '&lt;')
      .replaceAll('>', '&gt;')
      .replaceAll('"', '&quot;')
  )
}

function hex(colour: readonly number[]): string {
  return `#${colour.map(part => part.toString(16).padStart(2, '0')).join('')}`
}

/** Two decimals at most: more are only bytes. */
function n(value: number): string {
  return String(Math.round(value * 100) / 100)
}
