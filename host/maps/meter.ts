/** The reading of the cross-path meter as files: what each source of attention brought, in all and layer by layer. */
import type { MeterReading } from '../../model/attention/meter.ts'
import type { Planned } from './folder.ts'
import { cell } from './report.ts'

export interface MeterFacts {
  readonly reading: MeterReading
  /** What each source is called, in their order. */
  readonly names: readonly string[]
}

const rule =
  'size of a source at a position: root mean square, over channels and heads, of what it adds before the output projection, mask included; share: its mean size over positions, of the sum over all sources; in all: mean of the layers'

/** meter.json and meter.csv. */
export function meterFiles(facts: MeterFacts): Planned[] {
  return [
    { name: 'meter.json', make: () => encode(`${JSON.stringify(meterJson(facts), undefined, 2)}\n`) },
    { name: 'meter.csv', make: () => encode(meterCsv(facts)) },
  ]
}

function meterJson({ reading, names }: MeterFacts): object {
  return {
    format: 'attune.meter',
    version: 1,
    step: reading.step,
    rule,
    sources: reading.sources.map((source, index) => ({
      name: names[index],
      ...source,
      share: reading.shares[index],
    })),
    layers: reading.layers.map(({ path, width, height, shares, sizes }) => ({
      path,
      width,
      height,
      shares,
      sizes: sizes.map(mean),
    })),
  }
}

/** One line a layer and one for all; a column a source. RFC 4180. */
function meterCsv({ reading, names }: MeterFacts): string {
  const lines = [
    ['layer', 'width', 'height', ...names],
    ...reading.layers.map(({ path, width, height, shares }) => [path, width, height, ...shares]),
    ['all', '', '', ...reading.shares],
  ]
  return lines.map(line => `${line.map(cell).join(',')}\r\n`).join('')
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text)
}

function mean(values: Float32Array): number {
  return values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length)
}
