/** Where the tiles of a picture lie, and how far from a tile's edge its numbers can be trusted. */
import { invariant } from '../contract/errors.ts'
import { type Graph, inputsOf, outputsOf } from '../graph/ops.ts'

/** A rectangle of cells: a cell is one position of the smaller side of the network, and a whole number of the other's. */
export interface Rectangle {
  readonly top: number
  readonly left: number
  readonly height: number
  readonly width: number
}

export interface Tile {
  /** What is computed: all windows have the same size, so that one program serves all tiles. */
  readonly window: Rectangle
  /** What is kept of it. The cores cover the picture, each cell once. */
  readonly core: Rectangle
}

/**
 * Cuts `height` x `width` cells into cores of at most `core` a side, each in a window with `halo` more cells on every side
 * that is not an edge of the picture.
 */
export function planTiles(height: number, width: number, core: number, halo: number): Tile[] {
  invariant(core >= 1 && halo >= 0, 'a tile has at least one cell')
  const rows = cut(height, core, halo)
  const columns = cut(width, core, halo)
  return rows.flatMap(row =>
    columns.map(column => ({
      window: { top: row.start, left: column.start, height: row.size, width: column.size },
      core: {
        top: row.coreStart,
        left: column.coreStart,
        height: row.coreSize,
        width: column.coreSize,
      },
    })),
  )
}

interface Range {
  readonly start: number
  readonly size: number
  readonly coreStart: number
  readonly coreSize: number
}

function cut(length: number, core: number, halo: number): Range[] {
  const count = Math.ceil(length / core)
  const size = Math.min(length, Math.ceil(length / count) + 2 * halo)
  return Array.from({ length: count }, (_, index) => {
    // Even shares, so that the last tile is no sliver.
    const coreStart = Math.floor((index * length) / count)
    const coreEnd = Math.floor(((index + 1) * length) / count)
    // At an edge of the picture the window moves inwards: there the zeros around it are the network's own.
    const start = Math.min(Math.max(coreStart - halo, 0), length - size)
    return { start, size, coreStart, coreSize: coreEnd - coreStart }
  })
}

/**
 * How many positions of the output, from an edge of the window inwards, are wrong because the network saw zeros where
 * the picture goes on.
 * @param recorded a graph of convolutions and element-wise operations, before fusion
 */
export function contaminatedEdge(recorded: Graph): number {
  const depths = new Map<number, number>()
  for (const tensor of recorded.inputs.values()) depths.set(tensor.id, 0)
  for (const op of recorded.ops) {
    let depth = Math.max(...inputsOf(op).map(tensor => depths.get(tensor.id) ?? 0))
    if (op.kind === 'conv2d') {
      const reach = Math.max(...op.weight.shape.slice(2)) >> 1
      // With stride 2 an output sees positions 2i … 2i + 2: behind the wrong ones at the far edge lies one more.
      depth = op.stride === 1 ? depth + reach : Math.floor(depth / op.stride) + reach
    } else if (op.kind === 'upsample') depth *= 2
    else invariant(op.kind !== 'attention', `${op.path} sees every position: it cannot run in tiles`)
    for (const tensor of outputsOf(op)) depths.set(tensor.id, depth)
  }
  return Math.max(...[...recorded.outputs.values()].map(tensor => depths.get(tensor.id) ?? 0))
}
