/** `attune generate`: checks everything that can be checked before the engine starts, and draws. */
import { resolve } from 'node:path'
import { readControlMask } from '../../host/masks.ts'
import { hasNoControls } from '../../model/contract/controls.ts'
import { type GenerateRequest, parseRequest } from '../../model/contract/request.ts'
import { refuseRepair } from '../../model/pipeline/repair-options.ts'
import { withSwaps } from '../../model/pipeline/swaps.ts'
import { resolveControls } from '../control-options.ts'
import type { Engine } from '../engine.ts'
import type { CommandIO } from '../io.ts'
import type { GenerateArguments } from '../options.ts'
import { drawPicture } from './draw.ts'
import { checkGuides, type CheckedGuides } from '../guide-files.ts'
import { type CheckedImagePrompts, checkImagePrompts } from '../image-prompt-files.ts'
import { prepareJob, refuseControls, refuseSeveralTexts, tellProblems } from './job.ts'
import { chooseTarget } from './picture-target.ts'

export async function generate(
  args: GenerateArguments,
  io: CommandIO,
  engine: Engine,
  version: string,
): Promise<void> {
  const target = await chooseTarget(args, args.request, io)
  const guides = args.guides && (await checkGuides(args.guides, io.cwd))
  const images = args.imagePrompts && (await checkImagePrompts(args.imagePrompts, io.cwd))
  const request = await requestOf(args, guides, images, io)
  const job = await prepareJob(args, request, io, { guides: guides?.files, imagePrompts: images?.files })
  if (args.effects && !hasNoControls(request.controls)) job.measureEffects = true
  if (args.repair) {
    refuseSeveralTexts(withSwaps(request).prompt, request.dialect, 'A repair needs')
    const { initialLatents: initialNoise, stepNoise } = job
    refuseRepair(request, args.repair, { initialNoise, stepNoise })
    job.repair = args.repair
  }
  tellProblems(request, args, io)
  await drawPicture({ job, args, target }, io, engine, version)
}

async function requestOf(
  { request, controls }: GenerateArguments,
  guided: CheckedGuides | undefined,
  images: CheckedImagePrompts | undefined,
  io: CommandIO,
): Promise<GenerateRequest> {
  if (!controls && !guided && !images) return request
  const read = (path: string) => readControlMask(resolve(io.cwd, path))
  const whole = parseRequest({
    ...request,
    ...(controls && { controls: await resolveControls(controls, read) }),
    ...(guided && { guides: guided.guides }),
    ...(images && { imagePrompts: images.prompts }),
  })
  refuseControls(whole)
  return whole
}
