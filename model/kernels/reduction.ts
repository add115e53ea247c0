/**
 * A sum over the threads of a workgroup.
 *
 * `total(value, local)` returns the sum to every thread; every thread of the workgroup must call it. The tree is
 * fixed, so the result is the same in every run. Workgroup memory: 4 bytes a thread.
 *
 * Software adapters run a workgroup's threads one after another and pay for every barrier: there a reduction belongs
 * to a single thread, and `threads` is 1.
 */
export function reduction(threads: number): string {
  if (threads === 1) return 'fn total(value: f32, local: u32) -> f32 { return value; }'
  return `
var<workgroup> partial_sums: array<f32, ${threads}>;
fn total(value: f32, local: u32) -> f32 {
  // A previous call may still be reading its result.
  workgroupBarrier();
  partial_sums[local] = value;
  workgroupBarrier();
  for (var half = ${threads / 2}u; half > 0u; half /= 2u) {
    if (local < half) { partial_sums[local] += partial_sums[local + half]; }
    workgroupBarrier();
  }
  return partial_sums[0];
}`
}
