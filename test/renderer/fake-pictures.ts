/** Pictures of a made-up gallery: many programs, long names and prompts, gone files; and how its index searches them. */
import type { HostGalleryQuery, HostPicture, HostRecipe } from '../../model/contract/host-api.ts'

const tools = ['attune', 'attune', 'attune', 'a1111', 'comfyui', 'invokeai'] as const
const toolNames: Readonly<Record<string, string>> = {
  attune: 'Attune',
  a1111: 'AUTOMATIC1111',
  comfyui: 'ComfyUI',
  invokeai: 'InvokeAI',
}
const samplers = ['ddim', 'euler', 'dpmpp_2m', 'unipc']
export const things = [
  'a red car under a blue sky',
  'a cat on a surfboard',
  'a mountain',
  'a red car and a blue house on the grass',
  'a dog in the snow',
  'a green tree',
  'a yellow house at sunset',
  'a black cat on the road',
  'two balloons under a cloudy sky',
  'a sailboat on the sea',
  'a red apple',
  'a castle at night',
  'a white rabbit in a meadow',
  'a blue car in the desert',
  'an orange cat left of a tree',
  'a pink flower',
  'a purple fish in the sea',
  'a yellow duck on the water',
  'a rocket at night',
  'three red mushrooms on the grass',
  'a brown bear in the forest',
  'a blue bird above a house',
  'a watercolor painting of a red tulip',
  'a pencil sketch of a house',
]

export interface Entry {
  picture: HostPicture
  readonly recipe: HostRecipe
  readonly art: number
}

export function entryOf(id: number): Entry {
  const art = (id * 7) % things.length
  const tool = tools[id % tools.length] ?? 'attune'
  const isWide = id % 9 === 4
  const prompt =
    id % 50 === 3 ? `${things[art]}, ${'very detailed, soft light, '.repeat(40)}` : (things[art] ?? '')
  const long = 'a-picture-whose-name-somebody-made-from-the-whole-prompt-and-the-date-and-the-seed-'.repeat(2)
  const created = Date.UTC(2026, 10, 25, 9) - id * 5_400_000
  const recipe: HostRecipe = {
    tool,
    toolName: toolNames[tool] ?? tool,
    prompt,
    negativePrompt: id % 3 === 0 ? 'blurry, text' : '',
    width: isWide ? 384 : 256,
    height: 256,
    steps: [8, 12, 20, 30][id % 4],
    guidanceScale: [2, 4, 7][id % 3],
    seed: String(1000 + id * 7919),
    sampler: samplers[id % 4],
    model: {
      name: id % 4 === 0 ? 'dreamshaper_8' : 'storybook',
      ...(id % 4 === 0 && { hash: '879db523c3' }),
    },
    unknown:
      tool === 'attune'
        ? {}
        : { 'Denoising strength': 0.7, 'Hires upscaler': '4x-UltraSharp', Version: 'v1.9.4' },
    notes: tool === 'comfyui' ? ['Two samplers follow each other; the last one’s settings are shown.'] : [],
  }
  const isGone = id % 41 === 17
  return {
    art,
    recipe,
    picture: {
      id,
      name:
        id % 23 === 5
          ? `${long}${id}.png`
          : `2026-11-25-${1000 + id * 7919}-${prompt.slice(0, 24).replaceAll(' ', '-')}.png`,
      folder:
        id % 4 === 0
          ? '/home/ada/Pictures/Old generator/outputs/txt2img-images'
          : '/home/ada/Pictures/Attune',
      bytes: 90_000 + id,
      created,
      changed: created,
      key: `k${id}`,
      width: isWide ? 384 : 256,
      height: 256,
      tool,
      prompt,
      negativePrompt: recipe.negativePrompt,
      favourite: id % 13 === 2,
      missing: isGone,
    },
  }
}

/** The settings that the real index holds, of one entry. */
export function settingsOf({ recipe, picture }: Entry): Record<string, string | number | undefined> {
  return {
    width: picture.width,
    height: picture.height,
    tool: recipe.tool,
    steps: recipe.steps,
    guidance: recipe.guidanceScale,
    seed: recipe.seed,
    sampler: recipe.sampler,
    model: recipe.model?.name,
  }
}

export function fits(entry: Entry, query: HostGalleryQuery): boolean {
  const { picture } = entry
  const text = `${picture.prompt} ${picture.name} ${entry.recipe.model?.name}`.toLowerCase()
  if (
    !(query.text ?? '')
      .toLowerCase()
      .split(/\s+/)
      .every(word => text.includes(word))
  )
    return false
  if (query.favourite !== undefined && picture.favourite !== query.favourite) return false
  if (query.from !== undefined && picture.created < query.from) return false
  const settings = settingsOf(entry)
  return (query.settings ?? []).every(({ key, is, atLeast, atMost }) => {
    const value = settings[key]
    if (value === undefined) return false
    if (is && !is.includes(String(value))) return false
    return (
      (atLeast === undefined || Number(value) >= atLeast) && (atMost === undefined || Number(value) <= atMost)
    )
  })
}
