/** What a queued job takes in beside its request, as an engine's messages carry it. */
import { pathToFileURL } from 'node:url'
import type { DrawInputs } from '../../model/contract/inputs.ts'
import type { Pixels } from '../../model/image/resample.ts'
import type { EngineInputs, ModelLocation } from '../../model/worker/messages.ts'
import type { RunnerContext } from '../service/facts.ts'
import type { NetPlace } from '../service/nets.ts'

/** @throws AttuneError `bad-file`, `bad-model` for a picture or a network that is no longer there */
export async function engineInputsOf(
  { init, mask, nets = {}, images = {} }: DrawInputs,
  context: Pick<RunnerContext, 'findNet' | 'readInput'>,
): Promise<EngineInputs> {
  const pixels = (key: string, what: string): Promise<Pixels> => context.readInput(key, what)
  const openNets = await Promise.all(
    Object.entries(nets).map(async ([name, id]) => ({
      name,
      location: netLocation(await context.findNet(id), name),
    })),
  )
  const pictures = await Promise.all(
    Object.entries(images).map(async ([name, { key, name: file, preprocessor }]) => ({
      name,
      pixels: await pixels(key, `The guide’s picture ${file}`),
      ...(preprocessor && { preprocessor }),
    })),
  )
  const { key: _, ...inpaint } = mask ?? { key: '', feather: 0, content: 'original' as const }
  return {
    ...(init && { init: await pixels(init.key, `The source picture ${init.name}`), fit: init.fit }),
    ...(mask && { mask: await pixels(mask.key, 'The mask'), inpaint }),
    ...(openNets.length > 0 && { guides: { nets: openNets, pictures } }),
  }
}

/** Where a thread of this host finds a network. */
export function netLocation({ folder, file }: NetPlace, name: string): ModelLocation {
  return { kind: 'url', url: pathToFileURL(folder).href, name, ...(file !== undefined && { file }) }
}
