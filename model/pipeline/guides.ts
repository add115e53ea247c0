/**
 * The ControlNets of one run: which act at an evaluation, what they say, and how it comes together as the UNet's
 * residual inputs. A net that does not act is not run, and a UNet that nobody guides keeps its zeros: nothing is
 * uploaded. When each acts and how strongly says model/controlnet/rules.ts.
 */
import { preparedMaskAt } from '../attention/controls/mask.ts'
import { AttuneError, invariant } from '../contract/errors.ts'
import { guideLimits } from '../contract/guides.ts'
import type { ResolvedRequest } from '../contract/request.ts'
import { hintOf } from '../controlnet/hint.ts'
import { joinedInput, joinGraphs } from '../controlnet/join.ts'
import {
  addRows,
  multiplyPositions,
  poolPositions,
  readSlot,
  type Slot,
  type SlotReading,
  slotsOf,
} from '../controlnet/residuals.ts'
import type { Graph } from '../graph/ops.ts'
import type { Backend, Program } from '../graph/program.ts'
import { joinFloats } from '../tensor/join.ts'
import { toChannelsLast } from '../tensor/layout.ts'
import { timestepSinusoid } from '../unet/timestep.ts'
import type { Conditioning } from './conditioning.ts'
import type { DiffusionModel } from './diffusion-model.ts'
import { findNonFiniteLayer, firstNonFinite, nonFiniteError } from './finite.ts'
import { joinedSets, type GuideInputs, type PlannedGuide, planGuide } from './guide-plan.ts'
import { GuidedProgram } from './guided-program.ts'
import type { BatchTexts } from './rows.ts'
import type { LatentSize } from './start.ts'

export type { GuideInputs } from './guide-plan.ts'

export interface GuideReading {
  /** Index in the list of guides. */
  readonly guide: number
  /** The evaluation, from 1. */
  readonly step: number
  /** From the first layer to the middle. */
  readonly slots: readonly SlotReading[]
}

export interface GuideOptions {
  /** Of the evaluations that are made. */
  readonly timesteps: readonly number[]
  readonly latent: LatentSize
  /** What the run says: nets see each row's own text. */
  readonly words: Conditioning
}

type Values = Record<string, Float32Array>

/** A guide while it acts. */
interface Guide extends PlannedGuide {
  readonly masksBySize: Map<string, Float32Array>
  prepared?: {
    readonly backend: Backend
    readonly text: Program
    /** Absent where it is a part of the UNet's program. */
    readonly denoise: Program | undefined
    /** [T, ΣC] */
    readonly time: Float32Array
    /** [B, H, W, C0] */
    readonly hint: Float32Array
  }
  /** What the net was given last. */
  given: Readonly<Values>
  textKey?: string
  weight?: number
}

export class Guides {
  /** What the person should know before the run, a sentence or two each. */
  readonly notices: readonly string[]
  /** How strong the residuals were, evaluation by evaluation. */
  readonly readings: GuideReading[] = []
  readonly #request: ResolvedRequest
  readonly #inputs: GuideInputs
  readonly #timesteps: readonly number[]
  readonly #latent: LatentSize
  readonly #words: Conditioning
  readonly #batch: BatchTexts
  readonly #guides: readonly Guide[]
  readonly #slots: readonly Slot[]
  readonly #programs: Program[] = []
  /** Nets and UNet are one graph on the device: their residuals never leave it. */
  readonly #sets: ReturnType<typeof joinedSets>
  #joins = false
  /** Key among the sets of what acts at the evaluation that is due. */
  #due = ''
  /** What the UNet has. */
  #current: Values = {}
  #isZero = false
  #zeros: Values | undefined

  /**
   * @returns undefined where there are no guides
   * @throws AttuneError `bad-argument`, `bad-model` for guides that cannot act on this model
   */
  static plan(
    model: DiffusionModel,
    request: ResolvedRequest,
    inputs: GuideInputs | undefined,
    options: GuideOptions,
  ): Guides | undefined {
    return inputs && inputs.guides.length > 0 ? new Guides(model, request, inputs, options) : undefined
  }

