/**
 * Builds an ONNX model. Nodes are added in the order in which they run; weights may lie outside the model, at an
 * offset of any file (`external data`), for example straight in a .safetensors file.
 *
 *   const graph = new OnnxGraph('double')
 *   const x = graph.input('x', 'float32', ['batch', 4])
 *   graph.output('y', graph.op('Mul', [x, graph.scalar(2)]), 'float32', ['batch', 4])
 *   const bytes = graph.toModel()
 *
 * Field numbers: onnx/onnx `onnx/onnx.proto`.
 */
import { invariant } from '../contract/errors.ts'
import { elementCount, formatShape, type Shape } from '../tensor/shape.ts'
import {
  onnxBytes,
  onnxDTypes,
  operatorAttributes,
  type AttributeKind,
  type AttributesOf,
  type OnnxDType,
  type OperatorName,
  type TaggedAttribute,
} from './operators.ts'
import { ProtoWriter } from './protobuf.ts'

/** A tensor of the graph: an input, a constant or the result of a node. */
export interface OnnxValue {
  readonly name: string
}

/** A size, or the name of a size that is known when the model runs. */
export type OnnxDimension = number | string

/** Where the bytes of a weight lie. */
export interface ExternalLocation {
  /** The name under which the session is given the bytes; on disk, a path relative to the model. */
  readonly location: string
  readonly offset: number
  readonly byteLength: number
}

/** Values of `AttributeProto.AttributeType`, and the field that holds the value. */
const attributeFields: Readonly<Record<AttributeKind, readonly [type: number, field: number]>> = {
  float: [1, 2],
  int: [2, 3],
  string: [3, 4],
  tensor: [4, 5],
  floats: [6, 7],
  ints: [7, 8],
  strings: [8, 9],
}

export class OnnxGraph {
  readonly name: string
  private readonly opset: number
  private readonly nodes: ProtoWriter[] = []
  private readonly initializers: ProtoWriter[] = []
  private readonly inputs: ProtoWriter[] = []
  private readonly outputs: ProtoWriter[] = []
  private readonly names = new Set<string>()
  private readonly constants = new Map<string, OnnxValue>()
  private readonly domains = new Map<string, number>()
  private readonly counts = new Map<string, number>()
  private unnamed = 0

  /** @param opset of the default domain; 17 has LayerNormalization, 18 GroupNormalization, 20 Gelu. */
  constructor(name: string, opset = 17) {
    this.name = name
    this.opset = opset
  }

  /** How many nodes of each operator there are. */
  get operatorCounts(): ReadonlyMap<string, number> {
    return this.counts
  }

  input(name: string, dtype: OnnxDType, shape: readonly OnnxDimension[]): OnnxValue {
    this.inputs.push(valueInfo(this.claim(name), dtype, shape))
    return { name }
  }

  /** Makes a value a result of the model under the given name. */
  output(name: string, value: OnnxValue, dtype: OnnxDType, shape: readonly OnnxDimension[]): OnnxValue {
    const result = this.addNode('Identity', [value], [], 1, '', name)[0] as OnnxValue
    this.outputs.push(valueInfo(name, dtype, shape))
    return result
  }

  /**
   * Adds a node with one result.
   * @param inputs `undefined` leaves out an optional input in the middle.
   */
  op<Name extends OperatorName>(
    type: Name,
    inputs: readonly (OnnxValue | undefined)[],
    attributes: AttributesOf<Name> = {},
  ): OnnxValue {
    return this.opWithOutputs(type, inputs, 1, attributes)[0] as OnnxValue
  }

  /** Adds a node with several results, for example `Split`. */
  opWithOutputs<Name extends OperatorName>(
    type: Name,
    inputs: readonly (OnnxValue | undefined)[],
    outputCount: number,
    attributes: AttributesOf<Name> = {},
  ): OnnxValue[] {
    const kinds: Readonly<Record<string, AttributeKind>> = operatorAttributes[type]
    const tagged: (readonly [string, TaggedAttribute])[] = []
    for (const [name, value] of Object.entries(attributes)) {
      if (value === undefined) continue
      const kind = kinds[name]
      invariant(kind !== undefined, `ONNX ${type} has no attribute ${name}`)
      // The kind comes from the same table as the type of the value.
      tagged.push([name, { kind, value } as TaggedAttribute])
    }
    return this.addNode(type, inputs, tagged, outputCount, '')
  }

  /** Adds a node of an operator outside the table or of another domain, such as `com.microsoft`. */
  customOp(
    type: string,
    inputs: readonly (OnnxValue | undefined)[],
    attributes: Readonly<Record<string, TaggedAttribute>>,
    options: {
      readonly domain?: string
      readonly domainVersion?: number
      readonly outputCount?: number
    } = {},
  ): OnnxValue[] {
    const domain = options.domain ?? ''
    if (domain !== '') this.domains.set(domain, options.domainVersion ?? 1)
    return this.addNode(type, inputs, Object.entries(attributes), options.outputCount ?? 1, domain)
  }

  /** A constant whose bytes are part of the model. */
  constant(dtype: OnnxDType, shape: Shape, data: ArrayBufferView, name = this.fresh()): OnnxValue {
    invariant(
      elementCount(shape) * onnxBytes[dtype] === data.byteLength,
      `ONNX constant ${name}: ${dtype} ${formatShape(shape)} does not take ${data.byteLength} bytes`,
    )
    this.initializers.push(
      tensorHeader(this.claim(name), dtype, shape).bytes(
        9,
        new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
      ),
    )
    return { name }
  }

  /** A constant f32 tensor. */
  floats(shape: Shape, values: Iterable<number>): OnnxValue {
    return this.constant('float32', shape, Float32Array.from(values))
  }

