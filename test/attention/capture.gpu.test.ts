/** Word capture in a whole network on WebGPU: against all probabilities, with the same bits in the picture. */
import { beforeAll, describe, expect, test } from 'vitest'
import { CapturePlan } from '../../model/attention/capture.ts'
import type { Program } from '../../model/graph/program.ts'
import type { TokenPlace } from '../../model/text/chunks.ts'
import type { DenoiseOptions, UNet2DConditionModel } from '../../model/unet/unet-2d-condition-model.ts'
import { randomArray, testBackend } from '../support/gpu.ts'
import { tinyNetworks } from '../support/tiny-networks.ts'

const prompt = 'a red carbox, red sky'
/** Tokens as a tokenizer would place them; `carbox` has two. */
const places: TokenPlace[] = [
  ['a', 0, 1, 0],
  ['red', 2, 5, 1],
  ['car', 6, 9, 2],
  ['box', 9, 12, 2],
  [',', 12, 13, 3],
  ['red', 14, 17, 4],
  ['sky', 18, 21, 5],
].map(([text, start, end, word], i) => ({
  token: {
    id: 100 + i,
    text: text as string,
    start: start as number,
    end: end as number,
    word: word as number,
  },
  chunk: 0,
  position: i + 1,
  row: i + 1,
}))

const textTokens = 77
const [height, width] = [8, 16]
let unet: UNet2DConditionModel
beforeAll(async () => {
  unet = (await tinyNetworks('story')).unet
})

function inputs(): Record<string, Float32Array> {
  const { inChannels } = unet.config
  return {
    sample: randomArray(2 * height * width * inChannels, 5),
    timeProjections: randomArray(unet.timeProjectionWidth, 6),
    textKeyValues: randomArray(2 * textTokens * unet.textKeyValueWidth, 7),
  }
}

async function compiled(options: Partial<DenoiseOptions>): Promise<Program> {
  const backend = await testBackend('f32')
  return backend.compile(unet.recordDenoise({ batch: 2, height, width, textTokens, ...options }))
}

describe('a tiny UNet', () => {
  test('sums of chosen words over two steps equal those of all probabilities; the picture keeps its bits', async () => {
    const plan = new CapturePlan({ prompt, places }, { words: ['RED', 'carbox'], live: true })
    expect(plan.words).toEqual([
      { text: 'red', span: [2, 5], columns: [0] },
      { text: 'carbox', span: [6, 12], columns: [1, 2] },
      { text: 'red', span: [14, 17], columns: [3] },
    ])
    expect(plan.tokens.map(token => token.index)).toEqual([2, 3, 4, 6])
    const plain = await compiled({})
    const everything = await compiled({ capture: () => true })
    const chosen = await compiled({ attentionControls: plan.controls(1) })
    const expected = await plain.run(inputs())
    const all = await everything.run(inputs())
    await chosen.run({ ...inputs(), ...plan.inputs })
    const second = await chosen.run({})
    expect(expected['modelOutput']?.every(Number.isFinite)).toBe(true)
    expect(second['modelOutput']).toEqual(expected['modelOutput'])
    // Nothing but the attention's own store was added to the plain path.
    expect(plain.stats.dispatches).toBe((await compiled({})).stats.dispatches)

    const captured = plan.read(await chosen.readStates(), { width: 64, height: 32 }, 2)
    expect(captured.layers.map(layer => layer.path)).toEqual(
      unet.crossAttentionLayers.map(layer => layer.path),
    )
    for (const layer of captured.layers) {
      const probabilities = all[`${layer.path}.probabilities`] ?? new Float32Array()
      const length = layer.height * layer.width
      for (let head = 0; head < layer.numHeads; head++) {
        for (let l = 0; l < length; l++) {
          for (const [t, { index }] of captured.tokens.entries()) {
            const once = probabilities[((layer.numHeads + head) * length + l) * textTokens + index] ?? NaN
            const sum = layer.sums[(head * length + l) * captured.tokens.length + t] ?? NaN
            expect(Math.abs(sum - 2 * once)).toBeLessThan(1e-6)
          }
        }
      }
    }
    // Live maps: means over heads, added up over the layers of a grid.
    for (const { height: rows, width: columns, layers, sums } of plan.liveMaps(second)) {
      const same = captured.layers.filter(layer => layer.height === rows && layer.width === columns)
      expect(same).toHaveLength(layers)
      const mean = new Float64Array(sums.length)
      for (const layer of same) {
        for (const [i, value] of layer.sums.entries()) {
          const at = i % sums.length
          mean[at] = (mean[at] ?? 0) + value / layer.numHeads
        }
      }
      for (const [i, value] of mean.entries()) expect(Math.abs((sums[i] ?? NaN) - value)).toBeLessThan(1e-5)
    }
    for (const program of [plain, everything, chosen]) program.dispose()
  })

  test('chosen layers only', async () => {
    const path = unet.crossAttentionLayers[0]?.path ?? ''
    const plan = new CapturePlan({ prompt, places }, { layers: each => each === path })
    expect(plan.words.map(word => word.text)).toEqual(['a', 'red', 'carbox', 'red', 'sky'])
    const program = await compiled({ attentionControls: plan.controls(0) })
    await program.run({ ...inputs(), ...plan.inputs })
    const states = await program.readStates()
    expect(Object.keys(states)).toEqual([`${path}.captured`])
    program.dispose()
  })

  test('words that are not there are named', () => {
    expect(() => new CapturePlan({ prompt, places }, { words: ['dog', 'red'] })).toThrow(
      /"dog".*not in the prompt/,
    )
    expect(() => new CapturePlan({ prompt: ', ,', places: [] })).toThrow(/no word/)
  })
})
