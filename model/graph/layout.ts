/**
 * Decides where each tensor of a graph lies: which tensors share a buffer as views (reshape, slice, the parts of a
 * concatenation) and, by liveness, which buffers may share memory. "Concat without a copy" happens here: the producer
 * of a part writes straight into its columns of the joined rows.
 */
import { invariant } from '../contract/errors.ts'
import { lastAxis, rowCount, roundUp } from '../tensor/shape.ts'
import { inputsOf, outputsOf, type Graph, type Op, type Tensor } from './ops.ts'

/** A buffer of rows that one or more tensors are views of. */
export interface Root {
  readonly label: string
  readonly kind: 'arena' | 'input' | 'state'
  readonly rows: number
  /** Elements from row to row, a multiple of 4. */
  readonly rowStride: number
  /** Activations follow the device's storage type; inputs, captured probabilities and moments stay f32. */
  readonly storage: 'activation' | 'f32'
}

export interface Placement {
  readonly root: Root
  /** Elements from the start of a row. */
  readonly offset: number
}

export interface Layout {
  /** By tensor id. */
  readonly placements: ReadonlyMap<number, Placement>
  /** First and last operation (by index) at which a root holds data; the end of the graph for outputs. */
  readonly lifetimes: ReadonlyMap<Root, { readonly first: number; readonly last: number }>
}

/** Assigns roots and offsets to all tensors of a graph. */
export function layOut(graph: Graph): Layout {
  const placements = new Map<number, Placement>()
  for (const tensor of graph.inputs.values()) {
    placements.set(tensor.id, { root: newRoot(tensor, 'input', 'f32'), offset: 0 })
  }
  // A state has one memory: the operation that makes its new value works in place.
  const states = new Map<number, Placement>()
  for (const [name, { before, after }] of graph.states ?? []) {
    const place = { root: newRoot({ ...before, label: name }, 'state', 'f32'), offset: 0 }
    placements.set(before.id, place)
    states.set(after.id, place)
  }
  const joined = planConcatenations(graph)
  for (const op of graph.ops) {
    for (const [role, tensor] of Object.entries(op.outputs as Readonly<Record<string, Tensor>>)) {
      const own = states.get(tensor.id) ?? joined.get(tensor.id) ?? viewOf(op, placements)
      const precise = role === 'probabilities' || preciseKinds.has(op.kind)
      const storage = precise ? 'f32' : 'activation'
      placements.set(tensor.id, own ?? { root: newRoot(tensor, 'arena', storage), offset: 0 })
    }
  }
  return { placements, lifetimes: lifetimesOf(graph, placements) }
}

/** Operations whose results are f32 on every device: sums over many steps, moments, and what people read. */
const preciseKinds: ReadonlySet<Op['kind']> = new Set([
  'rowMoments',
  'attentionPeak',
  'attentionRow',
  'headMean',
])

function newRoot(tensor: Tensor, kind: Root['kind'], storage: Root['storage']): Root {
  return {
    label: tensor.label,
    kind,
    rows: rowCount(tensor.shape),
    rowStride: roundUp(lastAxis(tensor.shape), 4),
    storage,
  }
}

/** Whether `size` columns from `start` may be a view: vec4 borders, and zero padding behind a last odd column. */
function aligned(start: number, size: number, total: number): boolean {
  return start % 4 === 0 && (size % 4 === 0 || start + size === total)
}

function viewOf(op: Op, placements: ReadonlyMap<number, Placement>): Placement | undefined {
  if (op.kind === 'reshape') return placements.get(op.inputs.x.id)
  if (op.kind !== 'slice') return undefined
  const base = placements.get(op.inputs.x.id)
  invariant(base, `${op.path}: the sliced tensor has no place`)
  const total = lastAxis(op.inputs.x.shape)
  const size = lastAxis(op.outputs.y.shape)
  if (!aligned(op.start, size, total)) return undefined
  return { root: base.root, offset: base.offset + op.start }
}

/**
 * Chooses for each concatenation which parts are written in place. A part qualifies when it is made by an operation
 * (no input, no view) and starts on a vec4. An operation may then read one part and write another of the same
 * buffer; that is sound because a kernel binds a buffer once and touches disjoint columns.
 */
function planConcatenations(graph: Graph): Map<number, Placement> {
  const producers = new Map<number, Op>()
  for (const op of graph.ops) for (const tensor of outputsOf(op)) producers.set(tensor.id, op)
  const result = new Map<number, Placement>()
  for (const op of graph.ops) {
    if (op.kind !== 'concat') continue
    const y = op.outputs.y
    const root = newRoot(y, 'arena', 'activation')
    const total = lastAxis(y.shape)
    result.set(y.id, { root, offset: 0 })
    let offset = 0
    for (const part of Object.values(op.inputs)) {
      const size = lastAxis(part.shape)
      // Reshapes between the maker and the concatenation keep the rows, so the maker may write in place.
      let maker = part
      let producer = producers.get(maker.id)
      while (producer?.kind === 'reshape') {
        maker = producer.inputs.x
        producer = producers.get(maker.id)
      }
      const fresh = producer && producer.kind !== 'slice' && producer.kind !== 'concat'
      if (fresh && !result.has(maker.id) && aligned(offset, size, total)) {
        result.set(maker.id, { root, offset })
      }
      offset += size
    }
  }
  return result
}

function lifetimesOf(
  graph: Graph,
  placements: ReadonlyMap<number, Placement>,
): Map<Root, { first: number; last: number }> {
  const lifetimes = new Map<Root, { first: number; last: number }>()
  const touch = (tensor: Tensor, index: number): void => {
    const place = placements.get(tensor.id)
    invariant(place, `${tensor.label} has no place`)
    const life = lifetimes.get(place.root)
    if (!life) lifetimes.set(place.root, { first: index, last: index })
    else {
      life.first = Math.min(life.first, index)
      life.last = Math.max(life.last, index)
    }
  }
  for (const [index, op] of graph.ops.entries()) {
    for (const tensor of [...inputsOf(op), ...outputsOf(op)]) touch(tensor, index)
  }
  for (const tensor of graph.outputs.values()) touch(tensor, graph.ops.length)
  return lifetimes
}
