import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'
import sharp from 'sharp'
import { beforeAll, describe, expect, it } from 'vitest'
import { makeRecord, writeRecord } from '../../model/contract/record.ts'
import { parseRequest, resolveRequest } from '../../model/contract/request.ts'
import {
  readRecipe,
  readStealthTexts,
  type Recipe,
  recipeFromTexts,
} from '../../model/image/foreign-metadata/index.ts'
import { infotextOf } from '../../model/image/infotext.ts'
import { insertPngText } from '../../model/image/png-text.ts'

const fixture = (name: string) =>
  readFileSync(new URL(`../fixtures/metadata/${name}.json`, import.meta.url), 'utf8')

let png: Uint8Array

beforeAll(async () => {
  const raw = { width: 4, height: 3, channels: 3 as const }
  png = new Uint8Array(await sharp(new Uint8Array(36).fill(90), { raw }).png().toBuffer())
})

/** Writes the texts into a real PNG and reads them back. */
async function fromPng(texts: Readonly<Record<string, string>>): Promise<Recipe> {
  const list = Object.entries(texts).map(([keyword, text]) => ({ keyword, text }))
  const { recipe, messages } = await readRecipe(insertPngText(png, list))
  expect(recipe, messages.join(' ')).toBeDefined()
  return recipe as Recipe
}

describe('recipes of A1111 and its family', () => {
  const tail =
    'Steps: 28, Sampler: DPM++ 2M Karras, CFG scale: 6.5, Seed: 18446744073709551615, Size: 512x768, Model hash: 6ce0161689, Model: v1-5, Clip skip: 2, Lora hashes: "ink: d41d8cd98f00, wash: 0cc175b9", Version: v1.10.1'

  it('fault I6: reads an A1111 text and keeps what it does not know', async () => {
    const recipe = await fromPng({ parameters: `a (red:1.3) car\nNegative prompt: blurry\n${tail}` })
    expect(recipe).toMatchObject({
      tool: 'a1111',
      prompt: 'a (red:1.3) car',
      negativePrompt: 'blurry',
      width: 512,
      height: 768,
      steps: 28,
      guidanceScale: 6.5,
      seed: '18446744073709551615',
      sampler: 'dpmpp_2m_karras',
      samplerName: 'DPM++ 2M Karras',
      model: { name: 'v1-5', hash: '6ce0161689' },
      clipSkip: 2,
      dialect: 'a1111',
      notes: [],
    })
    expect(recipe.unknown).toEqual({
      'Lora hashes': 'ink: d41d8cd98f00, wash: 0cc175b9',
      Version: 'v1.10.1',
    })
  })

  it('tells Forge and stable-diffusion.cpp from their versions', async () => {
    const forge = await fromPng({ parameters: `x\n${tail.replace('v1.10.1', 'f2.0.1v1.10.1-previous-665')}` })
    expect(forge.tool).toBe('forge')
    const cpp = await fromPng({
      parameters:
        'a field\nSteps: 30, CFG scale: 5.000000, Guidance: 3.500000, Eta: 0.000000, Seed: 197, Size: 512x512, Model: x.safetensors, RNG: cuda, Sampler: dpm++2m karras, Version: stable-diffusion.cpp',
    })
    expect(cpp).toMatchObject({ tool: 'sd.cpp', sampler: 'dpmpp_2m_karras', guidanceScale: 5, steps: 30 })
  })

  it('keeps a sampler that has no equal by name and says so', async () => {
    const recipe = await fromPng({ parameters: `x\n${tail.replace('DPM++ 2M Karras', 'Restart')}` })
    expect(recipe.sampler).toBeUndefined()
    expect(recipe.samplerName).toBe('Restart')
    expect(recipe.notes.join()).toContain('"Restart" has no equal here')
  })

  it('fault I7: clamps what is out of range and says what it was', async () => {
    const recipe = await fromPng({
      parameters: 'x\nSteps: -1, CFG scale: nan, Seed: 99999999999999999999, Size: 4x99999, Clip skip: 2',
    })
    expect(recipe).toMatchObject({ steps: 1, width: 8, height: 16384 })
    expect(recipe.guidanceScale).toBeUndefined()
    expect(recipe.seed).toBeUndefined()
    expect(recipe.notes).toEqual([
      'Steps was -1; 1 is taken.',
      'Guidance was "nan", which is no number, and was left out.',
      'Seed was "99999999999999999999", which is no seed here, and was left out.',
      'Width was 4; 8 is taken.',
      'Height was 99999; 16384 is taken.',
    ])
  })

  it('prefers our own record to the A1111 text beside it', async () => {
    const request = resolveRequest(
      parseRequest({ prompt: 'машина', seed: '5', guidanceRescale: 0.5, dialect: 'comfy' }),
      { width: 64, height: 64, steps: 4, guidanceScale: 3, sampler: 'lcm', precision: 'f32', clipSkip: 1 },
      8,
    )
    const record = makeRecord({
      appVersion: '0.1.0',
      created: new Date(0),
      request,
      model: { name: 'storybook', sha256: 'ab' },
    })
    const recipe = await fromPng({ parameters: infotextOf(record), attune: writeRecord(record) })
    expect(recipe).toMatchObject({ tool: 'attune', prompt: 'машина', dialect: 'comfy', sampler: 'lcm' })
    expect(recipe.unknown).toMatchObject({ guidanceRescale: 0.5 })
    // A damaged record says so, and the text beside it serves.
    const { recipe: second, messages } = await readRecipe(
      insertPngText(png, [
        { keyword: 'parameters', text: infotextOf(record) },
        { keyword: 'attune', text: '{"format":"attune"' },
      ]),
    )
    expect(second).toMatchObject({ tool: 'attune', steps: 4, sampler: 'lcm' })
    expect(messages.join()).toContain('it is not JSON')
  })
})

