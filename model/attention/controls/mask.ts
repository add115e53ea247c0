/**
 * A part of the picture, as the layers of a network see it: the values of a mask at a grid of L = h·w positions, row by
 * row. Every grid covers the whole picture, however many positions it has (odd sizes come by ceil division), so the
 * same mask means the same place at every layer.
 */
import type { ControlMask, ControlWindow } from '../../contract/controls.ts'
import { AttuneError } from '../../contract/errors.ts'
import { checkGrid, type Grid } from '../resize.ts'
import { averageTo, coverage, type Field, maximumTo, soften } from './mask-resample.ts'

/** What is drawn all the same, but not as somebody may expect. */
export interface ControlWarning {
  readonly code: 'small-region' | 'empty-window' | 'isolate-ignores'
  readonly text: string
}

/** Sides of the field on which edges are softened: twice the positions of a layer at 1024 pixels. */
const workingSide = 256
/** A region that nowhere reaches this share of its own largest value has vanished at a grid. */
const vanishedBelow = 0.5

export interface MaskOptions {
  /** Width of the soft edge as a share of the picture's shorter side, half inside and half outside; 0 = hard. */
  readonly feather?: number
  /** For the width of the soft edge only; in any unit. */
  readonly picture: Grid
  /** For messages, such as `region "a dog"`. */
  readonly name?: string
}

/** Shares of the picture's sides, within the picture. */
interface Box {
  readonly left: number
  readonly right: number
  readonly top: number
  readonly bottom: number
}

/** A mask that is decoded, checked and softened, for any number of grids. */
export interface PreparedMask {
  readonly name: string | undefined
  /** The largest value of the mask, softened. */
  readonly peak: number
  readonly shape: Box | Field
}

/**
 * Decodes, checks and softens a mask, once for all grids: edges are softened on a field whose size depends on the
 * picture's aspect only. A mask much narrower than its soft edge keeps half of its largest value in its middle, so that
 * softness cannot make a region vanish.
 * @throws AttuneError `bad-argument` when nothing is inside the mask, or a bitmap is not as large as it says
 */
export function prepareMask(mask: ControlMask, { feather = 0, picture, name }: MaskOptions): PreparedMask {
  checkGrid(picture)
  const shape = mask.kind === 'rect' ? boxOf(mask) : bitmapOf(mask, name)
  const peak = 'values' in shape ? largest(shape.values) : boxPeak(shape)
  if (peak === 0) {
    throw new AttuneError(
      'bad-argument',
      `The mask of ${name === undefined ? 'a control' : `the ${name}`} is empty: no part of the picture is inside.`,
      'Paint a part of it white, give the rectangle a width and a height, or leave it out.',
    )
  }
  if (feather === 0) return { name, peak, shape }
  const [short, long] = [Math.min(picture.width, picture.height), Math.max(picture.width, picture.height)]
  const side = (of: number): number => Math.max(1, Math.round((workingSide * of) / long))
  const field = fieldAt(shape, { width: side(picture.width), height: side(picture.height) }, 'mean')
  const reach = (of: number, cells: number): number => (feather * short * cells) / of
  const soft = soften(field, reach(picture.width, field.width), reach(picture.height, field.height))
  const left = largest(soft.values)
  const factor = Math.max(1, (vanishedBelow * peak) / left)
  const values = soft.values.map(value => value * factor)
  return { name, peak: left * factor, shape: { ...soft, values } }
}

/**
 * A prepared mask at a grid, [L], 0 to 1. `mean`: the exact share of each position that is inside (linear where the
 * grid is finer than the bitmap). `max`: the largest value that a position touches.
 */
export function preparedMaskAt(
  mask: PreparedMask,
  grid: Grid,
  reduce: 'mean' | 'max' = 'mean',
): Float32Array {
  checkGrid(grid)
  return fieldAt(mask.shape, grid, reduce).values
}

/** A mask at one grid, [L]: see `prepareMask` and `preparedMaskAt`. The picture has the grid's aspect unless given. */
export function maskAt(
  mask: ControlMask,
  grid: Grid,
  options: Partial<MaskOptions> & { readonly reduce?: 'mean' | 'max' } = {},
): Float32Array {
  const { reduce = 'mean', ...others } = options
  return preparedMaskAt(prepareMask(mask, { picture: grid, ...others }), grid, reduce)
}

