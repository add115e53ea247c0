/** Painted masks: bytes on a coarse grid over the picture, and their base64 in the request. */
import type { ControlMask } from '../../../model/contract/controls.ts'

export interface Mask {
  readonly width: number
  readonly height: number
  readonly data: Uint8Array
}

/** Cells of a mask's longer side: finer than any grid of attention. */
const longerSide = 96

export function emptyMask(width: number, height: number): Mask {
  const scale = longerSide / Math.max(width, height)
  const [across, down] = [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))]
  return { width: across, height: down, data: new Uint8Array(across * down) }
}

/**
 * Lays a round spot on a mask, hard in the middle and soft at its rim.
 * @param x share of the width, 0…1
 * @param radius share of the shorter side
 */
export function dab(mask: Mask, x: number, y: number, radius: number, erase: boolean): void {
  const { width, height, data } = mask
  const reach = radius * Math.min(width, height)
  const [cx, cy] = [x * width, y * height]
  for (let row = Math.max(0, Math.floor(cy - reach)); row < Math.min(height, Math.ceil(cy + reach)); row++) {
    for (let at = Math.max(0, Math.floor(cx - reach)); at < Math.min(width, Math.ceil(cx + reach)); at++) {
      const distance = Math.hypot(at + 0.5 - cx, row + 0.5 - cy) / reach
      if (distance >= 1) continue
      const value = Math.round(255 * Math.min(1, (1 - distance) * 3))
      const index = row * width + at
      const before = data[index] as number
      data[index] = erase ? Math.min(before, 255 - value) : Math.max(before, value)
    }
  }
}

/** The line between two spots, without gaps. */
export function stroke(
  mask: Mask,
  from: { readonly x: number; readonly y: number },
  to: { readonly x: number; readonly y: number },
  radius: number,
  erase: boolean,
): void {
  const distance = Math.hypot((to.x - from.x) * mask.width, (to.y - from.y) * mask.height)
  const count = Math.max(1, Math.ceil(distance / 2))
  for (let index = 1; index <= count; index++) {
    const share = index / count
    dab(mask, from.x + (to.x - from.x) * share, from.y + (to.y - from.y) * share, radius, erase)
  }
}

export function isEmpty(mask: Mask): boolean {
  return mask.data.every(value => value === 0)
}

export function toControlMask({ width, height, data }: Mask): ControlMask {
  let text = ''
  for (const byte of data) text += String.fromCharCode(byte)
  return { kind: 'bitmap', width, height, data: btoa(text) }
}

export function fromControlMask(mask: ControlMask, width: number, height: number): Mask {
  if (mask.kind === 'bitmap') {
    const data = Uint8Array.from(atob(mask.data), sign => sign.charCodeAt(0))
    return { width: mask.width, height: mask.height, data }
  }
  const made = emptyMask(width, height)
  made.data.forEach((_, index) => {
    const x = ((index % made.width) + 0.5) / made.width
    const y = (Math.floor(index / made.width) + 0.5) / made.height
    const inside = x >= mask.x && x < mask.x + mask.width && y >= mask.y && y < mask.y + mask.height
    made.data[index] = inside ? 255 : 0
  })
  return made
}

/** A mask as colour with its strength as opacity. */
export function tintMask(
  { width, height, data }: Mask,
  colour: readonly [number, number, number],
): ImageData {
  const rgba = new Uint8ClampedArray(width * height * 4)
  data.forEach((value, at) => rgba.set([...colour, value * 0.62], at * 4))
  return new ImageData(rgba, width, height)
}
