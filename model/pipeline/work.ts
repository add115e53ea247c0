/** How much a picture costs, before it is drawn: for the choice of a backend and for honest estimates. */
import type { ResolvedRequest } from '../contract/request.ts'
import { type Graph, multiplyAccumulates, weightsOf } from '../graph/ops.ts'
import { elementCount } from '../tensor/shape.ts'
import type { DiffusionModel } from './diffusion-model.ts'
import { batchTexts } from './rows.ts'
import { withSwaps } from './swaps.ts'

export interface Work {
  /** Twice the multiply-accumulates of all evaluations of the UNet and of the decoder, in 1e9. */
  readonly gigaflop: number
  /** Of one evaluation, with both halves of the guidance. */
  readonly gigaflopPerStep: number
  /** Weights of the UNet. */
  readonly parameters: number
}

/**
 * Counts the products of a run: all texts of its batch, with regions and an edit; attention to regions is not counted.
 * @throws AttuneError `bad-argument`, `unsupported` for words that cannot be drawn
 */
export function workOf(model: DiffusionModel, request: ResolvedRequest): Work {
  const height = Math.ceil(request.height / model.vae.sizeFactor)
  const width = Math.ceil(request.width / model.vae.sizeFactor)
  const decode = model.vae.recordDecode({ batch: 1, height, width })
  const evaluations = request.steps * (request.sampler === 'heun' ? 2 : 1) * (request.strength ?? 1)
  const { rows, layout } = batchTexts(
    withSwaps(request),
    model.tokenizer,
    Math.max(1, Math.round(evaluations)),
  )
  const denoise = model.unet.recordDenoise({
    batch: rows.length,
    height,
    width,
    textTokens: layout.tokens,
    unevenSizes: true,
  })
  const gigaflopPerStep = gigaflopOf(denoise)
  return {
    gigaflop: evaluations * gigaflopPerStep + gigaflopOf(decode),
    gigaflopPerStep,
    parameters: parametersOf(denoise),
  }
}

function gigaflopOf(graph: Graph): number {
  return graph.ops.reduce((sum, op) => sum + 2 * multiplyAccumulates(op), 0) / 1e9
}

function parametersOf(graph: Graph): number {
  return graph.ops.reduce(
    (sum, op) => sum + weightsOf(op).reduce((own, weight) => own + elementCount(weight.shape), 0),
    0,
  )
}
