/**
 * The picture of the first run: drawn once by docs/make-sample.ts with the embedded model, with the maps of its words.
 * Until the first own picture it lies on the stage, and its words glow.
 */
import { z } from 'zod'
import type { MapSet } from '../../engine/attention.ts'
import type { Pixels } from '../../engine/pixels.ts'
import { addSample, usePictures } from '../../state/pictures.ts'
import { draft, useRequest } from '../../state/request.ts'

// Addresses, not imports: the builder copies the files beside the page.
const pictureAddress = new URL('../../../assets/samples/welcome.png', import.meta.url).href
const factsAddress = new URL('../../../assets/samples/welcome.json', import.meta.url).href

const factsSchema = z.object({
  prompt: z.string(),
  seed: z.string(),
  width: z.number(),
  height: z.number(),
  steps: z.number(),
  seconds: z.number(),
  grid: z.object({ width: z.number(), height: z.number() }),
  words: z.array(
    z.object({
      text: z.string(),
      span: z.tuple([z.number(), z.number()]),
      /** The map's largest value; its bytes are shares of it, as base64. */
      peak: z.number(),
      map: z.string(),
    }),
  ),
})

export async function addSampleOfFirstRun(): Promise<void> {
  try {
    const [facts, pixels] = await Promise.all([
      fetch(factsAddress).then(async answer => factsSchema.parse(await answer.json())),
      pixelsOf(pictureAddress),
    ])
    // Somebody was faster than the sample.
    if (usePictures.getState().pictures.length > 0) return
    const { prompt, seed, width, height, steps, seconds } = facts
    // Where the person's work begins: no step of the history.
    if (draft().prompt === '') useRequest.setState(({ draft }) => ({ draft: { ...draft, prompt, seed } }))
    addSample({
      draft: { ...draft(), prompt, seed },
      request: {
        prompt,
        negativePrompt: '',
        width,
        height,
        steps,
        guidanceScale: 4,
        guidanceRescale: 0,
        seed,
        rng: 'cpu',
        sampler: 'ddim',
        precision: 'f32',
        clipSkip: 1,
        dialect: 'a1111',
      },
      pixels,
      maps: mapsOfFacts(facts),
      attention: undefined,
      steps: [],
      effects: [],
      kept: [],
      seconds,
      adapter: '',
      workingBytes: 0,
      saved: undefined,
      isSample: true,
    })
  } catch (error) {
    // The empty stage says the same in words.
    console.warn('The sample could not be shown.', error)
  }
}

function mapsOfFacts({ prompt, grid, words }: z.output<typeof factsSchema>): MapSet {
  return {
    prompt,
    words: words.map(({ text, span }) => ({ text, span })),
    maps: words.map(({ text, peak, map }, index) => ({
      word: text,
      index,
      ...grid,
      data: Float32Array.from(atob(map), sign => (sign.charCodeAt(0) / 255) * peak),
    })),
  }
}

async function pixelsOf(address: string): Promise<Pixels> {
  const bitmap = await createImageBitmap(await (await fetch(address)).blob())
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height)
  const context = canvas.getContext('2d')
  context?.drawImage(bitmap, 0, 0)
  const image = context?.getImageData(0, 0, bitmap.width, bitmap.height)
  return {
    width: bitmap.width,
    height: bitmap.height,
    channels: 4,
    data: new Uint8Array(image?.data ?? []),
  }
}
