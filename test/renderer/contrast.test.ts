/** Contrast of both themes, computed by WCAG 2.2 from the tokens in renderer/theme/theme.css. */
import { readFileSync } from 'node:fs'
import { describe, expect, test } from 'vitest'

const css = readFileSync(new URL('../../renderer/theme/theme.css', import.meta.url), 'utf8')

function tokensOf(theme: 'dark' | 'light'): Map<string, string> {
  const block = new RegExp(`data-theme='${theme}'\\]\\s*\\{([^}]*)\\}`).exec(css)?.[1] ?? ''
  return new Map(
    [...block.matchAll(/--([\w-]+):\s*(#[0-9a-f]{6})/g)].map(([, name = '', value = '']) => [name, value]),
  )
}

/** Relative luminance. */
function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map(at => {
    const part = Number.parseInt(colour.slice(at, at + 2), 16) / 255
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
  })
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}

function contrast(a: string, b: string): number {
  const [light = 0, dark = 0] = [luminance(a), luminance(b)].sort((x, y) => y - x)
  return (light + 0.05) / (dark + 0.05)
}

/** Every text on every ground that it stands on. */
const grounds = ['app', 'panel', 'raised', 'field', 'stage']
const pairs: readonly (readonly [text: string, ground: string])[] = [
  ...['text', 'text-soft', 'text-faint', 'accent', 'cool', 'danger', 'warning', 'good'].flatMap(text =>
    grounds.map(ground => [text, ground] as const),
  ),
  ['on-accent', 'accent'],
  ['on-accent', 'accent-strong'],
  ['text', 'accent-wash'],
  ['text-soft', 'accent-wash'],
  ['accent', 'accent-wash'],
  ['danger', 'danger-wash'],
  ['warning', 'warning-wash'],
]

describe.each(['dark', 'light'] as const)('the %s theme', theme => {
  const tokens = tokensOf(theme)

  test.each(pairs)('%s on %s is readable', (text, ground) => {
    const [front, back] = [tokens.get(text), tokens.get(ground)]
    expect(front && back, `${text} and ${ground} are tokens`).toBeTruthy()
    expect(contrast(front ?? '', back ?? '')).toBeGreaterThanOrEqual(4.5)
  })

  test('the ring of the focus is seen on every ground (3:1)', () => {
    for (const ground of grounds)
      expect(contrast(tokens.get('accent') ?? '', tokens.get(ground) ?? '')).toBeGreaterThanOrEqual(3)
  })
})

test('both themes have the same tokens', () => {
  expect([...tokensOf('light').keys()]).toEqual([...tokensOf('dark').keys()])
})
