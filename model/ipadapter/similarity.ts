/** How alike pictures are by CLIP's embeddings: the cosine of the angle between them (Radford et al. 2021). */
import { invariant } from '../contract/errors.ts'

export interface Similar<T> {
  readonly item: T
  /** −1 to 1; 1 is the same. */
  readonly similarity: number
}

/** A vector of length 1 in the same direction; zeros stay. */
export function unitVector(vector: Float32Array): Float32Array {
  let sum = 0
  for (const value of vector) sum += value * value
  const length = Math.sqrt(sum)
  return length > 0 ? vector.map(value => value / length) : vector.slice()
}

/**
 * The candidates most like a picture, the best first; equal ones stay in their order.
 * @param query and the candidates' vectors are of length 1
 */
export function mostSimilar<T>(
  query: Float32Array,
  candidates: Iterable<readonly [item: T, vector: Float32Array]>,
  limit: number,
): Similar<T>[] {
  const found: Similar<T>[] = []
  for (const [item, vector] of candidates) {
    invariant(
      vector.length === query.length,
      `an embedding of ${vector.length} beside one of ${query.length}`,
    )
    let similarity = 0
    for (let i = 0; i < query.length; i++) similarity += (query[i] as number) * (vector[i] as number)
    found.push({ item, similarity })
  }
  return found.toSorted((a, b) => b.similarity - a.similarity).slice(0, limit)
}
