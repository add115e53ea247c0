/**
 * What the modules need of a checkpoint: a cursor that is asked for tensors by name and expected shape. The real one
 * is `weights/weight-reader.ts`; tests may bring another.
 */
import type { WeightData } from '../graph/ops.ts'
import type { Shape } from '../tensor/shape.ts'

export interface WeightCursor {
  /** The path of this cursor, without a trailing dot. */
  readonly path: string
  at(segment: string | number): WeightCursor
  has(name: string): boolean
  tensor(name: string, shape: Shape): WeightData
}
