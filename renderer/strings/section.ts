/**
 * One part of the catalogue, in every language side by side: whoever adds a string adds its translations in the same
 * place, and TypeScript refuses a language that lacks one or takes other parameters.
 */
export const languages = ['en', 'de'] as const
export type Language = (typeof languages)[number]

type Message = string | ((...parameters: never[]) => string)

/** The shape of a section: the same keys, texts for texts, and functions of the same parameters. */
type Like<T> = {
  readonly [K in keyof T]: T[K] extends (...parameters: infer P) => string
    ? (...parameters: P) => string
    : string
}

export type Section<T> = Readonly<Record<Language, Like<T>>>

/** A section; `en` decides its shape. */
export function section<T extends Record<string, Message>>(both: {
  readonly en: T
  readonly de: Like<NoInfer<T>>
}): Section<T> {
  return both as unknown as Section<T>
}

const rules: Readonly<Record<Language, Intl.PluralRules>> = {
  en: new Intl.PluralRules('en'),
  de: new Intl.PluralRules('de'),
}

/** `plural('en', 2, { one: 'step', other: 'steps' })` → `2 steps`. The number is written as the language writes it. */
export function plural(
  language: Language,
  count: number,
  forms: { readonly one: string; readonly other: string },
): string {
  const form = rules[language].select(count) === 'one' ? forms.one : forms.other
  return `${count.toLocaleString(language)} ${form}`
}
