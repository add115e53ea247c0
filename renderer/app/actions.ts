/** What a person can do with the request and its pictures: shared by buttons, shortcuts and the command palette. */
import { AttuneError } from '../../model/contract/errors.ts'
import type { EngineWatch } from '../engine/session.ts'
import { pngOf } from '../engine/pixels.ts'
import { recordedTemplate, requestOf, tellProblems } from '../features/queue/expand-request.ts'
import { savePicture } from '../host/client.ts'
import { isSeatGone, readyEngine, restartEngine, useEngine } from '../state/engine.ts'
import {
  addPicture,
  type DrawnPicture,
  type DrawnStep,
  markSaved,
  selectedPicture,
  usePictures,
} from '../state/pictures.ts'
import { changeRequest, draft, randomSeed, rememberSeed, type RequestDraft } from '../state/request.ts'
import { beginRun, endRun, isDrawing, noticeRun, progressRun, useRun } from '../state/run.ts'
import { settings } from '../state/settings.ts'
import { announce, recordOf, reportError, tell } from '../state/ui.ts'
import { strings } from '../strings/index.ts'
import { focusOn } from './focus.ts'

let controller: AbortController | undefined

/** Draws what the request says, as many pictures as it asks for. */
export async function generate(): Promise<void> {
  if (isDrawing()) return
  const asked = draft()
  if (asked.prompt.trim() === '' && asked.regions === undefined) {
    tell({ tone: 'info', text: strings().create.noPrompt })
    focusOn('prompt')
    return
  }
  let seed = asked.seedLocked ? asked.seed : randomSeed()
  controller = new AbortController()
  const { signal } = controller
  for (let index = 0; index < asked.count; index++) {
    rememberSeed(seed)
    if (!(await drawOne(asked, seed, index, asked.count, signal))) return
    seed = ((BigInt(seed) + 1n) % 2n ** 64n).toString()
  }
}

/** Takes the newest picture up again at a call that was kept, with the request as it is now. */
export async function rerunFrom(picture: DrawnPicture, step: number, call: number): Promise<void> {
  if (isDrawing()) return
  controller = new AbortController()
  const asked = { ...draft(), seed: picture.request.seed }
  const before = picture.steps.filter(each => each.step <= step)
  await drawOne(asked, picture.request.seed, 0, 1, controller.signal, { call, before })
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
  resume?: { readonly call: number; readonly before: readonly DrawnStep[] },
): Promise<boolean> {
  const defaults = useEngine.getState().model?.defaults
  beginRun(index, count, asked.steps ?? defaults?.steps ?? 0)
  // `{a|b}` and `__list__` are drawn by the picture's own seed; the draft keeps them as typed.
  const { input, problems } = requestOf(asked, seed)
  if (index === 0) tellProblems(problems)
  const { wordMaps, livePreview } = settings()
  const started = performance.now()
  const steps: DrawnStep[] = [...(resume?.before ?? [])]
  const times: number[] = []
  try {
    const { client, model } = await readyEngine()
    const watch: EngineWatch = {
      keep: 'all',
      measureEffects: asked.paint.length > 0 || asked.regions !== undefined,
      ...(wordMaps && { capture: { live: true } }),
      ...(resume && { resume: resume.call }),
    }
    const result = await client.generate(
      input,
      {},
      {
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
      },
    )
    const drawn = await addPicture({
      draft: { ...asked, seed },
      request: result.used,
      pixels: result.picture,
      attention: result.attention,
      steps,
      effects: result.effects ?? [],
      kept: result.kept ?? [],
      seconds: (performance.now() - started) / 1000,
      adapter: result.adapter.name,
      workingBytes: result.activationBytes,
      saved: undefined,
      isSample: false,
    })
    endRun()
    announce(strings().create.pictureAlt(asked.prompt))
    // The picture is seen first, then encoded and kept.
    setTimeout(() => void keep(drawn, model.name, result.adapter), 100)
    return true
  } catch (error) {
    const cancelled = error instanceof AttuneError && error.code === 'cancelled'
    endRun(cancelled ? { stoppedAt: steps.at(-1)?.step ?? 0 } : { error: recordOf(error) })
    if (cancelled) announce(strings().create.stopped(steps.at(-1)?.step ?? 0))
    else announce(recordOf(error).message)
    if (isSeatGone(error)) void restartEngine()
    return false
  }
}

async function keep(
  drawn: DrawnPicture,
  model: string,
  machine: { readonly backend: string; readonly name: string },
): Promise<void> {
  try {
    const id = await savePicture(drawn.pixels, {
      request: { ...drawn.request, ...recordedTemplate(drawn.draft, drawn.request) },
      model: { name: model },
      machine: { backend: machine.backend, adapter: machine.name },
    })
    markSaved(drawn.id, id)
  } catch (error) {
    const { message, remedy } = recordOf(error)
    tell({
      tone: 'problem',
      text: `${strings().create.notSaved} ${message}`,
      detail: remedy,
      action: { label: strings().app.retry, run: () => void keep(drawn, model, machine) },
    })
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
  usePictures.setState(({ comparing, pictures }) => ({ comparing: !comparing && pictures.length > 1 }))
}

/** Tries again after a failure. */
export async function recover(): Promise<void> {
  if (useEngine.getState().phase === 'failed') await restartEngine().catch(reportError)
  else await generate()
}
