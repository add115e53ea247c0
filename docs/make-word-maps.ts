/**
 * Draws docs/word-maps.png with the embedded model: one picture, and over it what four of its words attended to.
 *
 *   npx tsx docs/make-word-maps.ts [out.png]
 *
 * The command line does the same: attune generate "…" --seed 7 --maps out --words car,sky,red,grass
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import { localEngine } from '../cli/local-engine.ts'
import { exportMaps } from '../host/maps/export.ts'
import { parseRequest } from '../model/contract/request.ts'

const prompt = 'a red car on the grass under a blue sky'
const words = ['car', 'sky', 'red', 'grass']
const gap = 8

const out = process.argv[2] ?? fileURLToPath(new URL('word-maps.png', import.meta.url))
const folder = await mkdtemp(join(tmpdir(), 'attune-maps-'))
try {
  const { picture, attention } = await localEngine.runGenerate(
    { request: parseRequest({ prompt, seed: '7' }, field => field), backend: 'auto', capture: { words } },
    { onProgress: () => undefined, onNotice: () => undefined, signal: new AbortController().signal },
  )
  if (!attention) throw new Error('The engine captured nothing.')
  await exportMaps(attention, { folder, formats: ['overlay'], image: picture })
  const raw = { raw: { width: picture.width, height: picture.height, channels: 3 as const } }
  const tiles = [
    { input: await sharp(picture.data, raw).png().toBuffer(), left: 0, top: 0 },
    ...words.map((word, i) => ({
      input: join(folder, `${word}.overlay.png`),
      left: (i + 1) * (picture.width + gap),
      top: 0,
    })),
  ]
  const width = tiles.length * (picture.width + gap) - gap
  const canvas = { width, height: picture.height, channels: 3 as const, background: '#ffffff' }
  await sharp({ create: canvas }).composite(tiles).png({ compressionLevel: 9 }).toFile(out)
  process.stdout.write(`Wrote ${out}\n`)
} finally {
  await rm(folder, { recursive: true })
}
process.exit(0)
