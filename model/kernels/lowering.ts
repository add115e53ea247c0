/**
 * What a kernel file knows while it turns one operation of a graph into dispatches: where its tensors will lie, which
 * packed weights it can ask for, and what the adapter can do. Buffers are named here and allocated later, when the
 * life of every one of them is known.
 */
import type { Tensor, WeightData } from '../graph/ops.ts'

/** Facts of an adapter that choose between kernel variants. */
export interface DeviceFacts {
  /** The fixed subgroup size when the fast path for software adapters applies (min = max ≤ 16), else 0. */
  readonly subgroupSize: number
  /** Storage of activations: f16 only where the adapter has `shader-f16` and gains from it. */
  readonly activationType: 'f32' | 'f16'
  /** Storage of matrices: pairs of f16 in u32, or f32. */
  readonly matrixType: 'f32' | 'f16'
  /** Compute on the processor: no gain from workgroup memory, compile time counts. */
  readonly software: boolean
  readonly maxComputeWorkgroupsPerDimension: number
  readonly maxStorageBufferBindingSize: number
  readonly maxStorageBuffersPerShaderStage: number
}

/** A buffer by name; compared by identity. */
export interface BufferRef {
  readonly label: string
  readonly kind: 'arena' | 'input' | 'state' | 'weight'
  readonly byteLength: number
}

/**
 * A tensor in memory: `rows` rows of `columns` elements. Rows start `rowStride` elements apart, the first one at
 * `offset`. Both are multiples of 4, so that kernels move vec4s, and a part of a concatenation is a view. Elements
 * between `columns` and the next multiple of 4 are always zero: every kernel that writes a row writes them.
 */
export interface TensorView {
  readonly buffer: BufferRef
  readonly offset: number
  readonly rowStride: number
  readonly rows: number
  readonly columns: number
  readonly type: 'f32' | 'f16'
}

/** One compute dispatch, ready to be bound and recorded. */
export interface Dispatch {
  /** Kernel and layer, for errors and the profiler. */
  readonly label: string
  /** The kernel's class, for the profiler's table. */
  readonly kernel: string
  readonly code: string
  /** In binding order, after the uniform at binding 0. */
  readonly bindings: readonly { readonly buffer: BufferRef; readonly writable: boolean }[]
  readonly params: ArrayBuffer
  readonly workgroups: readonly [number, number, number]
}

export interface LoweringContext {
  readonly facts: DeviceFacts
  /** Where a tensor of the graph lies. */
  view(tensor: Tensor): TensorView
  /** Memory for this operation alone: `rows` rows of f32, columns rounded up to 4. */
  scratch(label: string, rows: number, columns: number): TensorView
  /**
   * A packed matrix: rows are K = taps × C (C rounded up to 4), columns the joined outputs (each weight's N in turn,
   * the whole rounded up to 4). f32: vec4f [K][N/4]. f16: vec4u [K/2][N/4], where each u32 holds the halves of row 2k
   * (low) and 2k+1 (high) of one column. Weights are linear [N, C] or conv [N, C, kh, kw].
   */
  matrix(weights: readonly WeightData[]): BufferRef
  /** A vector in f32: the parts in turn, null for `length` zeros, the whole rounded up to 4. */
  vector(parts: readonly { readonly weight: WeightData | null; readonly length: number }[]): BufferRef
}

/** How an operation is turned into dispatches. */
export type Lowering<Operation> = (op: Operation, context: LoweringContext) => Dispatch[]
