/** The progress line of a terminal: one line, redrawn in place, gone when the run ends. */
import type { GenerateProgress } from './engine.ts'
import { formatSeconds, type TextStream } from './io.ts'

/** Redrawing faster than people see only costs time. */
const fewestMilliseconds = 50
const widestBar = 32

export interface ProgressLine {
  show(progress: GenerateProgress): void
  /** Prints a line above the bar. */
  say(text: string): void
  clear(): void
}

/** A bar on a terminal; nothing but the said lines elsewhere. */
export function progressLine(stream: TextStream, now: () => number = () => performance.now()): ProgressLine {
  let shown = ''
  let last = -Infinity
  const clear = () => {
    if (shown) stream.write('\r\u001b[K')
    shown = ''
  }
  return {
    show(progress) {
      if (!stream.isTTY) return
      const time = now()
      if (time - last < fewestMilliseconds && progress.step !== 0 && progress.step !== progress.steps) return
      last = time
      const line = formatProgress(progress, stream.columns)
      if (line === shown) return
      stream.write(`\r\u001b[K${line}`)
      shown = line
    },
    say(text) {
      const line = shown
      clear()
      stream.write(`${text}\n`)
      if (line) stream.write(line)
      shown = line
    },
    clear,
  }
}

/** `[########········] step 6/12, 3 s left`, never wider than the terminal. */
export function formatProgress(progress: GenerateProgress, columns: number): string {
  const { step, steps, secondsLeft, attempt } = progress
  const where = attempt ? `try ${attempt.number} of ${attempt.of}, ` : ''
  if (progress.tile) {
    const { stage, pass, tile, tiles } = progress.tile
    const words = `${where}${stage === 'decode' ? 'decoding' : 'encoding'}, tile ${tile}/${tiles}, pass ${pass}`
    return words.slice(0, Math.max(0, columns - 1))
  }
  const left = secondsLeft === undefined || step === steps ? '' : `, ${formatSeconds(secondsLeft)} left`
  const words = `${where}step ${step}/${steps}${left}`
  const width = Math.min(widestBar, columns - words.length - 4)
  if (width < 8) return words.slice(0, Math.max(0, columns - 1))
  const filled = steps > 0 ? Math.round((step / steps) * width) : 0
  return `[${'#'.repeat(filled)}${'·'.repeat(width - filled)}] ${words}`
}
