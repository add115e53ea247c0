/** docs/faults.md names a test for every fault of its numbers, or says why there is none; the tests are there. */
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'

/** How many faults each letter has. */
const counts = { I: 10, S: 5, C: 5, H: 9, D: 10, T: 11, G: 12 } as const

const root = new URL('../../', import.meta.url)
const rows = readFileSync(new URL('docs/faults.md', root), 'utf8')
  .split('\n')
  .flatMap(line => {
    const [, code, , , shown] = line.split('|').map(cell => cell.trim())
    return code && /^[A-Z]\d+$/.test(code) ? [{ code, shown: shown ?? '' }] : []
  })

describe('docs/faults.md', () => {
  it('has every fault once', () => {
    const wanted = Object.entries(counts).flatMap(([letter, count]) =>
      Array.from({ length: count }, (_, at) => `${letter}${at + 1}`),
    )
    expect(rows.map(({ code }) => code)).toEqual(wanted)
  })

  it.each(rows.map(({ code, shown }) => [code, shown] as const))(
    '%s is shown, or says why not',
    (code, shown) => {
      const tests = [...shown.matchAll(/`(test\/[^`]+)` “([^”]+)”/g)]
      if (tests.length === 0) {
        expect(shown).toMatch(/^not yet: .{20,}/)
        return
      }
      for (const [, file = '', title = ''] of tests) {
        const text = readFileSync(new URL(file, root), 'utf8')
        // As the title of a test or of a group of tests, whole.
        const quoted = [`'${title}'`, `"${title}"`, `\`${title}\``]
        expect(
          quoted.some(each => text.includes(each)),
          `${file} has no test "${title}"`,
        ).toBe(true)
      }
      // At least one of them carries the number.
      const number = new RegExp(`\\b${code}\\b`)
      expect(
        tests.some(([, , title]) => number.test(title ?? '')),
        `no title of ${code} has its number`,
      ).toBe(true)
    },
  )
})
