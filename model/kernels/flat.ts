/**
 * A flat range of threads over the dispatch grid, for kernels in which every thread has its own piece of work.
 */
import { fold, foldedRows } from './shader.ts'

export interface FlatGrid {
  readonly workgroupSize: readonly [number, number, number]
  readonly workgroups: readonly [number, number, number]
  /** WGSL that declares `index`, the thread's number; those past the end must return. */
  readonly index: string
}

/** @param count threads wanted. @param size threads a workgroup: 64 hides the cost of a workgroup everywhere. */
export function flatGrid(count: number, size = 64): FlatGrid {
  return {
    workgroupSize: [size, 1, 1],
    workgroups: [1, ...fold(Math.ceil(count / size))],
    index: `let index = (workgroup.y + workgroup.z * ${foldedRows}u) * ${size}u + local;`,
  }
}
