/** What a person can do with the request and its pictures: shared by buttons, shortcuts and the command palette. */
import { AttuneError } from '../../model/contract/errors.ts'
import type { DrawInputs } from '../../model/contract/inputs.ts'
import { pause } from '../engine/attention.ts'
import type { EngineWatch } from '../engine/session.ts'
import { isOneText } from '../engine/timeline.ts'
import { engineInputsOf, fittedPixels } from '../engine/inputs.ts'
import { pngOf } from '../engine/pixels.ts'
import { requestOf, tellProblems } from '../features/queue/expand-request.ts'
import { requestsOf } from '../features/queue/queue-state.ts'
import { isSeatGone, readyEngine, restartEngine, useEngine } from '../state/engine.ts'
import { drawInputsOf } from '../state/inputs.ts'
import {
  addPicture,
  comparedPixels,
  type DrawnPicture,
  type DrawnStep,
  selectedPicture,
  usePictures,
} from '../state/pictures.ts'
import { changeRequest, draft, randomSeed, rememberSeed, type RequestDraft } from '../state/request.ts'
import { beginRun, endRun, isDrawing, noticeRun, progressRun, useRun } from '../state/run.ts'
import { settings } from '../state/settings.ts'
import { RunNote } from '../state/unfinished.ts'
import { announce, recordOf, reportError, tell } from '../state/ui.ts'
import { strings } from '../strings/index.ts'
import { focusOn } from './focus.ts'
import { keepPicture } from './saving.ts'

let controller: AbortController | undefined

/** Draws what the request says, as many pictures as it asks for. */
export async function generate(): Promise<void> {
  if (isDrawing() || isStarting) return
  const asked = draft()
  if (asked.prompt.trim() === '' && asked.regions === undefined) {
    tell({ tone: 'info', text: strings().create.noPrompt })
    focusOn('prompt')
    return
  }
  let seed = asked.seedLocked ? asked.seed : randomSeed()
  controller = new AbortController()
  const { signal } = controller
  const note = new RunNote(requestsOf(asked, seed, await inputsOf(asked)), settings().model)
  for (let index = 0; index < asked.count; index++) {
    rememberSeed(seed)
    if (!(await drawOne(asked, seed, index, asked.count, signal, note))) return
    seed = ((BigInt(seed) + 1n) % 2n ** 64n).toString()
  }
}

/** A second press while a painted mask is being kept is no second run. */
let isStarting = false

/** What a run takes in, for the note of it. A mask that cannot be kept now is told; it is tried again with the picture. */
async function inputsOf(asked: RequestDraft): Promise<DrawInputs | undefined> {
  if (asked.source === undefined && asked.guides.length === 0) return undefined
  isStarting = true
  try {
    return await drawInputsOf(asked)
  } catch (error) {
    reportError(error)
    return undefined
  } finally {
    isStarting = false
  }
}

/** Takes the newest picture up again at a call that was kept, with the request as it is now. */
export async function rerunFrom(picture: DrawnPicture, step: number, call: number): Promise<void> {
  if (isDrawing() || isStarting) return
  controller = new AbortController()
  const asked = { ...draft(), seed: picture.request.seed }
  const before = picture.steps.filter(each => each.step <= step)
  const { seed } = picture.request
  const once = requestsOf({ ...asked, count: 1 }, seed, await inputsOf(asked))
  const note = new RunNote(once, settings().model)
  await drawOne(asked, seed, 0, 1, controller.signal, note, { call, before })
}

export function stop(): void {
  if (!isDrawing()) return
  useRun.setState({ stopping: true })
  controller?.abort()
}

