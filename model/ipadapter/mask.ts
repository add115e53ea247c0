/**
 * The mask of an image prompt at a layer's grid, as diffusers brings it there (image_processor.py,
 * `IPAdapterMaskProcessor`): black or white at the picture's size, then PyTorch's cubic interpolation without
 * smoothing. The grid is the layer's true one; diffusers guesses it from the number of positions, and is right but for
 * odd sizes.
 */
import { invariant } from '../contract/errors.ts'

interface Grid {
  readonly height: number
  readonly width: number
}

/** PyTorch's cubic has another coefficient than Pillow's. */
const cubic = -0.75

/**
 * @param mask [H, W] at the size of the picture, 0 to 1
 * @returns [h·w], which may lie a little outside of 0 to 1 beside an edge
 */
export function promptMaskAt(mask: Float32Array, picture: Grid, grid: Grid): Float32Array {
  invariant(mask.length === picture.height * picture.width, 'a mask of the size of the picture')
  const hard = mask.map(value => (value >= 0.5 ? 1 : 0))
  const rows = tapsOf(picture.height, grid.height)
  const columns = tapsOf(picture.width, grid.width)
  const result = new Float32Array(grid.height * grid.width)
  for (const [y, row] of rows.entries()) {
    for (const [x, column] of columns.entries()) {
      let sum = 0
      for (const [v, down] of row) {
        let line = 0
        for (const [u, across] of column) line += across * (hard[v * picture.width + u] as number)
        sum += down * line
      }
      result[y * grid.width + x] = sum
    }
  }
  return result
}

/** The weight of an input less than one step away, and of one less than two. */
const near = (x: number): number => ((cubic + 2) * x - (cubic + 3)) * x * x + 1
const far = (x: number): number => ((cubic * x - 5 * cubic) * x + 8 * cubic) * x - 4 * cubic

/** Of each output the four inputs that make it, the border repeated. */
function tapsOf(from: number, to: number): (readonly [index: number, weight: number])[][] {
  return Array.from({ length: to }, (_, i) => {
    const center = ((i + 0.5) * from) / to - 0.5
    const first = Math.floor(center)
    const share = center - first
    const weights = [far(1 + share), near(share), near(1 - share), far(2 - share)]
    return weights.map((weight, tap) => [Math.min(Math.max(first - 1 + tap, 0), from - 1), weight] as const)
  })
}
