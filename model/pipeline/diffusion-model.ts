/**
 * A Stable Diffusion model opened from a folder in diffusers layout: configurations read and checked, weights found
 * by name and shape (nothing is uploaded yet), tokenizer ready.
 */
import { AttuneError } from '../contract/errors.ts'
import type { ModelDefaults } from '../contract/request.ts'
import { parseSchedulerJson, samplerOfConfig, type SchedulerConfig } from '../schedulers/config.ts'
import { ClipTextEncoder } from '../text/text-encoder.ts'
import { ClipTokenizer } from '../text/tokenizer.ts'
import { parseUNetConfig } from '../unet/config.ts'
import { UNet2DConditionModel } from '../unet/unet-2d-condition-model.ts'
import { AutoencoderKL } from '../vae/autoencoder-kl.ts'
import { parseVaeConfig } from '../vae/config.ts'
import { WeightReader } from '../weights/weight-reader.ts'
import { type ModelFolder, readJson, requireJson, requireText, weightSources } from './folder.ts'
import { parsePreview, type LatentPreview } from './preview.ts'

/** What the latents of the UNet's input are, beside the sample itself. */
export type UNetTask = 'text-to-image' | 'inpaint'

export class DiffusionModel {
  readonly folder: ModelFolder
  readonly unet: UNet2DConditionModel
  readonly vae: AutoencoderKL
  readonly tokenizer: ClipTokenizer
  readonly schedulerConfig: SchedulerConfig
  readonly preview: LatentPreview | undefined
  /** What a small model was taught, by kind, as its vocabulary.json says. */
  readonly vocabulary: Readonly<Record<string, string[]>> | undefined
  /** `inpaint` for UNets whose input carries a mask and the masked picture's latents (9 channels for 4). */
  readonly task: UNetTask
  readonly defaults: ModelDefaults
  #encoder: ClipTextEncoder | undefined

  private constructor(parts: {
    folder: ModelFolder
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    tokenizer: ClipTokenizer
    schedulerConfig: SchedulerConfig
    preview: LatentPreview | undefined
    vocabulary: Readonly<Record<string, string[]>> | undefined
    task: UNetTask
    defaults: ModelDefaults
  }) {
    this.folder = parts.folder
    this.unet = parts.unet
    this.vae = parts.vae
    this.tokenizer = parts.tokenizer
    this.schedulerConfig = parts.schedulerConfig
    this.preview = parts.preview
    this.vocabulary = parts.vocabulary
    this.task = parts.task
    this.defaults = parts.defaults
  }

  /**
   * @param tokenizerFolder where vocab.json and merges.txt lie when the model brings none.
   * @throws AttuneError `bad-model` or `bad-file` naming every missing or mis-shaped weight, `unsupported` for
   *   families that this engine does not have.
   */
  static async open(folder: ModelFolder, tokenizerFolder?: ModelFolder): Promise<DiffusionModel> {
    const index = (await readJson(folder, 'model_index.json')) as
      | Readonly<Record<string, unknown>>
      | undefined
    refuseOtherFamilies(folder, index)
    const unetConfig = parseUNetConfig(await requireJson(folder, 'unet/config.json'), 'unet/config.json')
    const unetWeights = await WeightReader.open(
      await weightSources(folder, 'unet', 'diffusion_pytorch_model'),
    )
    const unet = UNet2DConditionModel.create(unetConfig, unetWeights)
    unetWeights.finish()
    const vaeConfig = parseVaeConfig(await requireJson(folder, 'vae/config.json'), 'vae/config.json')
    const vaeWeights = await WeightReader.open(await weightSources(folder, 'vae', 'diffusion_pytorch_model'))
    const vae = AutoencoderKL.create(vaeConfig, vaeWeights)
    vaeWeights.finish()
    // Python writes infinities as bare words, which JSON does not know.
    const schedulerConfig = parseSchedulerJson(await requireText(folder, 'scheduler/scheduler_config.json'))
    const task = taskOf(folder, unetConfig.inChannels, unetConfig.outChannels)
    const factor = vae.sizeFactor
    const [height, width] = unetConfig.sampleSize ?? [512 / factor, 512 / factor]
    return new DiffusionModel({
      folder,
      unet,
      vae,
      tokenizer: await openTokenizer(folder, tokenizerFolder),
      schedulerConfig,
      preview: parsePreview(await readJson(folder, 'preview.json'), vaeConfig),
      vocabulary: parseVocabulary(await readJson(folder, 'vocabulary.json')),
      task,
      defaults: {
        width: width * factor,
        height: height * factor,
        ...(await readDefaults(folder)),
        sampler: samplerOfConfig(schedulerConfig),
        precision: 'f16',
        clipSkip: 1,
      },
    })
  }

