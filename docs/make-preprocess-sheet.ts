/**
 * Draws docs/preprocess.png, what each preprocessor makes of one drawing:
 *
 *   npx tsx docs/make-preprocess-sheet.ts [out.png]
 *
 * The drawing is ours, made here; the learned ones are not shown, because their networks are not ours to bring.
 */
import { fileURLToPath } from 'node:url'
import sharp, { type OverlayOptions } from 'sharp'
import { encodePng } from '../host/images.ts'
import { type HintRequest, preprocess, preprocessors } from '../model/image/preprocess/catalogue.ts'
import type { Pixels } from '../model/image/resample.ts'

const [width, height] = [448, 336]
const columns = 4
const cell = { width: 224, height: 168 }
const caption = 24
const gap = 4

/** A lighthouse, a boat and the sea: curves, straight lines, textures, soft shades. */
const drawing = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">
  <defs>
    <linearGradient id="sky" x2="0" y2="1"><stop stop-color="#5b8fd6"/><stop offset="1" stop-color="#f6d9b0"/></linearGradient>
    <linearGradient id="sea" x2="0" y2="1"><stop stop-color="#3f7f9c"/><stop offset="1" stop-color="#123a5c"/></linearGradient>
    <radialGradient id="sun"><stop stop-color="#fff6d0"/><stop offset="0.6" stop-color="#ffd978"/><stop offset="1" stop-color="#ffd978" stop-opacity="0"/></radialGradient>
  </defs>
  <rect width="448" height="336" fill="url(#sky)"/>
  <circle cx="120" cy="110" r="52" fill="url(#sun)"/>
  <g fill="#ffffff" opacity="0.85"><ellipse cx="250" cy="58" rx="46" ry="13"/><ellipse cx="282" cy="50" rx="30" ry="15"/><ellipse cx="60" cy="40" rx="38" ry="10"/></g>
  <rect y="190" width="448" height="146" fill="url(#sea)"/>
  ${Array.from({ length: 9 }, (_, i) => `<path d="M${((i * 53) % 70) - 40} ${206 + i * 14} q20 -7 40 0 t40 0 t40 0 t40 0 t40 0 t40 0 t40 0 t40 0 t40 0 t40 0 t40 0 t40 0" fill="none" stroke="#cfe6ee" stroke-width="1.4" opacity="${0.25 + i * 0.05}"/>`).join('')}
  <path d="M292 336 L306 214 Q336 186 376 206 L448 238 L448 336 Z" fill="#6d5a4a"/>
  <path d="M300 268 L330 240 L352 280 L390 244 L448 290" fill="none" stroke="#4a3b30" stroke-width="3"/>
  <path d="M338 206 L346 84 L378 84 L386 206 Z" fill="#f4f1ea" stroke="#3a3430" stroke-width="2"/>
  <path d="M343.400 124 L380.600 124 L383.200 164 L340.800 164 Z" fill="#c8352c"/>
  <rect x="340" y="76" width="44" height="8" fill="#3a3430"/><rect x="348" y="54" width="28" height="22" fill="#ffe98a" stroke="#3a3430" stroke-width="2"/>
  <path d="M344 54 L362 34 L380 54 Z" fill="#a52a22"/>
  <rect x="356" y="182" width="13" height="24" fill="#4b3325"/><rect x="357" y="100" width="10" height="12" fill="#2e4a66"/>
  <path d="M96 262 L214 262 Q204 290 184 292 L124 292 Q104 290 96 262 Z" fill="#8a4b22" stroke="#30190c" stroke-width="2"/>
  <path d="M152 258 L152 156" stroke="#30190c" stroke-width="3"/><path d="M156 162 L156 250 L206 250 Z" fill="#fdf7e6" stroke="#776" stroke-width="1"/><path d="M148 172 L148 250 L112 250 Z" fill="#e8683c" stroke="#776" stroke-width="1"/>
  <path d="M40 92 q8 -8 14 0 q6 -8 14 0 M196 112 q6 -6 10 0 q4 -6 10 0" fill="none" stroke="#333" stroke-width="2"/>
</svg>`

/** Options that show in this size what a preprocessor does. */
const shown: Readonly<Record<string, HintRequest['options']>> = {
  t2ia_color_grid: { cell: 32 },
  tile_resample: { rate: 8 },
  blur_gaussian: { sigma: 6 },
  shuffle: { seed: 3, grain: 128 },
  seg_kmeans: { colours: 8 },
}

const root = new URL('..', import.meta.url)
const out = process.argv[2] ?? fileURLToPath(new URL('docs/preprocess.png', root))

const { data } = await sharp(Buffer.from(drawing))
  .flatten()
  .toColourspace('srgb')
  .raw()
  .toBuffer({ resolveWithObject: true })
const picture: Pixels = { width, height, channels: 3, data: new Uint8Array(data) }
/** The boat is masked. */
const mask: Pixels = {
  width,
  height,
  channels: 1,
  data: Uint8Array.from({ length: width * height }, (_, i) =>
    Math.hypot(((i % width) - 155) / 1.1, Math.floor(i / width) - 226) < 78 ? 255 : 0,
  ),
}

const hints: (readonly [string, Pixels])[] = [['the picture', picture]]
for (const one of preprocessors) {
  const request = { options: shown[one.name] ?? {}, ...(one.needsMask && { mask }) }
  const said = Object.entries(shown[one.name] ?? {}).map(([key, value]) => ` --${key} ${value}`)
  hints.push([`${one.name}${said.join('')}`, preprocess(one, picture, request)])
}

const parts: OverlayOptions[] = []
for (const [index, [name, hint]] of hints.entries()) {
  const left = gap + (index % columns) * (cell.width + gap)
  const top = gap + Math.floor(index / columns) * (cell.height + caption)
  const size = sharp(Buffer.from(await encodePng(hint))).resize(cell.width, cell.height, {
    // A tile is as coarse as it is.
    kernel: name.startsWith('tile') ? 'nearest' : 'lanczos3',
    fit: 'fill',
  })
  // Transparent parts show as checks, as in other programs.
  const checks = `<svg width="${cell.width}" height="${cell.height}"><pattern id="p" width="16" height="16" patternUnits="userSpaceOnUse"><rect width="16" height="16" fill="#fff"/><path d="M0 0h8v8h8v8h-8v-8h-8z" fill="#ccc"/></pattern><rect width="100%" height="100%" fill="url(#p)"/></svg>`
  if (hint.channels === 4) parts.push({ input: Buffer.from(checks), left, top })
  parts.push({ input: await size.png().toBuffer(), left, top })
  const text = `<svg width="${cell.width}" height="${caption}"><text x="2" y="15" font-family="sans-serif" font-size="11" fill="#333">${name}</text></svg>`
  parts.push({ input: Buffer.from(text), left, top: top + cell.height })
}
const rows = Math.ceil(hints.length / columns)
await sharp({
  create: {
    width: gap + columns * (cell.width + gap),
    height: gap + rows * (cell.height + caption),
    channels: 3,
    background: '#ffffff',
  },
})
  .composite(parts)
  .png({ palette: true, quality: 90 })
  .toFile(out)
