/** Brings weights of .safetensors files into an ONNX graph without converting them. */
import type { ByteSource } from '../contract/bytes.ts'
import { roundUp } from '../tensor/shape.ts'
import { readRange } from '../weights/safetensors.ts'
import type { WeightDType, WeightEntry } from '../weights/weight-reader.ts'
import type { ExternalLocation, OnnxGraph, OnnxValue } from './graph.ts'
import { onnxDTypes, type OnnxDType } from './operators.ts'

const dtypes: Readonly<Record<WeightDType, OnnxDType>> = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' }

/** Decides where the model says that a weight lies. */
export interface WeightPlacement {
  place(weight: WeightEntry): ExternalLocation
}

/**
 * Weights stay where they are: the model points into the files, at the offsets of the safetensors header. For a model
 * that is saved beside its weights (a native runtime maps them), or when the whole file is given to the session.
 * @param locationOf the name of a source as the model shall spell it; its own name unless given.
 */
export function placeInFiles(
  locationOf: (source: ByteSource) => string = source => source.name,
): WeightPlacement {
  return {
    place: ({ source, byteOffset, byteLength }) => ({
      location: locationOf(source),
      offset: byteOffset,
      byteLength,
    }),
  }
}

/**
 * Weights are gathered in one block, each aligned to 16 bytes. For a runtime that needs the bytes in memory: only
 * what the network uses is read, however large the checkpoint around it is, and from however many files.
 */
export class PackedWeights implements WeightPlacement {
  readonly location: string
  private readonly entries: { readonly weight: WeightEntry; readonly offset: number }[] = []
  private end = 0

  constructor(location = 'weights.bin') {
    this.location = location
  }

  /** Size of the block in bytes. */
  get byteLength(): number {
    return this.end
  }

  place(weight: WeightEntry): ExternalLocation {
    const offset = this.end
    this.entries.push({ weight, offset })
    this.end = roundUp(offset + weight.byteLength, 16)
    return { location: this.location, offset, byteLength: weight.byteLength }
  }

  /**
   * Reads the block.
   * @throws AttuneError `bad-file`
   */
  async read(): Promise<Uint8Array<ArrayBuffer>> {
    const block = new Uint8Array(this.end)
    for (const { weight, offset } of this.entries) {
      const target = block.subarray(offset, offset + weight.byteLength)
      await readRange(weight.source, weight.byteOffset, weight.byteLength, target)
    }
    return block
  }
}

/**
 * Adds a weight to the graph as f32. Half-precision weights are followed by a Cast, which the runtime folds when it
 * loads the model: its CPU kernels have no half-precision products.
 */
export function addWeight(graph: OnnxGraph, weight: WeightEntry, placement: WeightPlacement): OnnxValue {
  const stored = graph.external(weight.path, dtypes[weight.dtype], weight.shape, placement.place(weight))
  return weight.dtype === 'F32' ? stored : graph.op('Cast', [stored], { to: onnxDTypes.float32 })
}
