/** The cases of test/fixtures/make/cross_attention.py, run on a backend. */
import { readFileSync } from 'node:fs'
import { crossAttention, type HostArray } from '../../model/attention/cross-attention.ts'
import type { Backend } from '../../model/graph/program.ts'
import { largestDifference } from './gpu.ts'

interface StoredArray {
  readonly shape: readonly number[]
  readonly data: readonly number[]
}

export interface CrossAttentionCase {
  readonly name: string
  readonly numHeads: number
  readonly causal: boolean
  readonly padding: readonly (readonly number[])[] | null
  readonly mask: readonly (readonly number[])[] | null
  readonly sources: readonly (readonly [number, number])[] | null
  readonly outputMask: readonly (readonly number[])[] | null
  readonly query: StoredArray
  readonly key: StoredArray
  readonly value: StoredArray
  readonly output: readonly number[]
  readonly weights: readonly number[]
}

const file = new URL('../fixtures/attention/cross.json', import.meta.url)
export const crossAttentionCases = (JSON.parse(readFileSync(file, 'utf8')) as { cases: CrossAttentionCase[] })
  .cases

const array = ({ shape, data }: StoredArray): HostArray => ({ shape, data: Float32Array.from(data) })

/** @returns the largest differences of output and weights from torch's float64. */
export async function runCrossAttention(
  theCase: CrossAttentionCase,
  backend: Backend,
): Promise<{ output: number; weights: number }> {
  const { padding, mask, numHeads, causal, sources, outputMask } = theCase
  const result = await crossAttention(array(theCase.query), array(theCase.key), array(theCase.value), {
    backend,
    numHeads,
    causal,
    ...(padding && {
      keyPaddingMask: { data: padding.flat(), shape: [padding.length, padding[0]?.length ?? 0] },
    }),
    ...(mask && { attentionMask: { data: mask.flat(), shape: [1, mask.length, mask[0]?.length ?? 0] } }),
    ...(sources && { sources }),
    ...(outputMask && {
      outputMask: {
        data: Float32Array.from(outputMask.flat()),
        shape: [1, outputMask.length, sources?.length ?? 1],
      },
    }),
    returnWeights: true,
  })
  return {
    output: largestDifference(result.output.data, theCase.output).value,
    weights: largestDifference(result.weights?.data ?? [], theCase.weights).value,
  }
}