  private constructor(
    model: DiffusionModel,
    request: ResolvedRequest,
    inputs: GuideInputs,
    { timesteps, latent, words }: GuideOptions,
  ) {
    this.#request = request
    this.#inputs = inputs
    this.#timesteps = timesteps
    this.#latent = latent
    this.#words = words
    this.#batch = words.texts
    const { guides } = inputs
    if (guides.length > guideLimits.guides) {
      throw new AttuneError(
        'bad-argument',
        `${guides.length} guides were given; ${guideLimits.guides} can act together.`,
        'Leave some out.',
      )
    }
    this.#slots = slotsOf(model.unet.config.levels, latent)
    const surroundings = {
      request,
      timesteps,
      rows: this.#batch.rows,
      slotChannels: this.#slots.map(slot => slot.channels),
      modelName: model.folder.name,
    }
    const planned = guides.map((_, index) => planGuide(inputs, index, surroundings))
    this.notices = planned
      .filter(({ weights }) => weights.every(each => each === 0))
      .map(
        ({ asked }) =>
          `The guide ${asked.model} does nothing: its window ${asked.start}-${asked.end} (as ${asked.rule} counts) and its weight leave it none of the ${timesteps.length} evaluations. Widen the window or draw with more steps.`,
      )
    this.#guides = planned
      .filter(({ weights }) => weights.some(each => each !== 0))
      .map(each => ({ ...each, masksBySize: new Map<string, Float32Array>(), given: {} }))
    this.#sets = joinedSets(this.#guides, inputs, this.#batch.rows.length)
  }

  /** False where no guide acts at any evaluation: then the UNet needs no residuals. */
  get act(): boolean {
    return this.#guides.length > 0
  }

  /** All residual inputs as the UNet has them now. */
  get current(): Readonly<Values> {
    return this.#current
  }

