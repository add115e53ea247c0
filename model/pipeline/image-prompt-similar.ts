/** "More like this": pictures as vectors of a CLIP vision encoder, one after another, with the encoder loaded once. */
import { AttuneError } from '../contract/errors.ts'
import type { ImageFit } from '../contract/image-prompts.ts'
import type { Backend, Program } from '../graph/program.ts'
import type { Pixels } from '../image/resample.ts'
import { unitVector } from '../ipadapter/similarity.ts'
import type { ClipVisionModel } from '../ipadapter/vision-encoder.ts'
import { clipPixels, patchesOf } from '../ipadapter/vision-input.ts'
import { firstNonFinite } from './finite.ts'

export class PictureEmbedder {
  readonly #encoder: ClipVisionModel
  readonly #program: Program
  readonly #positions: Float32Array
  readonly #fit: ImageFit

  private constructor(encoder: ClipVisionModel, program: Program, positions: Float32Array, fit: ImageFit) {
    this.#encoder = encoder
    this.#program = program
    this.#positions = positions
    this.#fit = fit
  }

  /**
   * Loads an encoder.
   * @param fit how pictures that are not square are seen; all of each unless given
   */
  static async open(
    backend: Backend,
    encoder: ClipVisionModel,
    fit: ImageFit = 'resize',
  ): Promise<PictureEmbedder> {
    const positions = await encoder.readPositions()
    return new PictureEmbedder(encoder, await backend.compile(encoder.recordEncode()), positions, fit)
  }

  /**
   * @param picture RGB of any size
   * @returns its embedding, of length 1
   * @throws AttuneError `non-finite`, and what the backend throws
   */
  async embed(picture: Pixels): Promise<Float32Array> {
    const { config } = this.#encoder
    const patches = patchesOf(clipPixels(picture, config.imageSize, this.#fit), config)
    const outputs = await this.#program.run({ patches, positions: this.#positions })
    const { embeds } = this.#encoder.read(outputs)
    if (firstNonFinite(embeds) < 0) return unitVector(embeds)
    throw new AttuneError(
      'non-finite',
      'The vision encoder gave values that are not numbers.',
      'Its weights seem to be damaged: download the image encoder again.',
    )
  }

  dispose(): void {
    this.#program.dispose()
  }
}
