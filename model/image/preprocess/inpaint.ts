/**
 * The hint of ControlNets for inpainting. Their convention (lllyasviel's control_v11p_sd15_inpaint; diffusers'
 * `make_inpaint_condition`): colours from 0 to 1, and −1 in all channels where the picture is to be drawn anew. A PNG
 * has no −1, so as a picture the masked pixels are transparent; `hintOf` makes the numbers of it.
 */
import { AttuneError } from '../../contract/errors.ts'
import type { Pixels } from '../resample.ts'
import { resizePicture, toRgb } from './filters.ts'

/** From this value on a mask pixel is masked: diffusers cuts at one half. */
const cut = 128

/**
 * The picture with its masked pixels transparent (and black below, so that nothing of them is left).
 * @param mask white is drawn anew; of any size, brought to the picture's
 */
export function inpaint(picture: Pixels, mask: Pixels): Pixels {
  const { width, height, data: rgb } = toRgb(picture)
  const fitted = resizePicture(mask, width, height, 'nearest')
  const data = new Uint8Array(width * height * 4)
  let masked = 0
  for (let i = 0; i < width * height; i++) {
    if ((fitted.data[i * fitted.channels] as number) >= cut) {
      masked++
      continue
    }
    for (let part = 0; part < 3; part++) data[i * 4 + part] = rgb[i * 3 + part] as number
    data[i * 4 + 3] = 255
  }
  if (masked === 0) {
    throw new AttuneError(
      'bad-argument',
      'The mask is black everywhere: nothing is to be drawn anew.',
      'Paint white what is to change.',
    )
  }
  return { width, height, channels: 4, data }
}

/**
 * What a ControlNet is given: RGB from 0 to 1, [height, width, 3]. Grey is spread; of a picture with alpha, transparent
 * pixels are −1 (`inpaint`).
 */
export function hintOf(picture: Pixels): Float32Array {
  const { width, height, channels, data } = picture
  const hint = new Float32Array(width * height * 3)
  for (let i = 0; i < width * height; i++) {
    const from = i * channels
    const isMasked = channels === 4 && (data[from + 3] as number) < cut
    for (let part = 0; part < 3; part++) {
      hint[i * 3 + part] = isMasked ? -1 : (data[channels === 1 ? from : from + part] as number) / 255
    }
  }
  return hint
}
