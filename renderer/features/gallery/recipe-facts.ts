/** A recipe as rows of a list: ours and other programs' alike, in the person's words. */
import type { HostRecipe } from '../../../model/contract/host-api.ts'
import { samplerNames } from '../generate/settings-panel.tsx'
import type { Strings } from '../../strings/index.ts'

export interface Fact {
  readonly key: string
  readonly label: string
  readonly value: string
}

const nameOf = (sampler: string | undefined): string | undefined =>
  samplerNames[sampler as keyof typeof samplerNames] ?? sampler

/** The settings that a recipe states, without its texts. */
export function factsOf(recipe: HostRecipe, { gallery }: Pick<Strings, 'gallery'>): Fact[] {
  const facts: Fact[] = []
  const add = (key: string, label: string, value: string | number | undefined): void => {
    if (value !== undefined && value !== '') facts.push({ key, label, value: String(value) })
  }
  add('model', gallery.model, recipe.model?.name)
  add('size', gallery.size, recipe.width && recipe.height ? `${recipe.width} × ${recipe.height}` : undefined)
  add('steps', gallery.steps, recipe.steps)
  add('guidance', gallery.guidance, recipe.guidanceScale)
  add('sampler', gallery.sampler, nameOf(recipe.sampler) ?? recipe.samplerName)
  add('seed', gallery.seed, recipe.seed)
  add('strength', gallery.strength, recipe.strength)
  // 1 is what every program does unless it is told otherwise.
  add('clipSkip', gallery.clipSkip, recipe.clipSkip === 1 ? undefined : recipe.clipSkip)
  add('dialect', gallery.dialect, recipe.dialect)
  add('hash', gallery.hash, recipe.model?.hash)
  return facts
}

const longestValue = 20_000

/** What other programs wrote and Attune does not use, as text. */
export function unknownFacts(recipe: HostRecipe): Fact[] {
  return Object.entries(recipe.unknown).map(([key, value]) => ({
    key,
    label: key,
    value: (typeof value === 'string' ? value : (JSON.stringify(value, undefined, 1) ?? '')).slice(
      0,
      longestValue,
    ),
  }))
}

/** What differs between two pictures' recipes, the texts first. */
export function differencesOf(
  a: HostRecipe | undefined,
  b: HostRecipe | undefined,
  strings: Pick<Strings, 'gallery'>,
): { readonly label: string; readonly values: readonly [string, string] }[] {
  const all = (recipe: HostRecipe | undefined): Map<string, Fact> => {
    if (!recipe) return new Map()
    const texts = [
      { key: 'prompt', label: strings.gallery.prompt, value: recipe.prompt },
      { key: 'negative', label: strings.gallery.negative, value: recipe.negativePrompt },
    ]
    return new Map([...texts, ...factsOf(recipe, strings)].map(fact => [fact.key, fact]))
  }
  const [left, right] = [all(a), all(b)]
  return [...new Set([...left.keys(), ...right.keys()])].flatMap(key => {
    const [x, y] = [left.get(key), right.get(key)]
    if (x?.value === y?.value) return []
    return [{ label: x?.label ?? y?.label ?? key, values: [x?.value ?? '–', y?.value ?? '–'] as const }]
  })
}
