/** What a graph would take on a device: its memory planned, nothing allocated. */
import { AttuneError } from '../contract/errors.ts'
import type { Graph } from '../graph/ops.ts'
import type { Footprint } from '../graph/program.ts'
import type { BufferRef, DeviceFacts } from '../kernels/lowering.ts'
import { schedule } from './schedule.ts'

/**
 * Activations that are asked for at once. WebGPU does not tell how much memory a GPU has; most cards have twice this, and
 * the weights need room as well. Where there is less, the device says so when the memory is taken.
 */
const comfortableBytes = 4 * 2 ** 30

/** Never throws for a graph that is too large: that is the answer. */
export function footprintOf(graph: Graph, facts: DeviceFacts): Footprint {
  try {
    const { plan } = schedule(graph, facts, { matrix: weight, vector: weight })
    const activationBytes = plan.byteLength
    const fits = activationBytes <= comfortableBytes
    return {
      activationBytes,
      fits,
      why: fits
        ? ''
        : `it takes ${gibibytes(activationBytes)}, more than the ${gibibytes(comfortableBytes)} asked of a GPU`,
    }
  } catch (error) {
    if (!(error instanceof AttuneError) || error.code !== 'out-of-memory') throw error
    return { activationBytes: Infinity, fits: false, why: uncapitalised(error.message) }
  }
}

const weight = (): BufferRef => ({ label: 'weight', kind: 'weight', byteLength: 0 })

function gibibytes(bytes: number): string {
  return `${(bytes / 2 ** 30).toFixed(1)} GiB`
}

function uncapitalised(sentence: string): string {
  return sentence.slice(0, 1).toLowerCase() + sentence.slice(1).replace(/\.$/, '')
}