  /** Bytes of activations of the largest program. */
  get activationBytes(): number {
    return Math.max(0, ...this.#programs.map(({ stats }) => stats.activationBytes))
  }

  /**
   * The UNet of the run. On a GPU, where results are slow to read, the nets are recorded into it if nothing stands
   * between; elsewhere a second program would hold the UNet's weights a second time.
   * @param unet recorded with `controlNetResiduals`
   * @param compile makes programs that the caller frees
   */
  async program(
    unet: Graph,
    backend: Backend,
    compile: (graph: Graph) => Promise<Program>,
  ): Promise<Program> {
    if (!this.#sets || backend.name !== 'webgpu') return compile(unet)
    this.#joins = true
    const programs = new Map<string, Program>()
    for (const key of this.#sets.keys()) programs.set(key, await compile(this.#joined(unet, key)))
    return new GuidedProgram(programs, () => this.#due)
  }

  /** Another recording of the UNet, to be run beside it with the inputs of the evaluation that is due. */
  beside(unet: Graph): Graph {
    return this.#joins ? this.#joined(unet, this.#due) : unet
  }

  #joined(unet: Graph, key: string): Graph {
    const nets = (this.#sets?.get(key) ?? []).map(index => ({
      index,
      graph: this.#recorded(this.#guides[index] as Guide),
    }))
    return nets.length > 0 ? joinGraphs(nets, unet) : unet
  }

  #recorded({ net, rows }: Guide): Graph {
    const { height, width } = this.#latent
    return net.recordDenoise({ batch: rows.length, height, width, textTokens: this.#textTokens })
  }

  #activeAt(call: number): readonly Guide[] {
    return this.#guides.filter(({ weights }) => weights[call] !== 0)
  }

  /** Compiles the nets, after `program`, and computes what does not change over the steps. */
  async prepare(backend: Backend): Promise<void> {
    const { height, width } = this.#latent
    const once = async (graph: Graph, inputs: Values, output: string): Promise<Float32Array> => {
      const program = await backend.compile(graph)
      try {
        const result = (await program.run(inputs))[output]
        invariant(result, output)
        return result
      } finally {
        program.dispose()
      }
    }
    const kept = async (graph: Graph): Promise<Program> => {
      const program = await backend.compile(graph)
      this.#programs.push(program)
      return program
    }
    const textTokens = this.#textTokens
    for (const guide of this.#guides) {
      const { net, rows, asked } = guide
      const { levels, flipSinToCos, freqShift } = net.config
      const timeSinusoid = timestepSinusoid(
        this.#timesteps,
        levels[0]?.channels ?? 0,
        flipSinToCos,
        freqShift,
      )
      const time = await once(
        net.recordTimeProjections(this.#timesteps.length),
        { timeSinusoid },
        'timeProjections',
      )
      const hint = hintOf(guide.picture, {
        width: width * net.hintFactor,
        height: height * net.hintFactor,
        resize: asked.resize,
        channelOrder: net.facts.channelOrder,
      })
      const embedding = await once(net.recordHint(height, width), { hint }, 'hintEmbedding')
      const joined = joinFloats(rows.map(() => embedding))
      const text = await kept(net.recordTextKeyValues(rows.length, textTokens))
      const denoise = this.#joins ? undefined : await kept(this.#recorded(guide))
      guide.prepared = { backend, text, denoise, time, hint: joined }
    }
  }

  /** Frees the nets' programs. */
  dispose(): void {
    for (const program of this.#programs.splice(0)) program.dispose()
  }

  /**
   * What the UNet must be given before an evaluation: nothing where all stays.
   * @param samples of each picture, [C, h, w], scaled as the UNet's
   * @throws AttuneError `non-finite`, and what the backend throws
   */
  async changesAt(call: number, samples: readonly Float32Array[]): Promise<Readonly<Values>> {
    const active = this.#activeAt(call)
    this.#due = active.map(guide => this.#guides.indexOf(guide)).join()
    if (active.length === 0) {
      this.#current = this.#allZeros()
      if (this.#isZero) return {}
      this.#isZero = true
      return this.#current
    }
    if (this.#joins) {
      const changed: Values = {}
      const current: Values = {}
      for (const guide of active) {
        const index = this.#guides.indexOf(guide)
        const own = await this.#inputsAt(guide, call, samples)
        for (const [name, values] of Object.entries(own)) changed[joinedInput(index, name)] = values
        for (const [name, values] of Object.entries(guide.given)) current[joinedInput(index, name)] = values
      }
      this.#current = current
      return changed
    }
    const [first] = active
    let changed: Values | undefined
    for (const guide of active) {
      const own = await this.#run(guide, call, samples)
      this.#read(guide, call, own)
      // One net that acts on the whole batch has made the UNet's inputs as they are.
      if (guide === first && active.length === 1 && guide.rows.length === this.#batch.rows.length) {
        changed = own
      } else {
        changed ??= Object.fromEntries(
          this.#slots.map(slot => [
            slot.name,
            new Float32Array(this.#sizeOf(slot) * this.#batch.rows.length),
          ]),
        )
        this.#add(guide, own, changed)
      }
    }
    this.#isZero = false
    this.#current = changed ?? {}
    return this.#current
  }

  /** What a net must be given before a run. */
  async #inputsAt(guide: Guide, call: number, samples: readonly Float32Array[]): Promise<Values> {
    const { net, rows, prepared, asked } = guide
    invariant(prepared, `${asked.model} is compiled`)
    const { channels, height, width } = this.#latent
    const last = new Map<Float32Array, Float32Array>()
    const sample = rows.map(row => {
      const own = samples[this.#batch.rows[row]?.trajectory ?? 0]
      invariant(own, 'a sample for each row')
      const known = last.get(own) ?? toChannelsLast(own, channels, height * width)
      last.set(own, known)
      return known
    })
    const inputs: Values = {
      sample: joinFloats(sample),
      timeProjections: prepared.time.slice(
        call * net.timeProjectionWidth,
        (call + 1) * net.timeProjectionWidth,
      ),
    }
    // What stays is given once: a program keeps its inputs.
    if (!guide.given['hintEmbedding']) inputs['hintEmbedding'] = prepared.hint
    const key = this.#words.textKeyAt(call)
    if (guide.textKey !== key) {
      const texts = await this.#words.encodingsAt(call)
      const encoderHiddenStates = joinFloats(rows.map(row => texts[row] as Float32Array))
      const { textKeyValues } = await prepared.text.run({ encoderHiddenStates })
      invariant(textKeyValues, 'projections of the text')
      inputs['textKeyValues'] = textKeyValues
      guide.textKey = key
    }
    const weight = guide.weights[call] ?? 0
    if (guide.weight !== weight) {
      inputs['slotScales'] = net.slotScales(guide.factors.map(factor => factor * weight))
      guide.weight = weight
    }
    guide.given = { ...guide.given, ...inputs }
    return inputs
  }

  async #run(guide: Guide, call: number, samples: readonly Float32Array[]): Promise<Values> {
    const { net, rows, asked } = guide
    const inputs = await this.#inputsAt(guide, call, samples)
    const { denoise, backend } = guide.prepared ?? {}
    invariant(denoise && backend, `${asked.model} is compiled`)
    const residuals = await denoise.run(inputs)
    for (const { name, height: h, width: w, channels: c } of this.#slots) {
      const values = residuals[name]
      invariant(values, name)
      if (firstNonFinite(values) >= 0) {
        const layer = await findNonFiniteLayer(denoise.graph, backend, guide.given)
        throw nonFiniteError(
          `The answer of ${asked.model} at step ${call + 1} (${name})`,
          layer,
          this.#request.precision,
        )
      }
      if (net.facts.globalPool) poolPositions(values, rows.length, h * w, c)
      if (guide.mask) multiplyPositions(values, this.#maskAt(guide, h, w), c)
    }
    return residuals
  }

  /** Adds a net's residuals to the rows of the batch that it acts on. */
  #add({ rows }: Guide, own: Readonly<Values>, sums: Values): void {
    for (const slot of this.#slots) {
      const [from, to] = [own[slot.name], sums[slot.name]]
      invariant(from && to, slot.name)
      addRows(from, to, rows, this.#sizeOf(slot))
    }
  }

  #read({ index, rows }: Guide, call: number, own: Readonly<Values>): void {
    const { watch } = this.#inputs
    if (!watch) return
    const row = this.#batch.rows.findLastIndex(({ half }) => half === 'cond')
    const place = rows.indexOf(row)
    const slots = this.#slots.map((slot): SlotReading => {
      const size = this.#sizeOf(slot)
      const values = (own[slot.name] as Float32Array).subarray(place * size, (place + 1) * size)
      return readSlot(values, slot, watch === 'maps')
    })
    this.readings.push({ guide: index, step: call + 1, slots })
  }

  #allZeros(): Values {
    if (this.#zeros) return this.#zeros
    const lengths = this.#slots.map(slot => this.#sizeOf(slot) * this.#batch.rows.length)
    const zeros = new Float32Array(Math.max(...lengths))
    this.#zeros = Object.fromEntries(this.#slots.map(({ name }, i) => [name, zeros.subarray(0, lengths[i])]))
    return this.#zeros
  }

  #sizeOf({ height, width, channels }: Slot): number {
    return height * width * channels
  }

  #maskAt(guide: Guide, height: number, width: number): Float32Array {
    const key = `${height}x${width}`
    const known = guide.masksBySize.get(key)
    if (known) return known
    invariant(guide.mask, 'a mask')
    const made = preparedMaskAt(guide.mask, { height, width })
    guide.masksBySize.set(key, made)
    return made
  }

  get #textTokens(): number {
    return this.#batch.layout.sources[0]?.length ?? 0
  }
}
