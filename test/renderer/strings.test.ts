/** The catalogue is whole in every language, and speaks its numbers properly. */
import { expect, test } from 'vitest'
import { catalogue } from '../../renderer/strings/index.ts'
import { languages, plural } from '../../renderer/strings/section.ts'

type Texts = Readonly<Record<string, unknown>>

test('every section has every text in every language', () => {
  for (const [name, section] of Object.entries(catalogue)) {
    const keys = Object.keys(section.en).sort()
    for (const language of languages) {
      const texts = section[language] as Texts
      expect(Object.keys(texts).sort(), `${name} in ${language}`).toEqual(keys)
      for (const key of keys) {
        const text = texts[key]
        // Functions are called with what each parameter could be: a number reads as a text, too.
        const shown = typeof text === 'function' ? (text as (...all: unknown[]) => string)(2, 3, 4) : text
        expect(typeof shown === 'string' && shown.trim() !== '', `${name}.${key} in ${language}`).toBe(true)
      }
    }
  }
})

test('German is no copy of English', () => {
  for (const [name, section] of Object.entries(catalogue)) {
    const { en, de } = section as { en: Texts; de: Texts }
    const equal = Object.keys(en).filter(key => typeof en[key] === 'string' && en[key] === de[key])
    expect(equal.length / Object.keys(en).length, `${name}: ${equal.join(', ')}`).toBeLessThan(0.35)
  }
})

test('functions take the same parameters in both', () => {
  for (const section of Object.values(catalogue)) {
    const { en, de } = section as { en: Texts; de: Texts }
    for (const key of Object.keys(en)) expect(typeof de[key], key).toBe(typeof en[key])
  }
})

test('one and many', () => {
  expect(plural('en', 1, { one: 'step', other: 'steps' })).toBe('1 step')
  expect(plural('en', 0, { one: 'step', other: 'steps' })).toBe('0 steps')
  expect(plural('de', 1200, { one: 'Schritt', other: 'Schritte' })).toBe('1.200 Schritte')
})
