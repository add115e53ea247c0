/** Turns chunks of tokens into the embeddings that a denoiser attends to. */
import { memorySource, type ByteSource } from '../contract/bytes.ts'
import { AttuneError, invariant } from '../contract/errors.ts'
import { OnnxSession, type OnnxRuntime, type SessionOptions } from '../onnx/session.ts'
import { PackedWeights } from '../onnx/weights.ts'
import { WeightReader } from '../weights/weight-reader.ts'
import { chunkLength } from './chunks.ts'
import { readClipTextConfig, type ClipTextConfig } from './clip-config.ts'
import { clipSkipOutput, clipTextGraph, hiddenToken, idsInput, tokenMaskInput } from './clip-graph.ts'

export interface ClipTextEncoderOptions {
  /** The parsed text_encoder/config.json. */
  readonly config: unknown
  /** text_encoder/model.safetensors: a source, its bytes, its shards, or a cursor into a larger file. */
  readonly weights: ByteSource | readonly ByteSource[] | Uint8Array | WeightReader
  /** For messages. */
  readonly name?: string
  /** See `SessionOptions`. */
  readonly ort?: OnnxRuntime
  readonly numThreads?: number
  readonly executionProviders?: SessionOptions['executionProviders']
}

/** What the denoiser reads: [S, E], S = chunks × 77 rows. */
export interface TextEmbeddings {
  readonly data: Float32Array
  readonly shape: readonly [rows: number, embedding: number]
}

/** Ids of a chunk, and which of its positions are to be hidden from attention. */
export interface EncodableChunk {
  readonly ids: readonly number[]
  readonly hidden?: readonly number[]
}

export class ClipTextEncoder {
  readonly config: ClipTextConfig
  private readonly session: OnnxSession

  private constructor(config: ClipTextConfig, session: OnnxSession) {
    this.config = config
    this.session = session
  }

  /**
   * Reads the weights into the runtime. Until it returns, host memory holds them once, besides the runtime's own copy.
   * @throws AttuneError `bad-model` (configuration and weights disagree), `bad-file`, `unsupported`, `out-of-memory`
   */
  static async load(options: ClipTextEncoderOptions): Promise<ClipTextEncoder> {
    const name = options.name ?? 'text_encoder'
    const config = readClipTextConfig(options.config, `${name}/config.json`)
    const reader = await openWeights(options.weights, `${name}/model.safetensors`)
    const packed = new PackedWeights()
    const graph = clipTextGraph(config, reader, packed, { tokenMask: true })
    const session = await OnnxSession.create({
      name: 'text encoder',
      model: graph.toModel(),
      externalData: [{ location: packed.location, data: await packed.read() }],
      ...(options.ort && { ort: options.ort }),
      ...(options.numThreads !== undefined && { numThreads: options.numThreads }),
      ...(options.executionProviders && { executionProviders: options.executionProviders }),
    })
    return new ClipTextEncoder(config, session)
  }

  /**
   * Encodes all chunks in one run.
   * @param options.clipSkip layers left out at the end, as diffusers counts: 0 = none (the default), 1 = what other
   *   programs call "clip skip 2".
   * @param chunks.hidden positions that no token attends to. Without, or with none, the result is the same bit for bit.
   * @throws AttuneError `bad-argument` for a clip-skip beyond the layers, `bad-model` when the tokenizer knows more
   *   tokens than the encoder, `non-finite` when the weights give no numbers.
   */
  async encode(
    chunks: readonly EncodableChunk[],
    options: { readonly clipSkip?: number } = {},
  ): Promise<TextEmbeddings> {
    const { numHiddenLayers, hiddenSize, vocabSize } = this.config
    const clipSkip = options.clipSkip ?? 0
    if (!Number.isInteger(clipSkip) || clipSkip < 0 || clipSkip > numHiddenLayers) {
      throw new AttuneError(
        'bad-argument',
        `Clip skip ${clipSkip} is not possible: this text encoder has ${numHiddenLayers} layers.`,
        `Choose a whole number from 0 to ${numHiddenLayers}.`,
      )
    }
    invariant(chunks.length > 0, 'ClipTextEncoder.encode: no chunk')
    const ids = new BigInt64Array(chunks.length * chunkLength)
    const mask = new Float32Array(ids.length)
    for (const [index, chunk] of chunks.entries()) {
      invariant(
        chunk.ids.length === chunkLength,
        `ClipTextEncoder.encode: a chunk of ${chunk.ids.length} ids`,
      )
      for (const [position, id] of chunk.ids.entries()) {
        if (!(id >= 0 && id < vocabSize)) throw foreignToken(id, vocabSize)
        ids[index * chunkLength + position] = BigInt(id)
      }
      for (const position of chunk.hidden ?? []) mask[index * chunkLength + position] = hiddenToken
    }
    const output = clipSkipOutput(clipSkip)
    const shape = [chunks.length, chunkLength]
    const results = await this.session.run(
      { [idsInput]: { data: ids, shape }, [tokenMaskInput]: { data: mask, shape } },
      [output],
    )
    const data = results[output]?.data
    invariant(data instanceof Float32Array, 'ClipTextEncoder.encode: the output is not f32')
    if (!data.every(Number.isFinite)) {
      throw new AttuneError(
        'non-finite',
        'The text encoder gave values that are not numbers.',
        'Its weights seem to be damaged: download the text encoder of this model again.',
      )
    }
    return { data, shape: [chunks.length * chunkLength, hiddenSize] }
  }

  /** Frees the runtime's memory. */
  dispose(): Promise<void> {
    return this.session.release()
  }
}

function openWeights(weights: ClipTextEncoderOptions['weights'], name: string): Promise<WeightReader> {
  if (weights instanceof WeightReader) return Promise.resolve(weights)
  if (weights instanceof Uint8Array) return WeightReader.open([memorySource(name, weights)])
  return WeightReader.open('read' in weights ? [weights] : weights)
}

function foreignToken(id: number, vocabSize: number): AttuneError {
  return new AttuneError(
    'bad-model',
    `The tokenizer made the token ${id}, but this text encoder knows only ${vocabSize}.`,
    'Use the tokenizer folder that belongs to this model.',
  )
}
