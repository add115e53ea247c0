/**
 * `--curve`: weights of words that move over the run, from text to the request's `weightCurves`.
 *
 *     --curve "car=0:1,0.5:1.6,1:0.8"        share of the run:weight, a straight line between points
 *     --curve "red car=0:2,0.4:1@hold"       each weight holds until the next point
 *
 * They multiply what the prompt says of the words, under its law (`--emphasis`).
 */
import { Option } from 'commander'
import { AttuneError } from '../model/contract/errors.ts'
import type { WeightCurve } from '../model/contract/prompt.ts'
import type { GenerateRequest } from '../model/contract/request.ts'
import { withSwaps } from '../model/pipeline/swaps.ts'
import { bindCurves } from '../model/prompt/curves.ts'
import { lawOfDialect } from '../model/text/laws.ts'

/** As the contract has them. */
const mostCurves = 64
const mostPoints = 1000
const largestWeight = 100

const example = 'Write it like "car=0:1,0.5:1.6,1:0.8": shares of the run from 0 to 1, each with its weight.'

export function curveOption(): Option {
  return new Option(
    '--curve <words=points>',
    'weights that move over the run: "car=0:1,0.5:1.6,1:0.8", with @hold in jumps; again for more',
  ).argParser((value: string, before: readonly string[] | undefined): string[] => [...(before ?? []), value])
}

/** @throws AttuneError `bad-argument` */
export function readCurves(texts: readonly string[]): WeightCurve[] {
  if (texts.length > mostCurves) {
    throw wrong(`--curve is given ${texts.length} times; at most ${mostCurves} are read.`, 'Leave some out.')
  }
  const curves = texts.map(parseCurve)
  const names = curves.map(({ phrase }) => phrase.toLowerCase())
  const twice = names.find((name, at) => names.indexOf(name) !== at)
  if (twice !== undefined) {
    throw wrong(`--curve gives "${short(twice)}" two curves.`, 'Give one of them.')
  }
  return curves
}

/** `car=0:1,0.5:1.6,1:0.8@hold`. @throws AttuneError `bad-argument` */
export function parseCurve(text: string): WeightCurve {
  // The words may hold a sign of equality or an @; points hold neither.
  const at = text.lastIndexOf('=')
  const phrase = text.slice(0, Math.max(0, at)).trim()
  if (at < 0 || phrase === '') throw wrong(`--curve "${short(text)}" has no words and points.`, example)
  const [points = '', shape, ...others] = text
    .slice(at + 1)
    .split('@')
    .map(part => part.trim())
  if (others.length > 0 || (shape !== undefined && shape !== 'hold' && shape !== 'linear')) {
    throw wrong(
      `--curve "${short(text)}" ends with an unknown word behind @.`,
      'There are @linear, a straight line between points and the default, and @hold.',
    )
  }
  const keys = points.split(',').map(point => parsePoint(point, text))
  if (keys.length > mostPoints) {
    throw wrong(`--curve "${short(text)}" has more than ${mostPoints} points.`, 'Leave some out.')
  }
  if (keys.some(({ fraction }, index) => fraction < (keys[index - 1]?.fraction ?? 0))) {
    throw wrong(`--curve "${short(text)}" goes back in time.`, 'Write its points in the order of the run.')
  }
  return { phrase, keys, shape: shape ?? 'linear' }
}

function parsePoint(point: string, text: string): { fraction: number; weight: number } {
  const [share = '', weight = '', ...others] = point.split(':').map(part => part.trim())
  if (others.length > 0 || !isNumber(share) || !isNumber(weight)) {
    throw wrong(
      `--curve "${short(text)}" has the point "${short(point)}", which is not share:weight.`,
      example,
    )
  }
  if (Number(share) < 0 || Number(share) > 1) {
    throw wrong(`--curve "${short(text)}" has a point at ${share}, outside of the run.`, example)
  }
  if (Math.abs(Number(weight)) > largestWeight) {
    throw wrong(
      `--curve "${short(text)}" has a weight beyond ${largestWeight}.`,
      '1 leaves words as they are; 2 is a lot.',
    )
  }
  return { fraction: Number(share), weight: Number(weight) }
}

/**
 * Curves that cannot act: of words that are nowhere in the prompt, or under a law that takes no weights, or not these.
 * @throws AttuneError `bad-argument`
 */
export function refuseCurves(request: GenerateRequest): void {
  const { weightCurves: curves = [], dialect, emphasis } = request
  if (curves.length === 0) return
  const law = emphasis ?? lawOfDialect(dialect)
  if (law === 'ignore') {
    throw wrong(
      `--curve does nothing: ${emphasis ? '--emphasis ignore' : `the dialect ${dialect}`} takes no weights.`,
      'Choose another --emphasis, such as a1111 or logit-bias, or drop --curve.',
    )
  }
  const negative = curves.find(({ keys }) => keys.some(({ weight }) => weight < 0))
  if (negative && law === 'logit-bias') {
    throw wrong(
      `--curve gives "${short(negative.phrase)}" a weight below 0, which has no meaning under --emphasis logit-bias.`,
      'Use weights from 0, or another --emphasis.',
    )
  }
  bindCurves(curves, withSwaps(request).prompt)
}

function isNumber(text: string): boolean {
  return /^[+-]?(\d+\.?\d*|\.\d+)$/.test(text)
}

function short(text: string): string {
  return text.length > 60 ? `${text.slice(0, 59)}…` : text
}

function wrong(message: string, remedy: string): AttuneError {
  return new AttuneError('bad-argument', message, remedy)
}
