/** The exports that show several maps at once: a word over the steps, animated, and tokens against positions. */
import type { CapturedAttention } from '../../model/attention/captured.ts'
import { chooseLayers, mapsOverSteps, type NamedMap, tokenMatrix } from '../../model/attention/named-maps.ts'
import { AttuneError } from '../../model/contract/errors.ts'
import type { MatrixFigure } from '../../model/image/figure.ts'
import { paintHeat, rangeOf, resizeHeat } from '../../model/image/heat.ts'
import { encodeAnimation, encodeFigure } from './encode.ts'
import type { Planned } from './folder.ts'
import { shortLayer } from './names.ts'
import type { Normalisation, PlanOptions } from './options.ts'

/**
 * One animation a word; the range is that of all its steps, so that colours can be compared along time.
 * @throws AttuneError `bad-argument` where nothing was kept per step
 */
export function planAnimations(
  captured: CapturedAttention,
  words: readonly number[],
  names: readonly string[],
  options: PlanOptions,
  normalisation: Normalisation,
  planned: Planned[],
): void {
  const { perStep } = options
  if (!perStep) {
    throw new AttuneError(
      'bad-argument',
      'There are no maps per step, which an animation needs.',
      'Leave the format webp out, or record again with maps per step.',
    )
  }
  const sequences = words.map(word => mapsOverSteps(captured, perStep, word, options.steps ?? 'running'))
  const shared = sequences.flat().reduce((most, map) => Math.max(most, rangeOf(map.data).high), 0)
  words.forEach((word, at) => {
    const frames = sequences[at] as NamedMap[]
    if (frames.length === 0) {
      throw new AttuneError(
        'bad-argument',
        `The word "${captured.words[word]?.text}" was not kept per step.`,
        'Leave the word or the format webp out.',
      )
    }
    const own = frames.map(frame => rangeOf(frame.data))
    const range =
      normalisation === 'absolute'
        ? { low: 0, high: 1 }
        : normalisation === 'shared'
          ? { low: 0, high: shared }
          : { low: Math.min(...own.map(one => one.low)), high: Math.max(...own.map(one => one.high)) }
    planned.push({
      name: `${names[at]}.webp`,
      make: () =>
        encodeAnimation(
          frames.map(frame =>
            paintHeat(
              resizeHeat(frame, captured.width, captured.height),
              range,
              options.colormap ?? 'viridis',
            ),
          ),
        ),
    })
  })
}

/** The mean over layers, and one figure per chosen layer. */
export function planFigures(
  captured: CapturedAttention,
  words: readonly number[],
  options: PlanOptions,
  planned: Planned[],
): void {
  const layers = options.layers?.length ? chooseLayers(captured, options.layers) : []
  const patches = options.patches === undefined ? {} : { patches: options.patches }
  for (const layer of [undefined, ...layers]) {
    const name = layer ? `figure.${shortLayer(layer.path)}` : 'figure'
    let made: ReturnType<typeof encodeFigure> | undefined
    const once = () =>
      (made ??= encodeFigure(tokenFigure(captured, words, options, layer ? { layer, ...patches } : patches)))
    planned.push({ name: `${name}.png`, make: async () => (await once()).png })
    planned.push({ name: `${name}.svg`, make: async () => (await once()).svg })
  }
}

/** Source tokens × target positions, ready to draw. */
export function tokenFigure(
  captured: CapturedAttention,
  words: readonly number[],
  options: Pick<PlanOptions, 'colormap' | 'normalise'> = {},
  which: Parameters<typeof tokenMatrix>[2] = {},
): MatrixFigure {
  const matrix = tokenMatrix(captured, words, which)
  const { width, height } = matrix.grid
  const what = which?.patches ? 'patches' : 'positions'
  const range =
    options.normalise === 'absolute' ? { low: 0, high: 1 } : { low: 0, high: rangeOf(matrix.data).high }
  const prompt = captured.prompt.length > 70 ? `${captured.prompt.slice(0, 69)}…` : captured.prompt
  return {
    title: prompt.replace(/\s+/g, ' ') || 'Attention',
    subtitle: `${which?.layer?.path ?? `mean of ${captured.layers.length} layers`} · ${captured.steps} steps · ${captured.half === 'cond' ? 'conditional half' : 'unconditional half'}`,
    rowLabels: matrix.rowLabels,
    rowTitle: 'source token',
    columnTitle: `target ${what}: ${width} × ${height}, row by row from the top`,
    data: matrix.data,
    columns: matrix.columns,
    group: width,
    range,
    barTitle: 'mean probability',
    colormap: options.colormap ?? 'viridis',
  }
}
