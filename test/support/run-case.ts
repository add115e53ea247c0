/** Runs a parity case (a whole diffusers pipeline) through our engine on a given backend. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readMask, readPicture } from '../../host/images.ts'
import { openModelFolder } from '../../host/model-folder.ts'
import type { ResolvedRequest } from '../../model/contract/request.ts'
import type { Backend } from '../../model/graph/program.ts'
import { DiffusionModel } from '../../model/pipeline/diffusion-model.ts'
import { type GeneratedPicture, generate } from '../../model/pipeline/generate.ts'
import { loadNpy, type ParityCase, parityPath } from './parity.ts'
import { type TinyKind, writeTinyModel } from './tiny-models.ts'

const models = new Map<string, Promise<DiffusionModel>>()

/** The tiny model of a kind, written to a temporary folder and opened as a user's folder would be. */
export function openTinyModel(kind: TinyKind, dtype: 'F32' | 'F16' = 'F32'): Promise<DiffusionModel> {
  const key = `${kind} ${dtype}`
  let model = models.get(key)
  if (!model) {
    const folder = join(mkdtempSync(join(tmpdir(), 'attune-tiny-')), kind)
    writeTinyModel(kind, folder, { dtype })
    model = openModelFolder(folder).then(opened => DiffusionModel.open(opened))
    models.set(key, model)
  }
  return model
}

function draws(file: string): Float32Array[] {
  const { shape, data } = loadNpy(file)
  const count = shape[0] as number
  const size = data.length / count
  return Array.from({ length: count }, (_, index) => data.slice(index * size, (index + 1) * size))
}

export async function runCase(theCase: ParityCase, backend: Backend): Promise<GeneratedPicture> {
  const model = await openTinyModel(theCase.kind)
  const { files, width, height } = theCase
  const request: ResolvedRequest = {
    prompt: theCase.prompt,
    negativePrompt: theCase.negative,
    width,
    height,
    steps: theCase.steps,
    guidanceScale: theCase.guidance,
    guidanceRescale: theCase.guidanceRescale,
    seed: String(theCase.seed ?? 0),
    rng: 'cpu',
    sampler: theCase.sampler,
    precision: 'f32',
    clipSkip: theCase.clipSkip ?? 1,
    ...(theCase.strength !== undefined && { strength: theCase.strength }),
  }
  const steps = generate(model, backend, request, {
    ...(files.initialNoise && { initialNoise: loadNpy(files.initialNoise).data }),
    ...(files.stepNoise && { stepNoise: draws(files.stepNoise) }),
    ...(files.posteriorNoise &&
      theCase.posterior !== 'mean' && { posteriorNoise: draws(files.posteriorNoise) }),
    ...(files.init && { init: await readPicture(parityPath(files.init), width, height) }),
    ...(files.mask && { mask: await readMask(parityPath(files.mask), width, height) }),
  })
  for (;;) {
    const next = await steps.next()
    if (next.done) return next.value
  }
}
