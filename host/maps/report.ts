/** The report of the words as a table: what model/attention/report.ts measures, one line a word. */
import type { CapturedAttention } from '../../model/attention/captured.ts'
import type { AttentionReport } from '../../model/attention/report.ts'

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
  'centreX',
  'centreY',
  'coveredArea',
  'entropy',
  'neglected',
  'leaksInto',
] as const

/**
 * RFC 4180, UTF-8, lines ended by CRLF. Places are pixels of the picture from its left and top edge; shares are 0…1.
 * @param weights per captured token, where they are known; a word has the mean of its tokens
 */
export function writeCsv(
  captured: CapturedAttention,
  report: AttentionReport,
  weights?: readonly number[],
): string {
  const lines = report.words.map(word => {
    const { span, columns: tokens } = captured.words[word.index] ?? { span: [0, 0], columns: [] }
    const weight = weights
      ? tokens.reduce((sum, column) => sum + (weights[column] ?? 1), 0) / tokens.length
      : undefined
    const row: Record<(typeof columns)[number], string | number | undefined> = {
      word: word.word,
      start: span[0],
      end: span[1],
      tokens: tokens.length,
      weight,
      mean: word.mean,
      peak: word.peak,
      peakX: word.peakAt.x,
      peakY: word.peakAt.y,
      centreX: word.centre.x,
      centreY: word.centre.y,
      coveredArea: word.coveredArea,
      entropy: word.entropy,
      neglected: word.neglected ? 'yes' : 'no',
      leaksInto: word.leaksInto.map(index => captured.words[index]?.text ?? '').join(' '),
    }
    return columns.map(column => cell(row[column])).join(',')
  })
  return `${[columns.join(','), ...lines].join('\r\n')}\r\n`
}

/** A field of a CSV line: six digits, quoted where needed, never a formula. */
export function cell(value: string | number | undefined): string {
  if (value === undefined) return ''
  if (typeof value === 'number') return String(Number.isInteger(value) ? value : Number(value.toPrecision(6)))
  // A spreadsheet would run a prompt's word that begins with one of these as a formula.
  const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
