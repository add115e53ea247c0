/**
 * The ONNX operators that Attune emits, with the kinds of their attributes. ONNX tells 1 from 1.0 in its attributes
 * and JavaScript does not, so the kind comes from this table, and misspelt attributes do not compile.
 *
 * Source: onnx.ai/onnx/operators, opset 17 (GroupNormalization: 18 and later, Gelu: 20 and later).
 */
export const operatorAttributes = {
  Add: {},
  Cast: { to: 'int' },
  Clip: {},
  Concat: { axis: 'int' },
  ConstantOfShape: { value: 'tensor' },
  Conv: {
    auto_pad: 'string',
    dilations: 'ints',
    group: 'int',
    kernel_shape: 'ints',
    pads: 'ints',
    strides: 'ints',
  },
  ConvTranspose: {
    auto_pad: 'string',
    dilations: 'ints',
    group: 'int',
    kernel_shape: 'ints',
    output_padding: 'ints',
    output_shape: 'ints',
    pads: 'ints',
    strides: 'ints',
  },
  Cos: {},
  Div: {},
  Einsum: { equation: 'string' },
  Equal: {},
  Erf: {},
  Exp: {},
  Expand: {},
  Flatten: { axis: 'int' },
  Gather: { axis: 'int' },
  Gelu: { approximate: 'string' },
  Gemm: { alpha: 'float', beta: 'float', transA: 'int', transB: 'int' },
  GroupNormalization: { epsilon: 'float', num_groups: 'int' },
  Identity: {},
  InstanceNormalization: { epsilon: 'float' },
  LayerNormalization: { axis: 'int', epsilon: 'float', stash_type: 'int' },
  MatMul: {},
  Max: {},
  Min: {},
  Mul: {},
  Neg: {},
  Pad: { mode: 'string' },
  Pow: {},
  Reciprocal: {},
  ReduceMax: { axes: 'ints', keepdims: 'int' },
  ReduceMean: { axes: 'ints', keepdims: 'int' },
  ReduceSum: { keepdims: 'int', noop_with_empty_axes: 'int' },
  Relu: {},
  Reshape: { allowzero: 'int' },
  Resize: {
    coordinate_transformation_mode: 'string',
    cubic_coeff_a: 'float',
    exclude_outside: 'int',
    extrapolation_value: 'float',
    mode: 'string',
    nearest_mode: 'string',
  },
  Shape: { start: 'int', end: 'int' },
  Sigmoid: {},
  Sin: {},
  Slice: {},
  Softmax: { axis: 'int' },
  Split: { axis: 'int' },
  Sqrt: {},
  Squeeze: {},
  Sub: {},
  Tanh: {},
  Transpose: { perm: 'ints' },
  Unsqueeze: {},
  Where: {},
} as const satisfies Readonly<Record<string, Readonly<Record<string, AttributeKind>>>>

export type AttributeKind = 'int' | 'float' | 'string' | 'tensor' | 'ints' | 'floats' | 'strings'

export type OperatorName = keyof typeof operatorAttributes

/** A small tensor inside an attribute. */
export interface AttributeTensor {
  readonly dtype: OnnxDType
  readonly shape: readonly number[]
  readonly data: ArrayBufferView
}

interface AttributeTypes {
  readonly int: number | bigint
  readonly float: number
  readonly string: string
  readonly tensor: AttributeTensor
  readonly ints: readonly (number | bigint)[]
  readonly floats: readonly number[]
  readonly strings: readonly string[]
}

type ValuesOf<Kinds> = {
  readonly [Name in keyof Kinds]?: Kinds[Name] extends AttributeKind ? AttributeTypes[Kinds[Name]] : never
}

/** The attributes of an operator, with their types. */
export type AttributesOf<Name extends OperatorName> = ValuesOf<(typeof operatorAttributes)[Name]>

/** An attribute that carries its kind, for operators outside the table. */
export type TaggedAttribute = {
  readonly [Kind in AttributeKind]: { readonly kind: Kind; readonly value: AttributeTypes[Kind] }
}[AttributeKind]

/** Numbers of `TensorProto.DataType`. */
export const onnxDTypes = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
  bfloat16: 16,
} as const

export type OnnxDType = keyof typeof onnxDTypes

/** Bytes per element. */
export const onnxBytes: Readonly<Record<OnnxDType, number>> = {
  float32: 4,
  uint8: 1,
  int8: 1,
  int32: 4,
  int64: 8,
  bool: 1,
  float16: 2,
  float64: 8,
  bfloat16: 2,
}