describe('recipes of ComfyUI graphs', () => {
  it('walks from the sampler; seeds of 64 bits stay whole', async () => {
    const recipe = await fromPng({ prompt: fixture('comfy-default'), workflow: '{"nodes":[]}' })
    expect(recipe).toMatchObject({
      tool: 'comfyui',
      prompt: 'a (red:1.2) car under a blue sky',
      negativePrompt: 'text, watermark',
      width: 512,
      height: 768,
      steps: 20,
      guidanceScale: 8,
      seed: '18446744073709551615',
      sampler: 'euler',
      model: { name: 'v1-5-pruned-emaonly.safetensors' },
      dialect: 'comfy',
      notes: [],
    })
    expect(recipe.unknown).toMatchObject({ workflow: '{"nodes":[]}', batch_size: 2 })
  })

  it('takes the first of two passes, joined texts, linked seeds, LoRA and clip skip', async () => {
    const recipe = await fromPng({ prompt: fixture('comfy-hires') })
    expect(recipe).toMatchObject({
      prompt: 'a lighthouse, at night',
      negativePrompt: 'blurry',
      width: 640,
      height: 448,
      seed: '77',
      steps: 24,
      sampler: 'dpmpp_2m_karras',
      clipSkip: 2,
      model: { name: 'base.safetensors' },
    })
    expect(recipe.unknown).toMatchObject({ 'lora: ink.safetensors': 0.7 })
    expect(recipe.notes).toEqual(['The graph samples 2 times; the settings are those of the first pass.'])
  })

  it('reads custom samplers, whose settings stand in nodes of their own', async () => {
    const recipe = await fromPng({ prompt: fixture('comfy-custom') })
    expect(recipe).toMatchObject({
      prompt: 'a glass of tea',
      negativePrompt: '',
      steps: 28,
      seed: '0',
      samplerName: 'euler simple',
      width: 1024,
      model: { name: 'flux1-dev.safetensors' },
    })
    expect(recipe.sampler).toBeUndefined()
  })

  it('survives the NaN that ComfyUI writes', async () => {
    const graph = fixture('comfy-default').replace(
      '"class_type": "KSampler"',
      '"is_changed": [NaN, -Infinity], "class_type": "KSampler"',
    )
    expect((await fromPng({ prompt: graph })).steps).toBe(20)
  })

  it('says why a workflow alone has no recipe', async () => {
    const { recipe, messages } = await readRecipe(
      insertPngText(png, [{ keyword: 'workflow', text: '{"nodes":[],"links":[]}' }]),
    )
    expect(recipe).toBeUndefined()
    expect(messages.join()).toContain('without the graph that was run')
  })
})