/** @returns whether the picture was finished */
async function drawOne(
  asked: RequestDraft,
  seed: string,
  index: number,
  count: number,
  signal: AbortSignal,
  note: RunNote,
  resume?: { readonly call: number; readonly before: readonly DrawnStep[] },
): Promise<boolean> {
  const defaults = useEngine.getState().model?.defaults
  beginRun(index, count, asked.steps ?? defaults?.steps ?? 0)
  // `{a|b}` and `__list__` are drawn by the picture's own seed; the draft keeps them as typed.
  const { input, problems } = requestOf(asked, seed)
  if (index === 0) tellProblems(problems)
  const { wordMaps, livePreview } = settings()
  // A prompt that changes over the steps, or is several texts, has no word maps: it is drawn without.
  const hasMaps = wordMaps && isOneText(input.prompt, input.dialect ?? 'plain')
  if (wordMaps && !hasMaps) noticeRun(strings().attention.noMapsOfPrompt)
  const started = performance.now()
  const steps: DrawnStep[] = [...(resume?.before ?? [])]
  const times: number[] = []
  try {
    const { client, model } = await readyEngine()
    const watch: EngineWatch = {
      keep: 'all',
      measureEffects: asked.paint.length > 0 || asked.regions !== undefined || asked.edit !== undefined,
      ...(hasMaps && { capture: { live: true } }),
      ...(resume && { resume: resume.call }),
    }
    const taken = await engineInputsOf(asked)
    const result = await client.generate(input, taken, {
      watch,
      signal,
      onNotice: noticeRun,
      onProgress(progress) {
        if (!progress.tile) {
          times.push(progress.milliseconds)
          const { step, preview, maps } = progress
          steps.push({ step, preview: livePreview ? preview : undefined, maps })
        }
        progressRun(input.prompt, progress, times)
      },
    })
    const drawn = await addPicture({
      draft: { ...asked, seed },
      request: result.used,
      ...(taken.init && {
        before: fittedPixels(taken.init, result.used.width, result.used.height, taken.fit ?? 'stretch'),
      }),
      pixels: result.picture,
      attention: result.attention,
      steps,
      effects: result.effects ?? [],
      schedule: result.schedule,
      tokenWeights: result.tokenWeights,
      spot: result.spot,
      model: model.name,
      kept: result.kept ?? [],
      seconds: (performance.now() - started) / 1000,
      adapter: result.adapter.name,
      workingBytes: result.activationBytes,
      saved: undefined,
      isSample: false,
    })
    // The picture in one frame, the end of the run in the next: together they would be a long one.
    await pause()
    endRun()
    announce(strings().create.pictureAlt(asked.prompt))
    // The picture is seen first, then encoded and kept.
    setTimeout(() => void keepPicture(drawn, model.name, result.adapter, () => note.saved(index)), 100)
    return true
  } catch (error) {
    const cancelled = error instanceof AttuneError && error.code === 'cancelled'
    note.ended(index)
    endRun(cancelled ? { stoppedAt: steps.at(-1)?.step ?? 0 } : { error: recordOf(error) })
    if (cancelled) announce(strings().create.stopped(steps.at(-1)?.step ?? 0))
    else announce(recordOf(error).message)
    if (isSeatGone(error)) void restartEngine()
    return false
  }
}

export async function copyPicture(): Promise<void> {
  const picture = selectedPicture()
  const { create } = strings()
  if (!picture) {
    tell({ tone: 'info', text: create.nothingToCopy })
    return
  }
  try {
    await navigator.clipboard.write([new ClipboardItem({ 'image/png': pngOf(picture.pixels) })])
    tell({ tone: 'good', text: create.pictureCopied })
  } catch {
    tell({ tone: 'problem', text: create.copyFailed })
  }
}

/** Puts back what the shown picture was drawn from. */
export function takePictureRequest(): void {
  const picture = selectedPicture()
  if (picture) changeRequest({ ...picture.draft })
}

export function rollSeed(): void {
  changeRequest({ seed: randomSeed(), seedLocked: true })
}

export function toggleCompare(): void {
  usePictures.setState(state => ({ comparing: !state.comparing && comparedPixels(state) !== undefined }))
}

/** Tries again after a failure. */
export async function recover(): Promise<void> {
  if (useEngine.getState().phase === 'failed') await restartEngine().catch(reportError)
  else await generate()
}
