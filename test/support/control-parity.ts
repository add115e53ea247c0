/** Controlled runs against what test/fixtures/make/control_parity.py computed with diffusers' networks. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { controlsSchema } from '../../model/contract/controls.ts'
import { type WeightLaw } from '../../model/contract/prompt.ts'
import type { Backend } from '../../model/graph/program.ts'
import { generate } from '../../model/pipeline/generate.ts'
import { loadNpy, relativeL2 } from './parity.ts'
import { openTinyModel } from './run-case.ts'
import type { TinyKind } from './tiny-models.ts'

const folder = fileURLToPath(new URL('../fixtures/controls/', import.meta.url))

export interface ControlCase {
  readonly id: string
  readonly kind: TinyKind
  readonly prompt: string
  readonly negative: string
  readonly steps: number
  readonly guidance: number
  readonly width: number
  readonly height: number
  readonly noise: string
  readonly emphasis?: WeightLaw
  readonly controls?: unknown
}

export const controlCases = JSON.parse(
  readFileSync(join(folder, 'cases.json'), 'utf8'),
) as readonly ControlCase[]

/** A reader of our own: eight bytes of length, JSON, numbers. */
function expected(id: string): Float32Array {
  const bytes = readFileSync(join(folder, 'latents.safetensors'))
  const length = Number(bytes.readBigUInt64LE(0))
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + length)) as Record<
    string,
    { dtype: string; data_offsets: [number, number] }
  >
  const entry = header[id]
  if (entry?.dtype !== 'F32') throw new Error(`${id} is not among the expected latents`)
  const [start, end] = entry.data_offsets
  return new Float32Array(new Uint8Array(bytes.subarray(8 + length + start, 8 + length + end)).buffer)
}

/** Relative L2 of the final latents. */
export async function controlDistance(theCase: ControlCase, backend: Backend): Promise<number> {
  const model = await openTinyModel(theCase.kind)
  const run = generate(
    model,
    backend,
    {
      prompt: theCase.prompt,
      negativePrompt: theCase.negative,
      width: theCase.width,
      height: theCase.height,
      steps: theCase.steps,
      guidanceScale: theCase.guidance,
      guidanceRescale: 0,
      seed: '0',
      rng: 'cpu',
      sampler: 'ddim',
      precision: 'f32',
      clipSkip: 1,
      dialect: 'a1111',
      ...(theCase.emphasis && { emphasis: theCase.emphasis }),
      ...(theCase.controls !== undefined && { controls: controlsSchema.parse(theCase.controls) }),
    },
    { initialNoise: loadNpy(theCase.noise).data },
  )
  for (;;) {
    const next = await run.next()
    if (next.done) return relativeL2(next.value.latents.data, expected(theCase.id))
  }
}
