/** A plot as one picture with its labels, to be kept or sent. Each table of Z stands below the one before. */
import { AttuneError } from '../../../model/contract/errors.ts'
import { pictureUrl } from '../../host/client.ts'
import { strings } from '../../strings/index.ts'
import type { AxisName, Plot } from './plot-state.ts'

/** Pixels: what canvases of every browser take. */
const largestSide = 16_000
const gap = 8
const head = 40

/** @param label gives the text of a value of an axis */
export async function drawSheet(
  plot: Plot,
  pictures: Readonly<Record<string, number>>,
  label: (name: AxisName) => (at: number) => string,
): Promise<Blob> {
  const { x, y, z } = plot.axes
  const [columns, rows, tables] = [x, y, z].map(({ labels }) => Math.max(1, labels.length)) as [
    number,
    number,
    number,
  ]
  const loaded = await Promise.all(
    plot.cells.map(async cell => {
      const id = pictures[cell.job]
      const bitmap = id === undefined ? undefined : await bitmapOf(pictureUrl(id))
      return { cell, bitmap }
    }),
  )
  const first = loaded.find(({ bitmap }) => bitmap)?.bitmap
  if (!first) throw new AttuneError('internal', strings().plot.sheetFailed)
  const side = y.labels.length > 0 ? 160 : gap
  const top = x.labels.length > 0 ? head : gap
  const title = z.labels.length > 0 ? head : 0
  // Large plots are made smaller as a whole rather than cut.
  const scale = Math.min(
    1,
    (largestSide - side) / (columns * (first.width + gap)),
    largestSide / (tables * (title + top + rows * (first.height + gap))),
  )
  const [width, height] = [Math.floor(first.width * scale), Math.floor(first.height * scale)]
  const tableHeight = title + top + rows * (height + gap)
  const canvas = new OffscreenCanvas(side + columns * (width + gap), tables * tableHeight + gap)
  const context = canvas.getContext('2d')
  if (!context) throw new AttuneError('internal', strings().plot.sheetFailed)
  context.fillStyle = '#ffffff'
  context.fillRect(0, 0, canvas.width, canvas.height)
  context.fillStyle = '#1b1c1f'
  context.textBaseline = 'middle'
  const write = (text: string, left: number, middle: number, room: number, align: CanvasTextAlign) => {
    context.font = '500 15px system-ui, sans-serif'
    context.textAlign = align
    context.fillText(text, left, middle, room)
  }
  for (let table = 0; table < tables; table++) {
    const begin = table * tableHeight
    if (title > 0) write(label('z')(table), canvas.width / 2, begin + title / 2, canvas.width, 'center')
    for (let at = 0; at < x.labels.length; at++) {
      write(label('x')(at), side + at * (width + gap) + width / 2, begin + title + top / 2, width, 'center')
    }
    for (let at = 0; at < y.labels.length; at++) {
      write(
        label('y')(at),
        side - 12,
        begin + title + top + at * (height + gap) + height / 2,
        side - 24,
        'right',
      )
    }
  }
  context.imageSmoothingQuality = 'high'
  for (const { cell, bitmap } of loaded) {
    if (!bitmap) continue
    const left = side + cell.x * (width + gap)
    const above = cell.z * tableHeight + title + top + cell.y * (height + gap)
    context.drawImage(bitmap, left, above, width, height)
    bitmap.close()
  }
  return canvas.convertToBlob({ type: 'image/png' })
}

async function bitmapOf(url: string): Promise<ImageBitmap | undefined> {
  try {
    const answer = await fetch(url)
    return answer.ok ? await createImageBitmap(await answer.blob()) : undefined
  } catch {
    // A picture that has gone leaves its place empty.
    return undefined
  }
}
