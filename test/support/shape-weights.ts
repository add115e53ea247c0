/** A checkpoint without numbers: it has every tensor that it is asked for. For counting and for shape checks. */
import { AttuneError } from '../../model/contract/errors.ts'
import type { WeightData } from '../../model/graph/ops.ts'
import { pathOf, type WeightCursor } from '../../model/nn/reader.ts'
import { elementCount, type Shape } from '../../model/tensor/shape.ts'

export interface ShapeWeights extends WeightCursor {
  /** Everything that was asked for so far below any cursor of this checkpoint, by path. */
  readonly asked: ReadonlyMap<string, WeightData>
}

/** @param dtype what the tensors claim to be stored as */
export function shapeWeights(dtype: WeightData['dtype'] = 'F16'): ShapeWeights {
  const asked = new Map<string, WeightData>()
  const cursor = (path: string): ShapeWeights => ({
    path,
    asked,
    at: segment => cursor(path === '' ? String(segment) : `${path}.${segment}`),
    has: () => true,
    tensor(name: string, shape: Shape): WeightData {
      const full = pathOf(this, name)
      if (asked.has(full)) throw new AttuneError('internal', `${full} was asked for twice`)
      const byteLength = elementCount(shape) * (dtype === 'F32' ? 4 : 2)
      const source = {
        name: full,
        byteLength,
        read: () => Promise.reject(new AttuneError('internal', `${full} has a shape but no numbers`)),
      }
      const weight: WeightData = { path: full, dtype, shape, source, byteOffset: 0, byteLength }
      asked.set(full, weight)
      return weight
    },
  })
  return cursor('')
}

/** The number of parameters that were asked for. */
export function parameterCount(weights: ShapeWeights): number {
  let count = 0
  for (const { shape } of weights.asked.values()) count += elementCount(shape)
  return count
}
