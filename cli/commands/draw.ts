/**
 * One run and what comes of it: progress while it is drawn, the picture with its record, maps, what each control did.
 * Files appear whole, under their final names, at the end.
 */
import { basename, dirname, relative, resolve } from 'node:path'
import { encodePng } from '../../host/images.ts'
import type { MeterFacts } from '../../host/maps/meter.ts'
import { writeFileAtomic } from '../../host/write.ts'
import { percent } from '../../model/attention/report.ts'
import { makeRecord, recordKeyword, writeRecord } from '../../model/contract/record.ts'
import type { ResolvedRequest } from '../../model/contract/request.ts'
import { infotextKeyword, infotextOf } from '../../model/image/infotext.ts'
import type { Pixels } from '../../model/image/resample.ts'
import { formatStanding } from '../../model/attention/repair.ts'
import { type ControlEffect, noEffect } from '../../model/pipeline/seam.ts'
import { writeNpy } from '../../model/tensor/npy.ts'
import type { Engine, GenerateJob, GenerateResult } from '../engine.ts'
import { cancelled, type CommandIO, formatSeconds, printableText, writeJson } from '../io.ts'
import type { DrawArguments } from '../options.ts'
import { progressLine } from '../progress.ts'
import { meterLines, oneSource, sourceNames } from './meter.ts'
import { type Target, writePicture } from './picture-target.ts'
import { runFacts } from './run-facts.ts'

export interface Drawing {
  readonly job: GenerateJob
  readonly args: DrawArguments
  readonly target: Target
  /** Of an edit: where the picture that it begins with is written. */
  readonly before?: Target
  /** Of an edit: the picture that was edited. */
  readonly edited?: string
}

/** Runs the engine and writes what comes back. */
export async function drawPicture(
  drawing: Drawing,
  io: CommandIO,
  engine: Engine,
  version: string,
): Promise<void> {
  const { job, args } = drawing
  const progress = progressLine(io.stderr)
  const result = await engine
    .runGenerate(job, {
      signal: io.signal,
      onProgress: step => (args.json ? writeJson(io, { type: 'progress', ...step }) : progress.show(step)),
      onNotice: text =>
        args.json ? writeJson(io, { type: 'notice', text }) : progress.say(printableText(text)),
    })
    .finally(() => progress.clear())
  if (io.signal.aborted) throw cancelled()
  const files = await writeResult(result, drawing, io, version)
  const meter = result.meter && {
    reading: result.meter,
    names: sourceNames(result.meter, result.used),
  }
  const maps = await writeMaps(result, args, meter, io, version).catch((error: unknown) => {
    // Maps that cannot be written are an error, but the picture is there.
    const text = `The picture is written: ${shortest(files.file, io.cwd)}`
    if (args.json) writeJson(io, { type: 'notice', text })
    else io.stderr.write(`${printableText(text)}\n`)
    throw error
  })
  tellRepair(result, args, io)
  tellEffects(result.effects ?? [], args, io)
  tellMeter(meter, args, io)
  report(result, maps ? { ...files, ...maps } : files, args, io)
}

/** Writes the maps of the captured words beside the picture. */
async function writeMaps(
  result: GenerateResult,
  { maps, overwrite }: DrawArguments,
  meter: MeterFacts | undefined,
  io: CommandIO,
  version: string,
): Promise<Pick<WrittenFiles, 'maps' | 'mapsFolder'> | undefined> {
  if (!maps || !result.attention) return undefined
  // The encoders are loaded by those who ask for maps only.
  const { exportMaps } = await import('../../host/maps/export.ts')
  const { folder, spot: _, ...options } = maps
  const { perStep, spot } = result
  const mapsFolder = resolve(io.cwd, folder)
  const { files } = await exportMaps(result.attention, {
    ...options,
    folder: mapsFolder,
    image: result.picture,
    run: runFacts(result, version),
    recordedHeads: 'all',
    ...(perStep && { perStep }),
    ...(spot && { spot }),
    ...(meter && { meter }),
    overwrite,
    signal: io.signal,
  })
  return { maps: files, mapsFolder }
}

