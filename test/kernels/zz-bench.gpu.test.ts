import { test } from 'vitest'
import type { AttentionOp, GroupNormOp } from '../../model/graph/ops.ts'
import { lowerAttention } from '../../model/kernels/attention.ts'
import { lowerGroupNorm } from '../../model/kernels/group-norm.ts'
import { noise, runKernel, tensor, weightOf } from '../support/kernel-harness.ts'
test('bench', async () => {
  for (const [L, S, N, D, B] of [[256, 77, 2, 32, 1], [256, 77, 2, 32, 2], [256, 256, 2, 32, 1], [256, 256, 2, 32, 2], [256,77,4,32,1], [1024, 77, 2, 32, 2], [4096, 77, 8, 40, 1]] as const) {
    const q = tensor([B, L, N * D]), k = tensor([B, S, N * D]), v = tensor([B, S, N * D]), y = tensor([B, L, N * D])
    const op: AttentionOp = { kind: 'attention', path: 'a', inputs: { query: q, key: k, value: v }, outputs: { y }, numHeads: N, softmaxScale: 0.2, causal: false }
    const out: string[] = []
    for (const timed of L > 1024 ? [undefined] : [undefined, 0, 1, 2]) {
      const r = await runKernel(lowerAttention, op, { inputs: new Map([[q, noise(B*L*N*D, 1)], [k, noise(B*S*N*D, 2)], [v, noise(B*S*N*D, 3)]]), repeat: L > 1024 ? 2: 30, ...(timed !== undefined && { timed }) })
      out.push(`${r.time.milliseconds.toFixed(3)} (cpu ${r.time.processorMilliseconds.toFixed(2)})`)
      if (timed === undefined) out.push(`= ${(4*B*L*S*N*D/r.time.milliseconds/1e6).toFixed(1)} GFLOPS;`)
    }
    console.log(`L${L} S${S} N${N} D${D} B${B}: ${out.join(' ')}`)
  }
  for (const [B, P, C, G] of [[2, 1024, 64, 32], [2, 256, 128, 32], [2, 64, 128, 32], [2, 4096, 320, 32]] as const) {
    const x = tensor([B, P, C]), y = tensor([B, P, C])
    const op: GroupNormOp = { kind: 'groupNorm', path: 'n', inputs: { x }, outputs: { y }, weight: weightOf('w', noise(C, 1)), bias: weightOf('b', noise(C, 2)), groups: G, eps: 1e-5, activation: 'silu' }
    const r = await runKernel(lowerGroupNorm, op, { inputs: new Map([[x, noise(B*P*C, 1)]]), repeat: 5 })
    console.log(`groupnorm+silu B${B} P${P} C${C}: ${r.dispatches.length} dispatches, ${r.time.milliseconds.toFixed(3)} ms cpu ${r.time.processorMilliseconds.toFixed(3)}; GB/s ${(B*P*C*8/r.time.milliseconds/1e6).toFixed(2)}`)
  }
})
