/**
 * Packs buffers into an arena by liveness: two that never hold data at the same time may share memory. Greedy by size
 * (Pisarchyk & Lee 2020, "Efficient Memory Management for Deep Neural Net Inference", greedy by size for offsets).
 */
import { AttuneError } from '../contract/errors.ts'
import { roundUp } from '../tensor/shape.ts'

export interface Block<Key> {
  readonly key: Key
  readonly byteLength: number
  /** First and last operation, inclusive, at which the block holds data. */
  readonly first: number
  readonly last: number
}

export interface MemoryPlan<Key> {
  readonly offsets: ReadonlyMap<Key, number>
  /** Bytes of the arena. */
  readonly byteLength: number
  /** The largest sum of blocks alive at one operation: no plan can be smaller. */
  readonly lowerBound: number
}

export interface PlanOptions {
  /** WebGPU's minStorageBufferOffsetAlignment. */
  readonly alignment: number
  /** The arena is cut into buffers of this size; no block crosses a cut. */
  readonly chunkBytes: number
  /** False gives every block memory of its own: the reference of the tests, and a way to look at all activations. */
  readonly reuse: boolean
}

/** @throws AttuneError `out-of-memory` when one block alone is larger than a chunk. */
export function planMemory<Key>(blocks: readonly Block<Key>[], options: PlanOptions): MemoryPlan<Key> {
  const { alignment, chunkBytes, reuse } = options
  const placed: { offset: number; end: number; block: Block<Key> }[] = []
  const offsets = new Map<Key, number>()
  let byteLength = 0
  for (const block of blocks.toSorted((a, b) => b.byteLength - a.byteLength || a.first - b.first)) {
    const size = roundUp(block.byteLength, alignment)
    if (size > chunkBytes) {
      throw new AttuneError(
        'out-of-memory',
        `One intermediate result needs ${mebibytes(size)}, and this GPU binds at most ${mebibytes(chunkBytes)} at once.`,
        'Choose a smaller picture.',
      )
    }
    const rivals = placed
      .filter(other => !reuse || (other.block.first <= block.last && block.first <= other.block.last))
      .toSorted((a, b) => a.offset - b.offset)
    let offset = 0
    for (const rival of rivals) {
      offset = beforeCut(offset, size, chunkBytes)
      if (offset + size <= rival.offset) break
      offset = Math.max(offset, rival.end)
    }
    offset = beforeCut(offset, size, chunkBytes)
    placed.push({ offset, end: offset + size, block })
    offsets.set(block.key, offset)
    byteLength = Math.max(byteLength, offset + size)
  }
  return { offsets, byteLength, lowerBound: peakOf(blocks, alignment) }
}

/** Moves `offset` behind the next cut when the block would cross it. */
function beforeCut(offset: number, size: number, chunkBytes: number): number {
  const cut = roundUp(offset + 1, chunkBytes)
  return offset + size > cut ? cut : offset
}

function peakOf<Key>(blocks: readonly Block<Key>[], alignment: number): number {
  const changes = new Map<number, number>()
  for (const block of blocks) {
    const size = roundUp(block.byteLength, alignment)
    changes.set(block.first, (changes.get(block.first) ?? 0) + size)
    changes.set(block.last + 1, (changes.get(block.last + 1) ?? 0) - size)
  }
  let alive = 0
  let peak = 0
  for (const index of [...changes.keys()].toSorted((a, b) => a - b)) {
    alive += changes.get(index) ?? 0
    peak = Math.max(peak, alive)
  }
  return peak
}

function mebibytes(bytes: number): string {
  return `${(bytes / 2 ** 20).toFixed(0)} MiB`
}
