/** Which kernel file lowers which operation. */
import type { Op } from '../graph/ops.ts'
import { lowerAttentionPeak } from './attention-peak.ts'
import { lowerAttentionRow, lowerHeadMean } from './attention-row.ts'
import { lowerAttention } from './attention.ts'
import { lowerConv2d } from './conv2d.ts'
import { lowerConcat, lowerCopy } from './copy.ts'
import { lowerBinary, lowerGeglu, lowerUnary } from './elementwise.ts'
import { lowerGroupNorm } from './group-norm.ts'
import { lowerLayerNorm } from './layer-norm.ts'
import { lowerLinear } from './linear.ts'
import type { Dispatch, LoweringContext } from './lowering.ts'
import { lowerRmsNorm } from './rms-norm.ts'
import { lowerRowMoments } from './row-moments.ts'
import { lowerUpsample } from './upsample.ts'

/** The dispatches of one operation; none where its output is a view. */
export function lower(op: Op, context: LoweringContext): Dispatch[] {
  switch (op.kind) {
    case 'linear':
      return lowerLinear(op, context)
    case 'conv2d':
      return lowerConv2d(op, context)
    case 'groupNorm':
      return lowerGroupNorm(op, context)
    case 'rowMoments':
      return lowerRowMoments(op, context)
    case 'layerNorm':
      return lowerLayerNorm(op, context)
    case 'rmsNorm':
      return lowerRmsNorm(op, context)
    case 'attentionPeak':
      return lowerAttentionPeak(op, context)
    case 'attentionRow':
      return lowerAttentionRow(op, context)
    case 'headMean':
      return lowerHeadMean(op, context)
    case 'attention':
      return lowerAttention(op, context)
    case 'unary':
      return lowerUnary(op, context)
    case 'binary':
      return lowerBinary(op, context)
    case 'geglu':
      return lowerGeglu(op, context)
    case 'concat':
      return lowerConcat(op, context)
    case 'upsample':
      return lowerUpsample(op, context)
    case 'slice':
    case 'reshape': {
      const from = context.view(op.inputs.x)
      const to = context.view(op.outputs.y)
      const start = op.kind === 'slice' ? op.start : 0
      const view = from.buffer === to.buffer && to.offset === from.offset + start
      return view ? [] : lowerCopy(op, context)
    }
  }
}
