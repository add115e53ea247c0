/**
 * Draws the picture of the first run with the embedded model, and the maps of its words, into assets/samples/.
 *
 *   npx tsx docs/make-sample.ts ["prompt" seed]
 *
 * Run it again when the model's weights change.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import { localEngine } from '../cli/local-engine.ts'
import { finestGrid, wordMaps } from '../model/attention/maps.ts'
import { parseRequest } from '../model/contract/request.ts'

const prompt = process.argv[2] ?? 'a red car on the grass under a blue sky'
const seed = process.argv[3] ?? '7'
const folder = fileURLToPath(new URL('../assets/samples/', import.meta.url))

const started = performance.now()
const { picture, attention, used } = await localEngine.runGenerate(
  { request: parseRequest({ prompt, seed }), backend: 'auto', capture: {} },
  { onProgress: () => undefined, onNotice: () => undefined, signal: new AbortController().signal },
)
if (!attention) throw new Error('The engine captured nothing.')
const seconds = Number(((performance.now() - started) / 1000).toFixed(1))
const grid = finestGrid(attention)
const words = wordMaps(attention, grid).map(({ word, index, data }) => {
  const peak = data.reduce((most, value) => Math.max(most, value), 0)
  const map = Buffer.from(Uint8Array.from(data, value => Math.round((255 * value) / peak))).toString('base64')
  return { text: word, span: attention.words[index]?.span, peak: Number(peak.toPrecision(4)), map }
})
const { width, height } = picture
await mkdir(folder, { recursive: true })
await sharp(picture.data, { raw: { width, height, channels: 3 } })
  .png({ compressionLevel: 9 })
  .toFile(`${folder}welcome.png`)
const facts = { prompt, seed, width, height, steps: used.steps, seconds, grid, words }
await writeFile(`${folder}welcome.json`, `${JSON.stringify(facts)}\n`)
process.stdout.write(`Wrote ${folder}welcome.png and welcome.json (${seconds} s)\n`)
process.exit(0)
