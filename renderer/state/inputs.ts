/**
 * What a drawing takes in beside words: the picture to begin from, the mask of what changes, guides. The draft holds
 * names and numbers; pictures lie with the host under the digest of their content and are read when they are needed.
 */
import type { ControlGuideInput, GuideMode, GuideResize } from '../../model/contract/guides.ts'
import type { DrawInputs, InputFit, InputPreprocessor, MaskContent } from '../../model/contract/inputs.ts'
import { type Pixels, pixelsOfBlob, pngOf } from '../engine/pixels.ts'
import { inputBlob, keepInput } from '../host/client.ts'
import { isEmpty, type Mask } from './masks.ts'

/** A kept picture. */
export interface PictureRef {
  readonly key: string
  readonly name: string
  readonly width: number
  readonly height: number
}

export interface SourceDraft extends PictureRef {
  readonly fit: InputFit
  /** How much is drawn anew, 0…1. */
  readonly strength: number
}

export interface InpaintDraft {
  readonly mask: Mask
  readonly feather: number
  readonly content: MaskContent
}

export interface GuideDraft {
  /** Of the card. */
  readonly id: string
  readonly net: { readonly id: string; readonly name: string; readonly file?: string | undefined } | undefined
  readonly picture: PictureRef | undefined
  /** Undefined where the picture is the finished hint. */
  readonly preprocessor: InputPreprocessor | undefined
  readonly weight: number
  readonly start: number
  readonly end: number
  readonly mode: GuideMode
  readonly resize: GuideResize
  readonly enabled: boolean
}

/** What of a draft is taken in. */
export interface DraftInputs {
  readonly source: SourceDraft | undefined
  readonly inpaint: InpaintDraft | undefined
  readonly guides: readonly GuideDraft[]
}

export const defaultStrength = 0.6
/** Cells of a mask's longer side: finer than any latents, small enough for a long history of strokes. */
export const inpaintSide = 384

const pixels = new Map<string, Promise<Pixels>>()
/** Decoded pictures are megabytes: so many of the last are kept. */
const mostKept = 8

/** Keeps a picture of any kind. @throws AttuneError `bad-file` when it is none */
export async function keepPicture(blob: Blob, name: string): Promise<PictureRef> {
  const { key, width, height } = await keepInput(blob)
  // Files are named by people; records are read for long.
  return { key, name: (name || 'picture.png').slice(0, 200), width, height }
}

/** RGB of a kept picture. @throws AttuneError when it is gone */
export function pixelsOf(key: string): Promise<Pixels> {
  const known = pixels.get(key)
  if (known) return known
  const read = inputBlob(key).then(pixelsOfBlob)
  pixels.set(key, read)
  read.catch(() => pixels.delete(key))
  for (const old of [...pixels.keys()].slice(0, -mostKept)) pixels.delete(old)
  return read
}

const maskKeys = new WeakMap<Mask, Promise<string>>()

/** The key of a mask; painted ones are kept when something is drawn with them. */
function keyOfMask(mask: Mask): Promise<string> {
  const known = maskKeys.get(mask)
  if (known) return known
  const kept = pngOf({ ...mask, channels: 1 })
    .then(keepInput)
    .then(({ key }) => key)
  maskKeys.set(mask, kept)
  kept.catch(() => maskKeys.delete(mask))
  return kept
}

/** A guide that acts: it has all that it needs. */
export interface ReadyGuide extends GuideDraft {
  readonly net: NonNullable<GuideDraft['net']>
  readonly picture: PictureRef
}

/** What the library says against a guide; set by `features/guides`, which follows it. */
let isUnfit: (guide: GuideDraft) => boolean = () => false

export function setGuideCheck(check: (guide: GuideDraft) => boolean): void {
  isUnfit = check
}

export function readyGuides(guides: readonly GuideDraft[]): readonly ReadyGuide[] {
  return guides.filter(
    (guide): guide is ReadyGuide =>
      guide.enabled &&
      !isUnfit(guide) &&
      guide.net !== undefined &&
      guide.picture !== undefined &&
      guide.weight !== 0,
  )
}

interface NamedGuides {
  readonly guides: ControlGuideInput[]
  readonly nets: ReadonlyMap<string, ReadyGuide['net']>
  readonly images: ReadonlyMap<string, ReadyGuide>
}

/** Guides as a request has them: nets and pictures by names, the second of a name as `name (2)`. */
export function namedGuides(drafts: readonly GuideDraft[]): NamedGuides {
  const nets = new Map<string, ReadyGuide['net']>()
  const images = new Map<string, ReadyGuide>()
  const guides = readyGuides(drafts).map(guide => {
    const { net, picture, preprocessor, weight, start, end, mode, resize } = guide
    const model = freeName(net.name, nets, other => other.id === net.id)
    nets.set(model, net)
    const shown = preprocessor ? `${preprocessor.name}@${picture.name}` : picture.name
    const image = freeName(shown, images, other => hintKey(other) === hintKey(guide))
    images.set(image, guide)
    return { model, image, weight, start, end, mode, resize }
  })
  return { guides, nets, images }
}

/** What decides a hint: two guides that share all of it share a picture. */
const hintKey = ({ picture, preprocessor, resize }: ReadyGuide): string =>
  `${picture.key} ${JSON.stringify(preprocessor)} ${preprocessor ? resize : ''}`

function freeName<T>(name: string, taken: ReadonlyMap<string, T>, isSame: (other: T) => boolean): string {
  for (let number = 1; ; number++) {
    const candidate = number === 1 ? name : `${name} (${number})`
    const other = taken.get(candidate)
    if (other === undefined || isSame(other)) return candidate
  }
}

/**
 * What a draft takes in, as jobs and records name it; undefined where it is nothing.
 * @throws AttuneError when a painted mask cannot be kept
 */
export async function drawInputsOf({
  source,
  inpaint,
  guides,
}: DraftInputs): Promise<DrawInputs | undefined> {
  const { nets, images } = namedGuides(guides)
  if (!source && nets.size === 0) return undefined
  const mask = source && inpaint && !isEmpty(inpaint.mask) ? inpaint : undefined
  return {
    ...(source && { init: { key: source.key, name: source.name, fit: source.fit } }),
    ...(mask && {
      mask: { key: await keyOfMask(mask.mask), feather: mask.feather, content: mask.content },
    }),
    ...(nets.size > 0 && {
      nets: Object.fromEntries([...nets].map(([name, { id }]) => [name, id])),
      images: Object.fromEntries(
        [...images].map(([name, { picture, preprocessor }]) => [
          name,
          { key: picture.key, name: picture.name, ...(preprocessor && { preprocessor }) },
        ]),
      ),
    }),
  }
}