  /**
   * Pixels that width and height must be multiples of: one latent. The UNet rounds up where it halves an odd size.
   */
  get sizeFactor(): number {
    return this.vae.sizeFactor
  }

  /** The text encoder, loaded at the first use. */
  async textEncoder(): Promise<ClipTextEncoder> {
    if (!this.#encoder) {
      const config = await requireJson(this.folder, 'text_encoder/config.json')
      const [weights, ...more] = await weightSources(this.folder, 'text_encoder', 'model')
      if (!weights || more.length > 0) {
        throw new AttuneError(
          'unsupported',
          `${this.folder.name}/text_encoder is split into several files.`,
          'Merge them into one model.safetensors.',
        )
      }
      this.#encoder = await ClipTextEncoder.load({ config, weights })
    }
    return this.#encoder
  }

  /** Frees the text encoder and closes the files. */
  async close(): Promise<void> {
    await this.#encoder?.dispose()
    this.#encoder = undefined
    await this.folder.close()
  }
}

function refuseOtherFamilies(
  folder: ModelFolder,
  index: Readonly<Record<string, unknown>> | undefined,
): void {
  const name = index?.['_class_name']
  if (
    typeof name !== 'string' ||
    /^StableDiffusion(Img2Img|Inpaint|InpaintLegacy|Latent\w*)?Pipeline(Legacy)?$/.test(name)
  ) {
    return
  }
  throw new AttuneError(
    'unsupported',
    `${folder.name} holds a ${name}; this version draws with Stable Diffusion 1.x and 2.x.`,
    'Choose a model of one of these families.',
  )
}

function taskOf(folder: ModelFolder, inChannels: number, outChannels: number): UNetTask {
  if (inChannels === outChannels) return 'text-to-image'
  if (inChannels === 2 * outChannels + 1) return 'inpaint'
  throw new AttuneError(
    'unsupported',
    `The UNet of ${folder.name} takes ${inChannels} channels and gives ${outChannels}.`,
    'Text-to-image models (equal numbers) and inpainting models (twice as many, plus the mask) can be used.',
  )
}

async function openTokenizer(folder: ModelFolder, other: ModelFolder | undefined): Promise<ClipTokenizer> {
  const from = other ?? folder
  const at = other ? '' : 'tokenizer/'
  const [vocab, merges, tokenizerConfig, specialTokensMap, tokenizerJson] = await Promise.all([
    readJson(from, `${at}vocab.json`),
    from.text(`${at}merges.txt`),
    readJson(from, `${at}tokenizer_config.json`),
    readJson(from, `${at}special_tokens_map.json`),
    readJson(from, `${at}tokenizer.json`),
  ])
  return new ClipTokenizer({
    name: `${from.name}/${at}`,
    ...(vocab !== undefined && { vocab }),
    ...(merges !== undefined && { merges }),
    ...(tokenizerConfig !== undefined && { tokenizerConfig }),
    ...(specialTokensMap !== undefined && { specialTokensMap }),
    ...(tokenizerJson !== undefined && { tokenizerJson }),
  })
}

/** What the model says of itself in `storybook.json`, as ours does; the usual values otherwise. */
async function readDefaults(folder: ModelFolder): Promise<{ steps: number; guidanceScale: number }> {
  const json = (await readJson(folder, 'storybook.json')) as
    | { defaults?: Record<string, unknown> }
    | undefined
  return {
    steps: positive(json?.defaults?.['steps'], 20),
    guidanceScale: positive(json?.defaults?.['guidance'], 7.5),
  }
}

const isWords = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every(word => typeof word === 'string')

/** Lists of words by kind; a file that says anything else says nothing. */
function parseVocabulary(json: unknown): Record<string, string[]> | undefined {
  if (typeof json !== 'object' || json === null) return undefined
  const flat = Object.entries(json).map(([kind, value]): [string, unknown] =>
    // Objects stand by what they are: animals, vehicles.
    kind === 'objects' && typeof value === 'object' && value !== null
      ? [kind, Object.values(value as Record<string, unknown>).flat()]
      : [kind, value],
  )
  const kinds = flat.filter((entry): entry is [string, string[]] => isWords(entry[1]))
  return kinds.length > 0 ? Object.fromEntries(kinds) : undefined
}

function positive(value: unknown, otherwise: number): number {
  return typeof value === 'number' && value > 0 ? value : otherwise
}
