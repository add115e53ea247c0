/** What a draft takes in as the engine's messages carry it, and a source as it will be drawn over. */
import { hostPaths } from '../../model/contract/host-api.ts'
import type { InputFit } from '../../model/contract/inputs.ts'
import { fitPicture } from '../../model/image/preprocess/fit.ts'
import { type Pixels, resizeLanczos, toGrey } from '../../model/image/resample.ts'
import type { EngineInputs } from '../../model/worker/messages.ts'
import { type DraftInputs, namedGuides, pixelsOf } from '../state/inputs.ts'
import { isEmpty, type Mask } from '../state/masks.ts'

/** @throws AttuneError when a picture is gone */
export async function engineInputsOf({ source, inpaint, guides }: DraftInputs): Promise<EngineInputs> {
  const { nets, images } = namedGuides(guides)
  const mask = inpaint && !isEmpty(inpaint.mask) ? inpaint : undefined
  const pictures = await Promise.all(
    [...images].map(async ([name, { picture, preprocessor }]) => ({
      name,
      pixels: await pixelsOf(picture.key),
      ...(preprocessor && { preprocessor }),
    })),
  )
  return {
    ...(source && { init: await pixelsOf(source.key), fit: source.fit }),
    ...(source &&
      mask && {
        mask: { ...mask.mask, channels: 1 as const },
        inpaint: { feather: mask.feather, content: mask.content },
      }),
    ...(nets.size > 0 && {
      guides: {
        nets: [...nets].map(([name, { id, file }]) => ({
          name,
          location: {
            kind: 'url' as const,
            url: new URL(hostPaths.model(id), document.baseURI).href,
            name,
            ...(file !== undefined && { file }),
          },
        })),
        pictures,
      },
    }),
  }
}

/** A picture at the size that is drawn, in the way it is to fit: what the seat will begin from. */
export function fittedPixels(pixels: Pixels, width: number, height: number, fit: InputFit): Pixels {
  if (pixels.width === width && pixels.height === height) return pixels
  return fit === 'stretch' ? resizeLanczos(pixels, width, height) : fitPicture(pixels, { width, height }, fit)
}

/** A kept mask as one to paint on. */
export function toGreyMask(pixels: Pixels): Mask {
  const { width, height, data } = toGrey(pixels)
  return { width, height, data }
}
