/** `--meter`: what the sources of a run are called, and its reading in a few lines. */
import type { MeterReading } from '../../model/attention/meter.ts'
import { percent } from '../../model/attention/report.ts'
import type { GenerateRequest } from '../../model/contract/request.ts'
import { withSwaps } from '../../model/pipeline/swaps.ts'
import { shortLayer } from '../../host/maps/names.ts'

/** What is said where nothing is measured. */
export const oneSource =
  'meter: the prompt is the only source that the picture asks, so it brings all. Add --region or --image-prompt, or edit a picture, to compare.'

/** True where the picture asks more than the prompt: regions, the borrowed words of an edit, image prompts. */
export function hasSeveralSources(
  request: Pick<GenerateRequest, 'prompt' | 'dialect' | 'controls' | 'imagePrompts'>,
): boolean {
  const { controls } = withSwaps(request)
  const isPrompted = (request.imagePrompts?.length ?? 0) > 0
  return isPrompted || controls?.regions !== undefined || controls?.edit !== undefined
}

/** What each source is called, in their order. */
export function sourceNames(
  { sources }: MeterReading,
  request: Parameters<typeof withSwaps>[0] & {
    readonly imagePrompts?: readonly { readonly image: string }[]
  },
): string[] {
  const { regions } = withSwaps(request).controls ?? {}
  const { imagePrompts = [] } = request
  return sources.map(({ kind, region, image }) => {
    if (kind === 'own') return 'the prompt'
    if (kind === 'borrowed') return 'kept from the original'
    if (kind === 'image') return `image ${(image ?? 0) + 1} "${imagePrompts[image ?? 0]?.image ?? ''}"`
    const text = regions?.regions[region ?? 0]?.prompt ?? ''
    return `region ${(region ?? 0) + 1} "${text.length > 40 ? `${text.slice(0, 39)}…` : text}"`
  })
}

/** One line for the step, one a source with the layers that take most from it. */
export function meterLines(reading: MeterReading, names: readonly string[]): string[] {
  const width = Math.max(...names.map(name => name.length))
  return [
    `meter, step ${reading.step}: what each source brings, and where it brings most`,
    ...names.map((name, source) => {
      const top = reading.layers
        .toSorted((a, b) => (b.shares[source] ?? 0) - (a.shares[source] ?? 0))
        .slice(0, 2)
        .map(({ path, shares }) => `${shortLayer(path)} ${percent(shares[source] ?? 0)}`)
      return `  ${name.padEnd(width)}  ${percent(reading.shares[source] ?? 0).padStart(7)}   ${top.join(', ')}`
    }),
  ]
}