interface WrittenFiles {
  readonly file: string
  readonly before?: string
  readonly latents?: string
  readonly maps?: readonly string[]
  readonly mapsFolder?: string
}

async function writeResult(
  result: GenerateResult,
  { job, args, target, before, edited }: Drawing,
  io: CommandIO,
  version: string,
): Promise<WrittenFiles> {
  const inputs = [
    ...(edited === undefined ? [] : [{ role: 'edited', name: basename(edited) }]),
    ...(job.init ? [{ role: 'init', name: basename(job.init.path) }] : []),
    ...(job.mask ? [{ role: 'mask', name: basename(job.mask) }] : []),
    ...(job.guides?.pictures ?? []).map(({ name, sha256 }) => ({
      role: 'control',
      name,
      ...(sha256 !== undefined && { sha256 }),
    })),
    ...(result.nets ?? []).map(net => ({ role: 'control-net', ...net })),
    ...(job.imagePrompts?.pictures ?? []).map(({ name, sha256 }) => ({
      role: 'image-prompt',
      name,
      ...(sha256 !== undefined && { sha256 }),
    })),
    ...(result.adapters ?? []),
    ...(args.latents ? [{ role: 'latents', name: basename(args.latents) }] : []),
    ...(args.stepNoise ? [{ role: 'step-noise', name: basename(args.stepNoise) }] : []),
  ]
  const encode = async (picture: Pixels, request: ResolvedRequest): Promise<Uint8Array> => {
    const record = makeRecord({
      appVersion: version,
      created: io.now(),
      request,
      model: result.model,
      inputs,
      machine: { backend: result.adapter.backend, adapter: result.adapter.name },
    })
    return encodePng(picture, [
      { keyword: infotextKeyword, text: infotextOf(record) },
      { keyword: recordKeyword, text: writeRecord(record) },
    ])
  }
  const png = await encode(result.picture, result.used)
  const original = before && result.source && (await encode(result.source, sourceOf(result.used)))
  let latents: string | undefined
  if (args.saveLatents !== undefined) {
    latents = resolve(io.cwd, args.saveLatents)
    await writeFileAtomic(latents, writeNpy(result.latents.shape, result.latents.data), { overwrite: true })
  }
  return {
    file: await writePicture(target, png, args.overwrite),
    ...(before && original && { before: await writePicture(before, original, args.overwrite) }),
    ...(latents !== undefined && { latents }),
  }
}

/** What an edit begins with, as a request of its own: what is painted is painted into the edited picture only. */
function sourceOf(used: ResolvedRequest): ResolvedRequest {
  const { controls, weightCurves: _, ...request } = used
  const { edit, paint: __, ...others } = controls ?? {}
  const hasOthers = Object.keys(others).length > 0
  return {
    ...request,
    prompt: edit?.sourcePrompt ?? request.prompt,
    ...(hasOthers && { controls: others }),
  }
}

/** What an effect is called, and what makes it larger. */
const effectWords: Readonly<Record<ControlEffect['control'], readonly [does: string, remedy: string]>> = {
  paint: [
    'paint changed the prediction by',
    'Give --paint a greater strength, a larger mask, or a longer --paint-window.',
  ],
  regions: [
    'regions changed the prediction by',
    'Give --region a greater weight or a larger mask, --region-base less, or a longer --region-window.',
  ],
  hidePadding: [
    'hidden padding changed the prediction by',
    'What fills up this text is hardly looked at: --hide-padding can be left out.',
  ],
  edit: [
    'the edit changed the picture by',
    'End --cross and --self earlier, change more words, or give --weight a number further from 1.',
  ],
}

function tellEffects(effects: readonly ControlEffect[], { json }: DrawArguments, io: CommandIO): void {
  for (const { control, change, step } of effects) {
    const isVisible = change >= noEffect
    if (json) {
      writeJson(io, { type: 'effect', control, change, isVisible, ...(step !== undefined && { step }) })
      continue
    }
    const [does, remedy] = effectWords[control]
    const words = `${does} ${percent(change)}`
    io.stdout.write(isVisible ? `${words}\n` : `${words}: no visible effect. ${remedy}\n`)
  }
}

