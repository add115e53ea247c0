/**
 * Low-rank keys and values: multi-head latent attention (DeepSeek-V2, Liu et al. 2024, section 2.1).
 *
 *   node --import tsx examples/06-mla.ts
 *
 * A token leaves r numbers in the cache in place of keys and values of all heads. Its keys and values can be expanded
 * again at each call, or the two matrices put into the query and behind the sum, which gives the same and never makes
 * them. Sixteen tokens come first and eight more later; the last three ask, each up to its own place.
 */
import { KeyValueCache } from '../model/attention/key-value-cache.ts'
import { LatentKeyValueCache } from '../model/attention/latent-key-value-cache.ts'
import type { Backend } from '../model/graph/program.ts'
import { distance, linear, type Numbers, numbers, start, tokens, weight } from './support.ts'

const [keys, first, length, width, numHeads, rank] = [24, 16, 3, 32, 4, 8]

export async function run(backend: Backend): Promise<Numbers> {
  const states = numbers('mla/states', [1, keys, width])
  const query = linear(tokens(states, keys - length, length), weight('mla/q', width, width))
  const downWeight = weight('mla/down', rank, width)
  const keyUpWeight = weight('mla/keyUp', width, rank)
  const valueUpWeight = weight('mla/valueUp', width, rank)
  const options = { backend, numHeads, capacity: keys }

  const latent = await LatentKeyValueCache.project(
    tokens(states, 0, first),
    { downWeight, keyUpWeight, valueUpWeight },
    options,
  )
  await latent.append(tokens(states, first, keys - first))
  const given = { causal: true, returnWeights: true }
  const absorbed = await latent.attend(query, { ...given, form: 'absorbed' })
  const expanded = await latent.attend(query, { ...given, form: 'expanded' })

  // The same keys and values kept whole: their weights are the products up · down.
  const product = (up: typeof keyUpWeight): typeof keyUpWeight => {
    const turned = new Float32Array(width * rank)
    for (let i = 0; i < turned.length; i++)
      turned[i] = downWeight.data[(i % rank) * width + Math.floor(i / rank)] as number
    return linear(up, { data: turned, shape: [width, rank] })
  }
  const whole = await KeyValueCache.project(
    states,
    { keyWeight: product(keyUpWeight), valueWeight: product(valueUpWeight) },
    options,
  )
  const full = await whole.attend(query, given)
  const bytes = { latentBytes: latent.byteLength, wholeBytes: whole.byteLength }
  latent.dispose()
  whole.dispose()
  return {
    absorbed: absorbed.output.data,
    expanded: expanded.output.data,
    full: full.output.data,
    weights: absorbed.weights?.data ?? 0,
    ...bytes,
  }
}

export function report(found: Numbers): string {
  const { absorbed, expanded, full } = found as Record<string, Float32Array>
  const [latent, whole] = [found['latentBytes'] as number, found['wholeBytes'] as number]
  // 128 heads of 128 numbers, a latent of 512 and a rotated key of 64 that the heads share; half precision, a layer.
  const [deepWhole, deepLatent] = [2 * 128 * 128 * 2, (512 + 64) * 2]
  return [
    `${keys} tokens, ${numHeads} heads of ${width / numHeads}, latent of ${rank}:`,
    '',
    '                              keys and values   latent   saved',
    `here, ${keys} tokens, f32          ${`${whole} B`.padStart(15)}${`${latent} B`.padStart(9)}${`${whole / latent}x`.padStart(8)}`,
    `DeepSeek-V2, a token, a layer ${`${deepWhole} B`.padStart(15)}${`${deepLatent} B`.padStart(9)}${`${(deepWhole / deepLatent).toFixed(0)}x`.padStart(8)}`,
    '',
    `Absorbed against expanded, largest difference: ${distance(absorbed as Float32Array, expanded as Float32Array)}`,
    `Absorbed against keys and values kept whole: ${distance(absorbed as Float32Array, full as Float32Array)}`,
  ].join('\n')
}

await start(import.meta.url, run, report)
