/**
 * The seam between the command line and the engine: what the command line hands over, and what it needs back to
 * write a picture, its record and its numbers. Tests put their own engine here.
 */
import type { CaptureOptions } from '../model/attention/capture.ts'
import type { CapturedAttention } from '../model/attention/captured.ts'
import type { MeterReading } from '../model/attention/meter.ts'
import type { StepMaps } from '../model/attention/recording.ts'
import type { SpotMap, SpotPoint } from '../model/attention/spot.ts'
import type { GenerateRequest, ResolvedRequest } from '../model/contract/request.ts'
import type { RepairOptions } from '../model/pipeline/repair-options.ts'
import type { RunSchedule } from '../model/pipeline/generate.ts'
import type { RepairedPicture } from '../model/pipeline/repair.ts'
import type { ControlEffect } from '../model/pipeline/seam.ts'
import type { Pixels } from '../model/image/resample.ts'
import type { NpyArray } from '../model/tensor/npy.ts'

export const backends = ['auto', 'webgpu', 'wasm', 'cpu'] as const
export type Backend = (typeof backends)[number]

/** A validated run. Every path exists; every array was read and is free of NaN. */
export interface GenerateJob {
  readonly request: GenerateRequest
  readonly backend: Backend
  /** A folder, a file or the id of an installed model; the embedded model when not given. */
  readonly model?: string
  /** A folder with `vocab.json` and `merges.txt`, where the model brings none. */
  readonly tokenizer?: string
  /** Initial noise, [1, C, h, w], unit variance. */
  readonly initialLatents?: NpyArray
  /** The draws of ancestral samplers, [draws, 1, C, h, w]. */
  readonly stepNoise?: NpyArray
  /** Paths; read with `readPicture` and `readMask` of host/images.ts once the size is settled. */
  readonly init?: { readonly path: string; readonly width: number; readonly height: number }
  readonly mask?: string
  /** What `request.guides` names. */
  readonly guides?: GuideFiles
  /** What `request.imagePrompts` names. */
  readonly imagePrompts?: ImagePromptFiles
  /** Watch words: what is asked for comes back as `GenerateResult.attention`, with `live` also `perStep`. */
  readonly capture?: CaptureOptions
  /** See what a point of the picture looks at. */
  readonly spot?: SpotPoint
  /** Measure what each source brings, at this evaluation, counted from 0. */
  readonly meterAt?: number | 'middle'
  /** Evaluate once more without each control, to tell how much it does. */
  readonly measureEffects?: boolean
  /** Of an edit: decode the picture that it begins with as well. */
  readonly sourcePicture?: boolean
  /** Draw again where words are neglected. */
  readonly repair?: RepairOptions
  /** What drew the picture that is edited: another model is told before the run. */
  readonly recordedModel?: { readonly name?: string; readonly sha256?: string }
}

/** The files of guides by their names in the request; every path exists, every picture's header was read. */
export interface GuideFiles {
  /** ControlNets: folders in diffusers layout, or .safetensors files. */
  readonly nets: readonly { readonly name: string; readonly path: string }[]
  readonly pictures: readonly GuidePictureFile[]
}

export interface GuidePictureFile {
  readonly name: string
  readonly path: string
  readonly sha256?: string
  /** Makes the hint of the picture; without, it is the finished hint. */
  readonly preprocessor?: string
}

/** The files of image prompts by their names in the request; every path exists, every picture's header was read. */
export interface ImagePromptFiles {
  readonly adapters: readonly {
    readonly name: string
    /** A .safetensors file. */
    readonly path: string
    /** The folder of its vision encoder. */
    readonly encoder: string
  }[]
  readonly pictures: readonly { readonly name: string; readonly path: string; readonly sha256?: string }[]
}

/** A ControlNet in a picture's record; adapters and their encoders likewise. */
export interface GuideNetRecord {
  readonly name: string
  readonly sha256?: string
}

export interface GenerateProgress {
  /** Finished steps, 0 … steps. */
  readonly step: number
  readonly steps: number
  readonly sigma: number
  readonly secondsLeft?: number
  /** Of a repair: which drawing this is, from 1. */
  readonly attempt?: { readonly number: number; readonly of: number }
  /** Between two steps: a tile of a picture that is decoded or encoded in tiles. */
  readonly tile?: {
    readonly stage: 'decode' | 'encode'
    readonly pass: number
    readonly tile: number
    readonly tiles: number
  }
}

export interface GenerateHooks {
  onProgress(progress: GenerateProgress): void
  /** One line that the person should know, e.g. which backend was chosen and why. */
  onNotice(text: string): void
  /** Aborted on Ctrl-C, with an AttuneError `cancelled` as its reason. Checked between steps. */
  readonly signal: AbortSignal
}

export interface GenerateResult {
  readonly picture: Pixels
  /** Final latents before the decoder, [1, C, h, w]. */
  readonly latents: { readonly shape: readonly number[]; readonly data: Float32Array }
  /** Of an edit, with `sourcePicture`. */
  readonly source?: Pixels
  /** With `measureEffects`, and of every edit. */
  readonly effects?: readonly ControlEffect[]
  /** With `repair`. */
  readonly repair?: RepairedPicture['repair']
  /** With `capture`. */
  readonly attention?: CapturedAttention
  /** With `capture`: what the prompt multiplies each captured token with. */
  readonly tokenWeights?: readonly number[]
  /** With `capture.live`: the words' maps of each evaluation by itself. */
  readonly perStep?: StepMaps
  /** With `spot`. */
  readonly spot?: SpotMap
  /** With `meterAt`. */
  readonly meter?: MeterReading
  /** One entry an evaluation. */
  readonly schedule?: RunSchedule
  /** The request with the model's choices filled in (`resolveRequest`), and what a repair changed. */
  readonly used: ResolvedRequest
  readonly model: { readonly name: string; readonly sha256?: string; readonly family?: string }
  /** Of guides. */
  readonly nets?: readonly GuideNetRecord[]
  /** Of image prompts: adapters, and behind them their vision encoders. */
  readonly adapters?: readonly (GuideNetRecord & { readonly role: 'ip-adapter' | 'image-encoder' })[]
  readonly adapter: {
    readonly backend: Exclude<Backend, 'auto'>
    readonly name: string
    readonly driver?: string
  }
  /** Milliseconds by stage, e.g. load, compile, text, denoise, decode, total. */
  readonly timings: Readonly<Record<string, number>>
  /** Peak bytes: of the process, and of buffers on the adapter. */
  readonly peakBytes: { readonly host: number; readonly gpu?: number }
}

export interface Engine {
  /** @throws AttuneError; `cancelled` when the signal was aborted */
  runGenerate(job: GenerateJob, hooks: GenerateHooks): Promise<GenerateResult>
}