  /** A constant f32 number; equal numbers share one constant. */
  scalar(value: number): OnnxValue {
    return this.shared(`f32 ${Object.is(value, -0) ? '-0' : value}`, () => this.floats([], [value]))
  }

  /** A constant list of int64: the shapes, axes and indices that many operators take as inputs. Equal lists are shared. */
  integers(values: readonly number[]): OnnxValue {
    const data = () => BigInt64Array.from(values, BigInt)
    return this.shared(`i64 ${values.join()}`, () => this.constant('int64', [values.length], data()))
  }

  /** A constant whose bytes lie outside the model. */
  external(name: string, dtype: OnnxDType, shape: Shape, place: ExternalLocation): OnnxValue {
    invariant(
      elementCount(shape) * onnxBytes[dtype] === place.byteLength,
      `ONNX weight ${name}: ${dtype} ${formatShape(shape)} does not take ${place.byteLength} bytes`,
    )
    const tensor = tensorHeader(this.claim(name), dtype, shape)
    tensor.message(13, entry('location', place.location))
    tensor.message(13, entry('offset', String(place.offset)))
    tensor.message(13, entry('length', String(place.byteLength)))
    // data_location = EXTERNAL
    tensor.integer(14, 1)
    this.initializers.push(tensor)
    return { name }
  }

  /** The bytes of the finished `ModelProto`. */
  toModel(): Uint8Array<ArrayBuffer> {
    const graph = new ProtoWriter()
    for (const node of this.nodes) graph.message(1, node)
    graph.string(2, this.name)
    for (const initializer of this.initializers) graph.message(5, initializer)
    for (const input of this.inputs) graph.message(11, input)
    for (const output of this.outputs) graph.message(12, output)
    const model = new ProtoWriter().integer(1, irVersion(this.opset)).string(2, 'attune').message(7, graph)
    for (const [domain, version] of [['', this.opset] as const, ...this.domains]) {
      model.message(8, new ProtoWriter().string(1, domain).integer(2, version))
    }
    return model.finish()
  }

  private addNode(
    type: string,
    inputs: readonly (OnnxValue | undefined)[],
    attributes: readonly (readonly [string, TaggedAttribute])[],
    outputCount: number,
    domain: string,
    outputName?: string,
  ): OnnxValue[] {
    const node = new ProtoWriter()
    for (const input of inputs) {
      invariant(
        !input || this.names.has(input.name),
        `ONNX ${type}: "${input?.name}" is not a value of this graph`,
      )
      node.string(1, input?.name ?? '')
    }
    const outputs: OnnxValue[] = []
    for (let index = 0; index < outputCount; index++) {
      const name = this.claim(outputName ?? this.fresh())
      node.string(2, name)
      outputs.push({ name })
    }
    node.string(3, `${type}_${this.nodes.length}`).string(4, type)
    for (const [name, attribute] of attributes) node.message(5, attributeMessage(name, attribute))
    if (domain !== '') node.string(7, domain)
    this.nodes.push(node)
    this.counts.set(type, (this.counts.get(type) ?? 0) + 1)
    return outputs
  }

  private shared(key: string, make: () => OnnxValue): OnnxValue {
    const known = this.constants.get(key)
    if (known) return known
    const made = make()
    this.constants.set(key, made)
    return made
  }

  private fresh(): string {
    return `t${this.unnamed++}`
  }

  private claim(name: string): string {
    invariant(name !== '' && !this.names.has(name), `ONNX graph: the name "${name}" is used twice`)
    this.names.add(name)
    return name
  }
}

/** The oldest file version that may carry an opset. */
function irVersion(opset: number): number {
  if (opset >= 23) return 11
  if (opset >= 21) return 10
  return opset >= 19 ? 9 : 8
}

function tensorHeader(name: string, dtype: OnnxDType, shape: Shape): ProtoWriter {
  const tensor = new ProtoWriter()
  for (const size of shape) tensor.integer(1, size)
  tensor.integer(2, onnxDTypes[dtype])
  return name === '' ? tensor : tensor.string(8, name)
}

function entry(key: string, value: string): ProtoWriter {
  return new ProtoWriter().string(1, key).string(2, value)
}

function valueInfo(name: string, dtype: OnnxDType, shape: readonly OnnxDimension[]): ProtoWriter {
  const dimensions = new ProtoWriter()
  for (const size of shape) {
    const dimension = new ProtoWriter()
    dimensions.message(1, typeof size === 'number' ? dimension.integer(1, size) : dimension.string(2, size))
  }
  const tensorType = new ProtoWriter().integer(1, onnxDTypes[dtype]).message(2, dimensions)
  return new ProtoWriter().string(1, name).message(2, new ProtoWriter().message(1, tensorType))
}

function attributeMessage(name: string, attribute: TaggedAttribute): ProtoWriter {
  const [type, field] = attributeFields[attribute.kind]
  const message = new ProtoWriter().string(1, name)
  switch (attribute.kind) {
    case 'int':
      message.integer(field, attribute.value)
      break
    case 'float':
      message.float(field, attribute.value)
      break
    case 'string':
      message.string(field, attribute.value)
      break
    case 'tensor': {
      const { dtype, shape, data } = attribute.value
      const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
      message.message(field, tensorHeader('', dtype, shape).bytes(9, bytes))
      break
    }
    case 'ints':
      for (const value of attribute.value) message.integer(field, value)
      break
    case 'floats':
      for (const value of attribute.value) message.float(field, value)
      break
    case 'strings':
      for (const value of attribute.value) message.string(field, value)
      break
  }
  return message.integer(20, type)
}
