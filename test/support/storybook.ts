/**
 * What diffusers draws with the embedded model (`test/fixtures/storybook`, made by `test/fixtures/make/storybook.py`). The
 * model's weights change while it is trained; expectations that belong to others are refused by name.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { openModelFolder } from '../../host/model-folder.ts'
import type { Sampler } from '../../model/contract/request.ts'
import { resolveRequest } from '../../model/contract/request.ts'
import type { Backend } from '../../model/graph/program.ts'
import { DiffusionModel } from '../../model/pipeline/diffusion-model.ts'
import { type GeneratedPicture, generate } from '../../model/pipeline/generate.ts'
import { loadNpy, loadPixels, psnr, relativeL2 } from './parity.ts'

export interface StorybookCase {
  readonly id: string
  readonly prompt: string
  readonly negative: string
  readonly sampler: Sampler
  readonly steps: number
  readonly guidance: number
  readonly seed: number
  readonly width: number
  readonly height: number
  readonly latents: string
  readonly png: string
}

interface Fixture {
  readonly made: string
  readonly sha256: Readonly<Record<string, string>>
  readonly cases: readonly StorybookCase[]
}

const modelFolder = fileURLToPath(new URL('../../assets/models/storybook', import.meta.url))

const fixture = JSON.parse(
  readFileSync(new URL('../fixtures/storybook/cases.json', import.meta.url), 'utf8'),
) as Fixture

export const storybookCases = fixture.cases

/** @throws when the model's files are not those that the expectations were made of, with the command that mends it. */
export function checkStorybookWeights(): void {
  const changed = Object.entries(fixture.sha256).filter(
    ([path, digest]) =>
      createHash('sha256')
        .update(readFileSync(join(modelFolder, path)))
        .digest('hex') !== digest,
  )
  if (changed.length === 0) return
  throw new Error(
    `The embedded model has changed (${changed.map(([path]) => path).join(', ')}): what diffusers draws with it has ` +
      `to be made again. In the repository, with torch and diffusers installed, run: ${fixture.made}`,
  )
}

/** The distance from diffusers: relative L2 of the final latents, and PSNR of the picture in dB. */
export async function storybookDistance(
  theCase: StorybookCase,
  backend: Backend,
): Promise<{ latents: number; psnr: number }> {
  checkStorybookWeights()
  const result = await draw(theCase, backend)
  const expected = loadNpy(`../storybook/${theCase.latents}`)
  const pixels = await loadPixels(`../storybook/${theCase.png}`)
  return {
    latents: relativeL2(result.latents.data, expected.data),
    psnr: psnr(result.picture.data, pixels.data),
  }
}

async function draw(theCase: StorybookCase, backend: Backend): Promise<GeneratedPicture> {
  const model = await DiffusionModel.open(await openModelFolder(modelFolder))
  try {
    const { prompt, sampler, steps, width, height, negative, guidance, seed } = theCase
    const request = resolveRequest(
      {
        prompt,
        sampler,
        steps,
        width,
        height,
        negativePrompt: negative,
        guidanceScale: guidance,
        guidanceRescale: 0,
        seed: String(seed),
        rng: 'cpu',
        precision: 'f32',
        dialect: 'plain',
      },
      model.defaults,
      model.sizeFactor,
    )
    const run = generate(model, backend, request)
    for (;;) {
      const next = await run.next()
      if (next.done) return next.value
    }
  } finally {
    await model.close()
  }
}
