/** How much a picture costs, before it is drawn: for the choice of a backend and for honest estimates. */
import type { ResolvedRequest } from '../contract/request.ts'
import type { ControlNetModel } from '../controlnet/control-net-model.ts'
import { isConditionalOnly } from '../controlnet/rules.ts'
import { type Graph, multiplyAccumulates, weightsOf } from '../graph/ops.ts'
import { elementCount } from '../tensor/shape.ts'
import type { DiffusionModel } from './diffusion-model.ts'
import { batchTexts } from './rows.ts'
import { withSwaps } from './swaps.ts'

export interface Work {
  /** Twice the multiply-accumulates of all evaluations of the UNet and its guides, and of the decoder, in 1e9. */
  readonly gigaflop: number
  /** Of one evaluation, with both halves of the guidance, and all guides. */
  readonly gigaflopPerStep: number
  /** Weights of the UNet and of the guides' nets. */
  readonly parameters: number
}

/**
 * Counts the products of a run: all texts of its batch, with regions and an edit; attention to regions is not counted.
 * @param nets what the request's guides name
 * @throws AttuneError `bad-argument`, `unsupported` for words that cannot be drawn
 */
export function workOf(
  model: DiffusionModel,
  request: ResolvedRequest,
  nets: ReadonlyMap<string, ControlNetModel> = new Map(),
): Work {
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
  const own = gigaflopOf(denoise)
  let [gigaflop, gigaflopPerStep, parameters] = [evaluations * own, own, parametersOf(denoise)]
  const counted = new Set<ControlNetModel>()
  for (const { model: name, mode, start, end } of request.guides ?? []) {
    const net = nets.get(name)
    if (!net) continue
    const halves = isConditionalOnly(mode) || net.facts.globalPool ? ['cond'] : ['cond', 'uncond']
    const batch = rows.filter(({ half }) => halves.includes(half)).length
    const graph = net.recordDenoise({ batch, height, width, textTokens: layout.tokens })
    const each = gigaflopOf(graph)
    gigaflopPerStep += each
    gigaflop += each * evaluations * (end - start) + gigaflopOf(net.recordHint(height, width))
    if (!counted.has(net)) parameters += parametersOf(graph)
    counted.add(net)
  }
  return { gigaflop: gigaflop + gigaflopOf(decode), gigaflopPerStep, parameters }
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