/**
 * A region's mask at a grid, [L]. The mean, unless that would make the region vanish (nowhere half of its own largest
 * value, as a small object at 8×8): then every position that it touches, as InvokeAI's max-pooling with ceil does.
 */
export function regionMaskAt(
  mask: PreparedMask,
  grid: Grid,
): { readonly values: Float32Array; readonly warning?: ControlWarning } {
  const values = preparedMaskAt(mask, grid, 'mean')
  if (largest(values) >= vanishedBelow * mask.peak) return { values }
  return { values: preparedMaskAt(mask, grid, 'max'), warning: smallRegion(mask.name, [grid]) }
}

/** Says that a region is smaller than a position of some grids. */
export function smallRegion(name: string | undefined, grids: readonly Grid[]): ControlWarning {
  const sizes = grids.map(({ width, height }) => `${width}×${height}`).join(', ')
  return {
    code: 'small-region',
    text: `The ${name ?? 'region'} is smaller than one position of the layers of ${sizes}: there it takes every position that it touches. A larger mask would keep its shape.`,
  }
}

/**
 * Says that a window holds no evaluation of a run of `count`, so that its control does nothing.
 * @param name such as `painted word "car"`
 */
export function emptyWindow(
  name: string,
  { start, end }: ControlWindow,
  count: number,
): ControlWarning | undefined {
  // As `isInWindow` counts.
  if (Math.floor(start * count) < Math.floor(end * count)) return undefined
  return {
    code: 'empty-window',
    text: `The window ${start}-${end} of the ${name} holds none of the ${count} evaluations: it changes nothing. Widen the window or draw with more steps.`,
  }
}

/** How a text is named in messages: quoted, on one line, not too long. */
export function quoted(text: string): string {
  const line = text.replace(/\s+/g, ' ').trim()
  return `"${line.length > 60 ? `${line.slice(0, 59)}…` : line}"`
}

function fieldAt(shape: Box | Field, grid: Grid, reduce: 'mean' | 'max'): Field {
  if ('values' in shape) return reduce === 'mean' ? averageTo(shape, grid) : maximumTo(shape, grid)
  const { width, height } = grid
  const across = coverage(shape.left, shape.right, width)
  const down = coverage(shape.top, shape.bottom, height)
  const values = new Float32Array(width * height)
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const share = (down[y] as number) * (across[x] as number)
      values[y * width + x] = reduce === 'max' && share > 0 ? 1 : share
    }
  }
  return { width, height, values }
}

function boxOf(rect: ControlMask & { readonly kind: 'rect' }): Box {
  return {
    left: rect.x,
    right: Math.min(1, rect.x + rect.width),
    top: rect.y,
    bottom: Math.min(1, rect.y + rect.height),
  }
}

/** 1 within, and 0 when nothing is: thinner than any picture's pixel. */
function boxPeak({ left, right, top, bottom }: Box): number {
  return right - left > 1e-7 && bottom - top > 1e-7 ? 1 : 0
}

function bitmapOf(
  { width, height, data }: ControlMask & { readonly kind: 'bitmap' },
  name: string | undefined,
): Field {
  const bytes = decodeBase64(data)
  if (bytes?.length !== width * height) {
    throw new AttuneError(
      'bad-argument',
      `The mask of ${name === undefined ? 'a control' : `the ${name}`} is damaged: ${bytes ? `${bytes.length} bytes are not ${width}×${height} pixels` : 'its data is not base64'}.`,
      'Make the mask again: one byte for each pixel, as base64.',
    )
  }
  const values = new Float32Array(bytes.length)
  for (let i = 0; i < bytes.length; i++) values[i] = bytes.charCodeAt(i) / 255
  return { width, height, values }
}

/** The bytes as a string of their codes; undefined where the text is not base64. */
function decodeBase64(text: string): string | undefined {
  try {
    return atob(text)
  } catch {
    return undefined
  }
}

function largest(values: Float32Array): number {
  let most = 0
  for (const value of values) if (value > most) most = value
  return most
}
