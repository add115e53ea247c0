/** What a table says about each word: the CSV, and the part of the JSON that is for reading. */
import type { CapturedAttention } from '../../model/attention/captured.ts'
import type { NamedMap } from '../../model/attention/named-maps.ts'

export interface WordRow {
  readonly word: string
  /** Characters of the prompt, [start, end). */
  readonly start: number
  readonly end: number
  readonly tokens: number
  /** The weight that the prompt gave it, where the recording knows it: mean over its tokens. */
  readonly weight?: number
  /** Mean and largest probability of its map. */
  readonly mean: number
  readonly peak: number
  /** The middle of the hottest cell, as shares of the picture from its left and top edge. */
  readonly peakX: number
  readonly peakY: number
  /** Share of the picture where the map is at least half of its peak. */
  readonly area: number
  /** Entropy of the map as a distribution over positions, as a share of the uniform one: 1 is everywhere alike. */
  readonly entropy: number
}

/** @param weights per captured token */
export function wordRow(captured: CapturedAttention, map: NamedMap, weights?: readonly number[]): WordRow {
  const word = captured.words[map.word]
  let sum = 0
  let peakAt = 0
  map.data.forEach((value, at) => {
    sum += value
    if (value > (map.data[peakAt] as number)) peakAt = at
  })
  const peak = map.data[peakAt] as number
  let covered = 0
  let bits = 0
  for (const value of map.data) {
    if (peak > 0 && value >= peak / 2) covered++
    if (value > 0 && sum > 0) bits -= (value / sum) * Math.log(value / sum)
  }
  const columns = word?.columns ?? []
  return {
    word: map.label,
    start: word?.span[0] ?? 0,
    end: word?.span[1] ?? 0,
    tokens: columns.length,
    ...(weights
      ? { weight: columns.reduce((total, column) => total + (weights[column] ?? 1), 0) / columns.length }
      : {}),
    mean: sum / map.data.length,
    peak,
    peakX: ((peakAt % map.width) + 0.5) / map.width,
    peakY: (Math.floor(peakAt / map.width) + 0.5) / map.height,
    area: covered / map.data.length,
    entropy: map.data.length > 1 ? bits / Math.log(map.data.length) : 0,
  }
}

const columns = [
  'word',
  'start',
  'end',
  'tokens',
  'weight',
  'mean',
  'peak',
  'peakX',
  'peakY',
  'area',
  'entropy',
] as const

/** RFC 4180, UTF-8, lines ended by CRLF. */
export function writeCsv(rows: readonly WordRow[]): string {
  const lines = [columns.join(','), ...rows.map(row => columns.map(column => cell(row[column])).join(','))]
  return `${lines.join('\r\n')}\r\n`
}

function cell(value: string | number | undefined): string {
  if (value === undefined) return ''
  if (typeof value === 'number') return Number.isInteger(value) ? String(value) : value.toPrecision(6)
  // A spreadsheet would run a prompt's word that begins with one of these as a formula.
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