/** What each source brought, where it was asked for. */
function tellMeter(facts: MeterFacts | undefined, { meter, json }: DrawArguments, io: CommandIO): void {
  if (meter === undefined) return
  if (json) {
    const { reading, names } = facts ?? {}
    const sources = names?.map((name, source) => ({ name, share: reading?.shares[source] })) ?? [
      { name: 'the prompt', share: 1 },
    ]
    const layers = reading?.layers.map(({ path, shares }) => ({ path, shares }))
    return writeJson(io, { type: 'meter', ...(reading && { step: reading.step }), sources, layers })
  }
  const lines = facts ? meterLines(facts.reading, facts.names) : [oneSource]
  for (const line of lines) io.stdout.write(`${printableText(line)}\n`)
}

/** What a repair tried, and what it kept. */
function tellRepair({ repair, used }: GenerateResult, { json }: DrawArguments, io: CommandIO): void {
  if (!repair) return
  if (json) return writeJson(io, { type: 'repair', ...repair })
  const { attempts, kept, kind } = repair
  for (const [index, { seed, judgement, pushed }] of attempts.entries()) {
    const least = judgement.words.toSorted((a, b) => a.standing - b.standing)[0]
    const pushes = Object.entries(pushed).map(([word, strength]) => `"${word}" +${strength}`)
    const what = kind === 'seeds' ? `seed ${seed}` : pushes.length > 0 ? pushes.join(', ') : 'as asked'
    const how = least
      ? `least looked at: "${least.word}", ${formatStanding(least.standing)} of the others' attention`
      : 'fewer than two words that name something: nothing to compare'
    io.stdout.write(
      printableText(`try ${index + 1} (${what}): ${how}${index === kept ? ', kept' : ''}`) + '\n',
    )
  }
  const { judgement } = attempts[kept] ?? {}
  const still = judgement?.neglected.map(({ word }) => `"${word}"`) ?? []
  if (still.length === 0 || kind === 'seeds') return
  io.stdout.write(
    printableText(
      `Still looked at little: ${still.join(', ')}. More --repair-tries push further; another seed than ${used.seed} may do more.`,
    ) + '\n',
  )
}

function report(result: GenerateResult, files: WrittenFiles, args: DrawArguments, io: CommandIO): void {
  const { used, timings, adapter, peakBytes, model } = result
  if (args.json) {
    const { width, height, steps, guidanceScale, sampler, precision, seed, guides, imagePrompts } = used
    const settings = { width, height, steps, guidance: guidanceScale, sampler, precision }
    writeJson(io, {
      type: 'done',
      ...files,
      seed,
      ...settings,
      // Masks stand in the picture's record.
      ...(guides && {
        guides: guides.map(({ mask, ...guide }) => ({ ...guide, hasMask: mask !== undefined })),
      }),
      ...(imagePrompts && {
        imagePrompts: imagePrompts.map(({ mask, ...prompt }) => ({ ...prompt, hasMask: mask !== undefined })),
      }),
      model,
      adapter,
      timings,
      peakBytes,
    })
    return
  }
  const total = timings['total']
  const facts = [
    `${used.width}x${used.height}`,
    `${used.steps} steps`,
    `seed ${used.seed}`,
    ...(total === undefined ? [] : [formatSeconds(total / 1000)]),
    adapter.name,
  ]
  io.stdout.write(
    `Wrote ${printableText(shortest(files.file, io.cwd))} (${printableText(facts.join(', '))})\n`,
  )
  if (files.before) io.stdout.write(`Wrote ${printableText(shortest(files.before, io.cwd))}\n`)
  if (files.latents) io.stdout.write(`Wrote ${printableText(shortest(files.latents, io.cwd))}\n`)
  if (files.maps && files.mapsFolder) {
    const folder = printableText(shortest(files.mapsFolder, io.cwd))
    io.stdout.write(`Wrote ${files.maps.length} files of word maps in ${folder}\n`)
  }
}

/** Relative inside the current folder, absolute elsewhere. */
function shortest(path: string, cwd: string): string {
  const short = relative(cwd, path)
  return short.startsWith('..') || dirname(short) === short ? path : short
}
