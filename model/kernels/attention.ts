/**
 * Scaled dot-product attention with controls (Vaswani et al. 2017; see `AttentionOp` for the formula):
 *
 *   y[b, l, n] = Σ_s valueGain[b, s] · tokenScale[b, s] · softmax_s(scale · q[b, l, n]·k[b, s, n] + logitBias[b, l, s]) · v[b, s, n]
 *
 * Shapes: query, y [B, L, N·D], key, value [B or 1, S, N·D]; any L, S, N and D.
 *
 * Three kernels, chosen by the adapter and the head size:
 *   three-pass  software adapters, and heads too large for a thread's registers (a VAE's single head of 512):
 *               scores in memory, each product at the speed of a matrix product;
 *   flash       real GPUs, D ≤ 160: nothing of size L × S is ever stored;
 *   simple      heads that are not a multiple of 4: correct, not fast.
 * All take the same controls, and neutral controls (0, 1, 1) change no bit of the result. Asking for probabilities
 * changes no bit of y.
 */
import type { AttentionOp } from '../graph/ops.ts'
import { flashHeadLimit, lowerFlashAttention } from './attention-flash.ts'
import { planAttention } from './attention-plan.ts'
import { lowerSimpleAttention } from './attention-simple.ts'
import { lowerThreePassAttention } from './attention-three-pass.ts'
import type { DeviceFacts, Lowering } from './lowering.ts'

export type AttentionVariant = 'three-pass' | 'flash' | 'simple'

/** Which kernel serves a head size on an adapter. */
export function attentionVariant(facts: DeviceFacts, headSize: number): AttentionVariant {
  if (headSize % 4 !== 0) return 'simple'
  return facts.software || headSize > flashHeadLimit ? 'three-pass' : 'flash'
}

export const lowerAttention: Lowering<AttentionOp> = (op, context) => {
  const plan = planAttention(op, context)
  switch (attentionVariant(context.facts, plan.headSize)) {
    case 'three-pass':
      return lowerThreePassAttention(plan, context)
    case 'flash':
      return lowerFlashAttention(plan, context)
    case 'simple':
      return lowerSimpleAttention(plan, context)
  }
}
