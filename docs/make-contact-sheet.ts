/**
 * Draws docs/contact-sheet.png with the embedded model and our own engine:
 *
 *   npx tsx docs/make-contact-sheet.ts [out.png]
 *
 * Twenty-four prompts, seed 1 each, the model's own steps and guidance: nothing is picked or repeated.
 */
import { fileURLToPath } from 'node:url'
import sharp, { type OverlayOptions } from 'sharp'
import { openModelFolder } from '../host/model-folder.ts'
import { openNodeAdapter } from '../host/webgpu.ts'
import { parseRequest, resolveRequest } from '../model/contract/request.ts'
import { WebGpuBackend } from '../model/gpu/backend.ts'
import { DiffusionModel } from '../model/pipeline/diffusion-model.ts'
import { generate } from '../model/pipeline/generate.ts'

const prompts = [
  'a red car under a blue sky',
  'a cat on a surfboard',
  'a mountain',
  'a red car and a blue house on the grass',
  'a dog in the snow',
  'a green tree',
  'a yellow house at sunset',
  'a black cat on the road',
  'two balloons under a cloudy sky',
  'a sailboat on the sea',
  'a red apple',
  'a castle at night',
  'a white rabbit in a meadow',
  'a blue car in the desert',
  'an orange cat left of a tree',
  'a pink flower',
  'a purple fish in the sea',
  'a yellow duck on the water',
  'a rocket at night',
  'three red mushrooms on the grass',
  'a brown bear in the forest',
  'a blue bird above a house',
  'a watercolor painting of a red tulip',
  'a pencil sketch of a house',
]

const columns = 6
const cell = 256
const caption = 26

const root = new URL('..', import.meta.url)
const out = process.argv[2] ?? fileURLToPath(new URL('docs/contact-sheet.png', root))
const folder = await openModelFolder(fileURLToPath(new URL('assets/models/storybook', root)))
const model = await DiffusionModel.open(folder)
const backend = await WebGpuBackend.open(await openNodeAdapter(), { precision: 'f16' })
const parts: OverlayOptions[] = []
for (const [index, prompt] of prompts.entries()) {
  const request = resolveRequest(parseRequest({ prompt, seed: '1' }), model.defaults, model.sizeFactor)
  const run = generate(model, backend, request)
  let step = await run.next()
  while (!step.done) step = await run.next()
  const { width, height, data } = step.value.picture
  const left = (index % columns) * cell
  const top = Math.floor(index / columns) * (cell + caption)
  parts.push({ input: Buffer.from(data), raw: { width, height, channels: 3 }, left, top })
  const text = `<svg width="${cell}" height="${caption}"><text x="4" y="17" font-family="sans-serif" font-size="12" fill="#333">${prompt}</text></svg>`
  parts.push({ input: Buffer.from(text), left, top: top + cell })
}
const rows = Math.ceil(prompts.length / columns)
await sharp({
  create: { width: columns * cell, height: rows * (cell + caption), channels: 3, background: '#ffffff' },
})
  .composite(parts)
  .png({ palette: true, quality: 90 })
  .toFile(out)
await backend.dispose()
await model.close()
