/** From a picture's record back to what it took in: source, mask, guides. What is gone is named; the rest comes back. */
import { guidesSchema } from '../../../model/contract/guides.ts'
import {
  type InputFit,
  inputFits,
  inputKeySchema,
  maskContents,
  maskSettingsSchema,
  preprocessorSchema,
} from '../../../model/contract/inputs.ts'
import { callHost } from '../../host/client.ts'
import { type GuideDraft, type PictureRef, pixelsOf } from '../../state/inputs.ts'
import type { RequestDraft } from '../../state/request.ts'
import { strings } from '../../strings/index.ts'
import { toGreyMask } from '../../engine/inputs.ts'

type Recorded = Readonly<Record<string, unknown>>

/** @returns fields of a draft, and names of what is not kept any more */
export async function restoreInputs(
  record: Recorded | undefined,
): Promise<{ readonly patch: Partial<RequestDraft>; readonly left: readonly string[] }> {
  const request = (record?.['request'] ?? {}) as Recorded
  const inputs = listOf(record?.['inputs'])
  const left: string[] = []
  const found = async (input: Recorded | undefined): Promise<PictureRef | undefined> => {
    if (!input) return undefined
    const key = inputKeySchema.safeParse(input['sha256'])
    const name = String(input['file'] ?? input['name'] ?? '').slice(0, 200) || 'picture.png'
    const pixels = key.success ? await pixelsOf(key.data).catch(() => undefined) : undefined
    if (pixels && key.success) return { key: key.data, name, width: pixels.width, height: pixels.height }
    left.push(name)
    return undefined
  }
  const init = inputs.find(({ role }) => role === 'init')
  const source = await found(init)
  const mask = inputs.find(({ role }) => role === 'mask')
  const maskPicture = source && (await found(mask))
  const { feather, content } = maskSettingsSchema.catch({ feather: 0.02, content: maskContents[0] }).parse({
    ...(mask && { feather: mask['feather'], content: mask['content'] }),
  })
  const strength = typeof request['strength'] === 'number' ? request['strength'] : 1
  const fit = inputFits.find(each => each === init?.['fit']) ?? ('stretch' satisfies InputFit)
  return {
    patch: {
      source: source && { ...source, fit, strength: Math.min(1, Math.max(0, strength)) },
      inpaint: maskPicture && { mask: toGreyMask(await pixelsOf(maskPicture.key)), feather, content },
      guides: await guidesOf(request['guides'], inputs, found, left),
    },
    left,
  }
}

const listOf = (value: unknown): Recorded[] =>
  Array.isArray(value) ? value.filter((each): each is Recorded => typeof each === 'object' && each) : []

async function guidesOf(
  recorded: unknown,
  inputs: readonly Recorded[],
  found: (input: Recorded | undefined) => Promise<PictureRef | undefined>,
  left: string[],
): Promise<GuideDraft[]> {
  const parsed = guidesSchema.safeParse(recorded ?? [])
  if (!parsed.success || parsed.data.length === 0) return []
  const nets = await callHost('models.list').then(
    list => list.nets,
    () => [],
  )
  const drafts: GuideDraft[] = []
  for (const { model, image, weight, start, end, mode, resize } of parsed.data) {
    const input = inputs.find(each => each['role'] === 'control' && each['name'] === image)
    const net = nets.find(({ name }) => name === model.replace(/ \(\d+\)$/, ''))
    if (!net) left.push(strings().inputs.leftNet(model))
    const preprocessor = preprocessorSchema.safeParse(input?.['preprocessor'])
    drafts.push({
      id: crypto.randomUUID(),
      net: net && { id: net.id, name: net.name, file: net.file },
      picture: await found(input),
      preprocessor: preprocessor.success ? preprocessor.data : undefined,
      weight: typeof weight === 'number' ? weight : 1,
      start,
      end,
      mode,
      resize,
      enabled: true,
    })
  }
  return drafts
}
