// Placeholder by the lead so that kernels/index.ts loads; the attention kernel replaces this file whole.
import type { AttentionOp } from '../graph/ops.ts'
import type { Lowering } from './lowering.ts'
export const lowerAttention: Lowering<AttentionOp> = () => {
  throw new Error('attention kernel not written yet')
}
