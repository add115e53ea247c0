/** The catalogue: every text of the window, and the hook that gives it in the person's language. */
import { create } from 'zustand'
import { app } from './app.ts'
import { attention } from './attention.ts'
import { createScreen } from './create.ts'
import { exportMaps } from './export.ts'
import { gallery } from './gallery.ts'
import { inputs } from './inputs.ts'
import { models } from './models.ts'
import { plot } from './plot.ts'
import { presets } from './presets.ts'
import { prompt } from './prompt.ts'
import { queue } from './queue.ts'
import { regions } from './regions.ts'
import { type Language, languages } from './section.ts'
import { settingsScreen } from './settings.ts'
import { timeline } from './timeline.ts'

/** A screen of its own adds its section here. */
export const catalogue = {
  app,
  create: createScreen,
  prompt,
  attention,
  export: exportMaps,
  gallery,
  inputs,
  models,
  settings: settingsScreen,
  queue,
  plot,
  presets,
  timeline,
  regions,
} as const

export type Strings = { readonly [K in keyof typeof catalogue]: (typeof catalogue)[K]['en'] }

function inLanguage(language: Language): Strings {
  const entries = Object.entries(catalogue).map(([name, each]) => [name, each[language]])
  return Object.fromEntries(entries) as unknown as Strings
}

const all: Readonly<Record<Language, Strings>> = { en: inLanguage('en'), de: inLanguage('de') }

interface LanguageState {
  readonly language: Language
}
const useLanguageState = create<LanguageState>(() => ({ language: 'en' }))

/** @param wish a language of the settings; `system` follows the browser. */
export function chooseLanguage(wish: string): void {
  const wanted = wish === 'system' ? (globalThis.navigator?.languages ?? ['en']) : [wish]
  const found = wanted
    .map(each => languages.find(language => each.toLowerCase().startsWith(language)))
    .find(each => each !== undefined)
  const language = found ?? 'en'
  useLanguageState.setState({ language })
  if (globalThis.document) document.documentElement.lang = language
}

/** The catalogue in the person's language. */
export function useStrings(): Strings {
  return all[useLanguageState(state => state.language)]
}

/** The same outside of components, at this moment. */
export function strings(): Strings {
  return all[useLanguageState.getState().language]
}

export function currentLanguage(): Language {
  return useLanguageState.getState().language
}