describe('recipes of other programs', () => {
  it('InvokeAI from version 3', async () => {
    const recipe = await fromPng({
      invokeai_metadata: JSON.stringify({
        generation_mode: 'txt2img',
        positive_prompt: 'a red++ car',
        negative_prompt: 'blur',
        width: 640,
        height: 512,
        seed: 42,
        cfg_scale: 7.5,
        steps: 30,
        scheduler: 'dpmpp_2m_k',
        clip_skip: 1,
        model: { key: 'k', hash: 'blake3:ab', name: 'Dreamy', base: 'sd-1', type: 'main' },
        loras: [{ model: { name: 'ink' }, weight: 0.75 }],
        app_version: '5.6.0',
      }),
      invokeai_graph: '{"nodes":{}}',
    })
    expect(recipe).toMatchObject({
      tool: 'invokeai',
      prompt: 'a red++ car',
      negativePrompt: 'blur',
      width: 640,
      height: 512,
      seed: '42',
      guidanceScale: 7.5,
      steps: 30,
      sampler: 'dpmpp_2m_karras',
      clipSkip: 2,
      model: { name: 'Dreamy', hash: 'blake3:ab' },
      dialect: 'compel',
    })
    expect(recipe.unknown).toMatchObject({ app_version: '5.6.0', invokeai_graph: '{"nodes":{}}' })
  })

  it('InvokeAI 2: sd-metadata, and the Dream command', async () => {
    const image = {
      prompt: [{ prompt: 'a castle [fog, people]', weight: 1 }],
      steps: 50,
      cfg_scale: 7.5,
      height: 512,
      width: 384,
      seed: 1,
      sampler: 'k_euler_a',
    }
    const old = await fromPng({
      'sd-metadata': JSON.stringify({ model_weights: 'stable-diffusion-1.5', app_version: '2.3.5', image }),
    })
    expect(old).toMatchObject({
      prompt: 'a castle',
      negativePrompt: 'fog, people',
      sampler: 'euler_a',
      width: 384,
      model: { name: 'stable-diffusion-1.5' },
    })
    const dream = await fromPng({
      Dream: '"a \\"big\\" castle [fog]" -s 50 -S 42 -W 512 -H 640 -C 7.5 -A k_lms -U 2',
    })
    expect(dream).toMatchObject({
      tool: 'invokeai',
      prompt: 'a "big" castle',
      negativePrompt: 'fog',
      steps: 50,
      seed: '42',
      width: 512,
      height: 640,
      guidanceScale: 7.5,
      samplerName: 'k_lms',
    })
    expect(dream.unknown).toEqual({ Dream: ' -U 2' })
  })

  it('Draw Things: JSON in the XMP packet', async () => {
    const json = JSON.stringify({
      c: 'a cat & a "dog" <3',
      uc: 'bad',
      seed: 4294967295,
      seed_mode: 'Scale Alike',
      scale: 4.5,
      steps: 8,
      size: '512x768',
      sampler: 'DPM++ 2M Karras',
      model: 'x.ckpt',
      strength: 1,
      v2: { clipSkip: 2 },
    })
    const escaped = json.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
    const recipe = await fromPng({
      'XML:com.adobe.xmp': `<x:xmpmeta><rdf:RDF><rdf:Description><exif:UserComment><rdf:Alt><rdf:li xml:lang="x-default">${escaped}</rdf:li></rdf:Alt></exif:UserComment></rdf:Description></rdf:RDF></x:xmpmeta>`,
    })
    expect(recipe).toMatchObject({
      tool: 'draw-things',
      prompt: 'a cat & a "dog" <3',
      negativePrompt: 'bad',
      seed: '4294967295',
      guidanceScale: 4.5,
      width: 512,
      height: 768,
      sampler: 'dpmpp_2m_karras',
      clipSkip: 2,
    })
    expect(recipe.unknown).toMatchObject({ seed_mode: 'Scale Alike' })
  })

  it('Fooocus: its JSON, and its A1111 scheme', async () => {
    const recipe = await fromPng({
      fooocus_scheme: 'fooocus',
      parameters: JSON.stringify({
        prompt: 'a fox',
        negative_prompt: '',
        styles: "['Fooocus V2']",
        performance: 'Speed',
        steps: 30,
        resolution: '(1152, 896)',
        guidance_scale: 4,
        sharpness: 2,
        base_model: 'juggernaut',
        base_model_hash: 'aeb7e9e689',
        sampler: 'dpmpp_2m_sde_gpu',
        scheduler: 'karras',
        seed: '7',
        clip_skip: 2,
        version: 'Fooocus v2.5.0',
      }),
    })
    expect(recipe).toMatchObject({
      tool: 'fooocus',
      prompt: 'a fox',
      width: 1152,
      height: 896,
      seed: '7',
      model: { name: 'juggernaut', hash: 'aeb7e9e689' },
      samplerName: 'dpmpp_2m_sde_gpu karras',
    })
    expect(recipe.notes.join()).toContain('styles')
    const second = await fromPng({
      fooocus_scheme: 'a1111',
      parameters: 'a fox\nSteps: 30, Sampler: Euler, Seed: 7, Size: 8x8, CFG scale: 4',
    })
    expect(second).toMatchObject({ tool: 'fooocus', sampler: 'euler', seed: '7' })
  })

  it('NovelAI: its texts, and the copy hidden in the alpha channel', async () => {
    const comment = JSON.stringify({
      prompt: '{{best}}, 1girl',
      steps: 28,
      height: 1216,
      width: 832,
      scale: 5,
      uc: 'lowres',
      seed: 3,
      sampler: 'k_euler_ancestral',
      noise_schedule: 'native',
      request_type: 'PromptGenerateRequest',
    })
    const texts = {
      Title: 'AI generated image',
      Software: 'NovelAI',
      Description: '{{best}}, 1girl',
      Source: 'Stable Diffusion XL C1E1DE52',
      Comment: comment,
    }
    const recipe = await fromPng(texts)
    const wanted = {
      tool: 'novelai',
      prompt: '{{best}}, 1girl',
      negativePrompt: 'lowres',
      seed: '3',
      sampler: 'euler_a',
      width: 832,
      model: { name: 'Stable Diffusion XL C1E1DE52' },
    }
    expect(recipe).toMatchObject(wanted)
    expect(recipe.dialect).toBeUndefined()
    expect(recipe.notes.join()).toContain("NovelAI's own emphasis")

    const body = gzipSync(JSON.stringify(texts))
    const size = Buffer.alloc(4)
    size.writeUInt32BE(body.length * 8)
    const hidden = Buffer.concat([Buffer.from('stealth_pngcomp'), size, body])
    const [width, height] = [61, 97]
    const data = new Uint8Array(width * height * 4).fill(254)
    for (let at = 0; at < hidden.length * 8; at++) {
      const bit = ((hidden[at >> 3] as number) >> (7 - (at & 7))) & 1
      data[((at % height) * width + Math.floor(at / height)) * 4 + 3] = 254 | bit
    }
    const found = await readStealthTexts({ width, height, channels: 4, data })
    expect(found && recipeFromTexts(found).recipe).toMatchObject(wanted)
    expect(
      await readStealthTexts({ width: 4, height: 3, channels: 3, data: new Uint8Array(36) }),
    ).toBeUndefined()
  })

  it('Easy Diffusion: flat keys, by either of their names', async () => {
    const recipe = await fromPng({
      prompt: 'a house',
      negative_prompt: 'cars',
      seed: '11',
      width: '512',
      height: '640',
      num_inference_steps: '25',
      guidance_scale: '7.5',
      sampler_name: 'euler_a',
      use_stable_diffusion_model: 'sd-v1-5',
      use_vae_model: 'vae-ft-mse',
    })
    expect(recipe).toMatchObject({
      tool: 'easy-diffusion',
      prompt: 'a house',
      negativePrompt: 'cars',
      seed: '11',
      height: 640,
      steps: 25,
      sampler: 'euler_a',
      model: { name: 'sd-v1-5' },
    })
    expect(recipe.unknown).toEqual({ use_vae_model: 'vae-ft-mse' })
    const spoken = await fromPng({
      Prompt: 'a',
      'Negative Prompt': 'b',
      Steps: '5',
      'Stable Diffusion model': 'm',
    })
    expect(spoken).toMatchObject({ tool: 'easy-diffusion', prompt: 'a', negativePrompt: 'b', steps: 5 })
  })

  it('SwarmUI', async () => {
    const recipe = await fromPng({
      parameters: JSON.stringify({
        sui_image_params: {
          prompt: 'a cat',
          negativeprompt: 'dog',
          model: 'OfficialStableDiffusion/sd_xl_base_1.0',
          seed: 9,
          steps: 20,
          cfgscale: 7,
          width: 1024,
          height: 768,
          sampler: 'dpmpp_2m',
          scheduler: 'karras',
          swarm_version: '0.9.3.1',
        },
        sui_extra_data: { date: '2025-01-25' },
      }),
    })
    expect(recipe).toMatchObject({
      tool: 'swarmui',
      prompt: 'a cat',
      sampler: 'dpmpp_2m_karras',
      height: 768,
      unknown: { swarm_version: '0.9.3.1', sui_extra_data: { date: '2025-01-25' } },
    })
  })
})
