/**
 * What the normalisations over the last axis share: the split of rows over threads.
 *
 * A software adapter gives a row to one thread (no barrier, 16 rows a workgroup so that few rows still reach all
 * cores); a real GPU gives it to a workgroup of 64 threads that stride over the row's vec4s and add up in workgroup
 * memory (256 bytes). Masked sums: in the last vec4 only `columns` count, so that any C is right.
 */
import { flatGrid } from './flat.ts'
import type { DeviceFacts, Dispatch, TensorView } from './lowering.ts'
import { reduction } from './reduction.ts'
import { fold, foldedRows, type Shader } from './shader.ts'
import { roundUp } from '../tensor/shape.ts'

/**
 * Ends a row kernel.
 * @param shader has x, y and the weights declared.
 * @param body WGSL that may use `row`, `P.quads`, `member` and `stride` (a thread visits the vec4s member,
 * member + stride, …), `inside(quad) -> vec4f` (1 for real columns, 0 for padding) and `total(value, local)`.
 */
export function rowKernel(
  shader: Shader,
  facts: DeviceFacts,
  label: string,
  x: TensorView,
  body: string,
): Dispatch {
  const threads = facts.software ? 1 : 64
  const grid = flatGrid(x.rows, 16)
  return shader
    .param('rows', 'u32', x.rows)
    .param('columns', 'u32', x.columns)
    .param('quads', 'u32', roundUp(x.columns, 4) / 4)
    .declare(reduction(threads))
    .declare(`
fn inside(quad: u32) -> vec4f {
  return select(vec4f(0.0), vec4f(1.0), vec4u(quad * 4u) + vec4u(0u, 1u, 2u, 3u) < vec4u(P.columns));
}`)
    .dispatch(
      label,
      [threads === 1 ? 16 : threads, 1, 1],
      `
  ${
    threads === 1
      ? `${grid.index}
  let row = index;
  let member = 0u;`
      : `let row = workgroup.y + workgroup.z * ${foldedRows}u;
  let member = local;`
  }
  let stride = ${threads}u;
  // The same for all threads that share a reduction.
  if (row >= P.rows) { return; }
  ${body}`,
      threads === 1 ? grid.workgroups : [1, ...fold(x.rows)],
    )
}
