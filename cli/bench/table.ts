/** Prints measurements as a table for people, or as JSON lines. */
import { type CommandIO, writeJson } from '../io.ts'

export type Row = Readonly<Record<string, string | number>>

/** @param digits decimals of numbers that are not whole */
export function printTable(
  io: CommandIO,
  json: boolean,
  name: string,
  rows: readonly Row[],
  digits = 1,
): void {
  if (json) {
    for (const row of rows) writeJson(io, { type: 'measurement', benchmark: name, ...row })
    return
  }
  const columns = Object.keys(rows[0] ?? {})
  const cell = (value: string | number | undefined): string =>
    typeof value === 'number' ? (Number.isInteger(value) ? `${value}` : value.toFixed(digits)) : (value ?? '')
  const widths = columns.map(column => Math.max(column.length, ...rows.map(row => cell(row[column]).length)))
  const line = (cells: readonly string[], numeric: readonly boolean[]): string =>
    cells
      .map((text, i) => (numeric[i] ? text.padStart(widths[i] as number) : text.padEnd(widths[i] as number)))
      .join('  ')
      .trimEnd()
  const numeric = columns.map(column => rows.some(row => typeof row[column] === 'number'))
  io.stdout.write(`\n${name}\n${line(columns, numeric)}\n`)
  for (const row of rows)
    io.stdout.write(
      `${line(
        columns.map(column => cell(row[column])),
        numeric,
      )}\n`,
    )
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)] ?? NaN
}
