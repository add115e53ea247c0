/**
 * Draws every platform's icons from one SVG: PNGs for Linux, .ico for Windows, .icns for macOS. The two containers are
 * lists of PNGs with a header, written here, so that nothing has to be installed.
 *
 *     node --import tsx scripts/make-icons.ts
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import sharp from 'sharp'

const folder = fileURLToPath(new URL('../assets/icons', import.meta.url))

export const pngSizes = [16, 24, 32, 48, 64, 128, 256, 512, 1024] as const
export const icoSizes = [16, 24, 32, 48, 64, 128, 256] as const
/** macOS' names of sizes; `ic11` to `ic14` are for screens with two pixels a point. */
export const icnsTypes = [
  ['icp4', 16],
  ['icp5', 32],
  ['ic07', 128],
  ['ic08', 256],
  ['ic09', 512],
  ['ic10', 1024],
  ['ic11', 32],
  ['ic12', 64],
  ['ic13', 256],
  ['ic14', 512],
] as const

export interface IconImage {
  readonly size: number
  readonly png: Uint8Array
}

/** A Windows icon: a directory of PNGs, which Windows reads since Vista. */
export function makeIco(images: readonly IconImage[]): Uint8Array {
  const head = 6 + 16 * images.length
  const bytes = new Uint8Array(head + images.reduce((sum, { png }) => sum + png.length, 0))
  const view = new DataView(bytes.buffer)
  view.setUint16(2, 1, true)
  view.setUint16(4, images.length, true)
  let at = head
  for (const [index, { size, png }] of images.entries()) {
    const entry = 6 + 16 * index
    // 256 does not fit into the byte and is written as 0.
    view.setUint8(entry, size & 255)
    view.setUint8(entry + 1, size & 255)
    view.setUint16(entry + 4, 1, true)
    view.setUint16(entry + 6, 32, true)
    view.setUint32(entry + 8, png.length, true)
    view.setUint32(entry + 12, at, true)
    bytes.set(png, at)
    at += png.length
  }
  return bytes
}

/** A macOS icon: blocks of a four-letter type, a length that counts its own header, and a PNG. */
export function makeIcns(blocks: readonly { readonly type: string; readonly png: Uint8Array }[]): Uint8Array {
  const bytes = new Uint8Array(8 + blocks.reduce((sum, { png }) => sum + 8 + png.length, 0))
  const view = new DataView(bytes.buffer)
  const name = (at: number, text: string) => bytes.set(new TextEncoder().encode(text), at)
  name(0, 'icns')
  view.setUint32(4, bytes.length)
  let at = 8
  for (const { type, png } of blocks) {
    name(at, type)
    view.setUint32(at + 4, 8 + png.length)
    bytes.set(png, at + 8)
    at += 8 + png.length
  }
  return bytes
}

/** Draws the SVG at a size; drawn large and reduced, so that thin lines of small icons stay even. */
export async function drawIcon(svg: Uint8Array, size: number): Promise<Uint8Array> {
  const density = Math.max(72, (72 * Math.max(size, 256)) / 256)
  return new Uint8Array(
    await sharp(svg, { density })
      .resize(size, size, { kernel: 'lanczos3' })
      .png({ compressionLevel: 9, palette: false })
      .toBuffer(),
  )
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const svg = new Uint8Array(await readFile(join(folder, 'attune.svg')))
  const drawn = new Map<number, Uint8Array>()
  for (const size of pngSizes) drawn.set(size, await drawIcon(svg, size))
  const png = (size: number) => {
    const found = drawn.get(size)
    if (!found) throw new Error(`no icon of ${size} pixels`)
    return found
  }
  await mkdir(join(folder, 'png'), { recursive: true })
  for (const [size, bytes] of drawn) await writeFile(join(folder, 'png', `${size}x${size}.png`), bytes)
  await writeFile(join(folder, 'icon.ico'), makeIco(icoSizes.map(size => ({ size, png: png(size) }))))
  await writeFile(
    join(folder, 'icon.icns'),
    makeIcns(icnsTypes.map(([type, size]) => ({ type, png: png(size) }))),
  )
  console.log(`${drawn.size} PNGs, icon.ico and icon.icns in assets/icons`)
}
