/**
 * What the modules need of a checkpoint: a cursor that is asked for tensors by name and expected shape. The real one
 * is `weights/weight-reader.ts`; tests may bring another.
 */
import type { WeightData } from '../graph/ops.ts'
import type { Shape } from '../tensor/shape.ts'

/** Other forms in which a checkpoint may hold a tensor. */
export interface TensorAlternatives {
  /** Other names, relative to the cursor, in order of preference. */
  readonly names?: readonly string[]
  /** Other shapes of the same elements in the same order. */
  readonly shapes?: readonly Shape[]
}

export interface WeightCursor {
  /** The path of this cursor, without a trailing dot. */
  readonly path: string
  at(segment: string | number): WeightCursor
  has(name: string): boolean
  /** The result always has the asked-for path and shape, whichever alternative is stored. */
  tensor(name: string, shape: Shape, alternatives?: TensorAlternatives): WeightData
}

/** The path of `name` below a cursor. */
export function pathOf(weights: WeightCursor, name: string): string {
  return weights.path === '' ? name : `${weights.path}.${name}`
}
