/** From a graph to dispatches and a memory plan on an adapter, before anything is allocated. */
import { invariant } from '../contract/errors.ts'
import { fuse } from '../graph/fusion.ts'
import { layOut, type Layout, type Root } from '../graph/layout.ts'
import { type Block, type MemoryPlan, planMemory } from '../graph/memory-plan.ts'
import type { Graph, Tensor } from '../graph/ops.ts'
import { lower } from '../kernels/index.ts'
import type { BufferRef, DeviceFacts, Dispatch, LoweringContext, TensorView } from '../kernels/lowering.ts'
import { lastAxis, rowCount, roundUp } from '../tensor/shape.ts'
import type { WeightStore } from './weight-store.ts'

export interface CompileOptions {
  /** False runs the operations as recorded; for tests. */
  readonly fuse?: boolean
  /** False gives every tensor its own memory; for tests and for looking at activations. */
  readonly reuseMemory?: boolean
}

/** What a graph becomes on an adapter, before anything is allocated. */
export interface Schedule {
  /** After fusion. */
  readonly graph: Graph
  readonly layout: Layout
  readonly dispatches: readonly Dispatch[]
  readonly plan: MemoryPlan<BufferRef>
  readonly refOf: (root: Root) => BufferRef
}

/**
 * Fuses, lays out and lowers a graph, and plans its memory. Needs no device: benchmarks count dispatches and bytes of
 * networks with it that no test machine could run.
 * @throws AttuneError `out-of-memory` when one intermediate result is larger than the adapter binds
 */
export function schedule(
  recorded: Graph,
  facts: DeviceFacts,
  weights: Pick<WeightStore, 'matrix' | 'vector'>,
  options: CompileOptions = {},
): Schedule {
  const graph = options.fuse === false ? recorded : fuse(recorded)
  const layout = layOut(graph)
  const refs = new Map<Root, BufferRef>()
  const refOf = (root: Root): BufferRef => {
    const known = refs.get(root)
    if (known) return known
    const bytes = typeOf(root, facts) === 'f16' ? 2 : 4
    const ref: BufferRef = {
      label: root.label,
      kind: root.kind,
      byteLength: root.rows * root.rowStride * bytes,
    }
    refs.set(root, ref)
    return ref
  }
  const blocks: Block<BufferRef>[] = []
  const dispatches: Dispatch[] = []
  for (const [index, op] of graph.ops.entries()) {
    const context: LoweringContext = {
      facts,
      view: tensor => viewOf(tensor, layout, refOf, facts),
      scratch(label, rows, columns) {
        const rowStride = roundUp(columns, 4)
        const buffer: BufferRef = {
          label: `${op.path} ${label}`,
          kind: 'arena',
          byteLength: rows * rowStride * 4,
        }
        blocks.push({ key: buffer, byteLength: buffer.byteLength, first: index, last: index })
        return { buffer, offset: 0, rowStride, rows, columns, type: 'f32' }
      },
      matrix: list => weights.matrix(list),
      vector: parts => weights.vector(parts),
    }
    dispatches.push(...lower(op, context))
  }
  for (const [root, { first, last }] of layout.lifetimes) {
    if (root.kind !== 'arena') continue
    const key = refOf(root)
    blocks.push({ key, byteLength: key.byteLength, first, last })
  }
  const plan = planMemory(blocks, {
    alignment: 256,
    chunkBytes: roundDown(facts.maxStorageBufferBindingSize, 256),
    reuse: options.reuseMemory !== false,
  })
  return { graph, layout, dispatches, plan, refOf }
}

function typeOf(root: Root, facts: DeviceFacts): 'f32' | 'f16' {
  return root.storage === 'f32' ? 'f32' : facts.activationType
}

export function viewOf(
  tensor: Tensor,
  layout: Layout,
  refOf: (root: Root) => BufferRef,
  facts: DeviceFacts,
): TensorView {
  const place = layout.placements.get(tensor.id)
  invariant(place, `${tensor.label} has no place`)
  return {
    buffer: refOf(place.root),
    offset: place.offset,
    rowStride: place.root.rowStride,
    rows: rowCount(tensor.shape),
    columns: lastAxis(tensor.shape),
    type: typeOf(place.root, facts),
  }
}

export function roundDown(value: number, step: number): number {
  return Math.floor(value / step) * step
}
