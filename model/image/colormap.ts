/**
 * Colour maps: from a number in 0…1 to 8-bit sRGB.
 *
 * viridis and magma: degree-6 polynomials fitted by Matt Zucker to the tables of matplotlib (both CC0;
 * shadertoy.com/view/WlfXRN, matplotlib `_cm_listed.py`), off by at most 4 of 255 steps. jet: its piecewise linear definition.
 */
export const colormaps = ['viridis', 'magma', 'jet', 'grey'] as const
export type Colormap = (typeof colormaps)[number]

/** [coefficient of x^k] of red, green, blue, k = 0 … 6. */
const polynomials: Readonly<Record<'viridis' | 'magma', readonly (readonly [number, number, number])[]>> = {
  viridis: [
    [0.2777273272234177, 0.005407344544966578, 0.3340998053353061],
    [0.1050930431085774, 1.404613529898575, 1.384590162594685],
    [-0.3308618287255563, 0.214847559468213, 0.09509516302823659],
    [-4.634230498983486, -5.799100973351585, -19.33244095627987],
    [6.228269936347081, 14.17993336680509, 56.69055260068105],
    [4.776384997670288, -13.74514537774601, -65.35303263337234],
    [-5.435455855934631, 4.645852612178535, 26.3124352495832],
  ],
  magma: [
    [-0.002136485053939582, -0.000749655052795221, -0.005386127855323933],
    [0.2516605407371642, 0.6775232436837668, 2.494026599312351],
    [8.353717279216625, -3.577719514958484, 0.3144679030132573],
    [-27.66873308576866, 14.26473078096533, -13.64921318813922],
    [52.17613981234068, -27.94360607168351, 12.94416944238394],
    [-50.76852536473588, 29.04658282127291, 4.23415299384598],
    [18.65570506591883, -11.48977351997711, -5.601961508734096],
  ],
}

/** Red, green and blue of one value, each 0…255; values outside 0…1 count as its ends. */
export function colourOf(map: Colormap, value: number): [number, number, number] {
  const x = Math.min(1, Math.max(0, value))
  if (map === 'grey') return [byte(x), byte(x), byte(x)]
  if (map === 'jet') {
    const ramp = (centre: number) => byte(1.5 - Math.abs(4 * x - centre))
    return [ramp(3), ramp(2), ramp(1)]
  }
  const terms = polynomials[map]
  const sum = [0, 0, 0]
  for (let power = terms.length - 1; power >= 0; power--) {
    for (let part = 0; part < 3; part++)
      sum[part] = (sum[part] as number) * x + (terms[power]?.[part] as number)
  }
  return [byte(sum[0] as number), byte(sum[1] as number), byte(sum[2] as number)]
}

function byte(part: number): number {
  return Math.round(Math.min(1, Math.max(0, part)) * 255)
}

/** 256 colours, [256, 3], for painting many pixels. */
export function colourTable(map: Colormap): Uint8Array {
  const table = new Uint8Array(256 * 3)
  for (let at = 0; at < 256; at++) table.set(colourOf(map, at / 255), at * 3)
  return table
}
