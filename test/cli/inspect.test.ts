import { mkdir, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { inspectModel } from '../../cli/inspect.ts'
import { run, temporaryFolder } from './support.ts'

/** A safetensors file of zeros. */
function safetensors(
  tensors: Readonly<Record<string, readonly number[]>>,
  dtype = 'F16',
  bytes = 2,
): Uint8Array {
  let offset = 0
  const entries = Object.entries(tensors).map(([name, shape]) => {
    const length = shape.reduce((product, size) => product * size, bytes)
    const entry = { dtype, shape, data_offsets: [offset, offset + length] }
    offset += length
    return [name, entry] as const
  })
  const header = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)))
  const file = new Uint8Array(8 + header.length + offset)
  new DataView(file.buffer).setBigUint64(0, BigInt(header.length), true)
  file.set(header, 8)
  return file
}

const weights = safetensors({ 'conv_in.weight': [4, 4, 3, 3], 'conv_in.bias': [4] })

async function modelFolder(): Promise<string> {
  const folder = await temporaryFolder()
  const files: Record<string, string | Uint8Array> = {
    'model_index.json': JSON.stringify({
      _class_name: 'StableDiffusionPipeline',
      unet: ['diffusers', 'UNet2DConditionModel'],
      vae: ['diffusers', 'AutoencoderKL'],
      text_encoder: ['transformers', 'CLIPTextModel'],
      tokenizer: ['transformers', 'CLIPTokenizer'],
      scheduler: ['diffusers', 'DDIMScheduler'],
      safety_checker: [null, null],
    }),
    'README.md': '---\nlicense: openrail\n---\n',
    'unet/config.json': JSON.stringify({
      _class_name: 'x',
      in_channels: 4,
      block_out_channels: [32, 64],
      nested: {},
    }),
    'unet/diffusion_pytorch_model.safetensors': weights,
    'unet/diffusion_pytorch_model.non_ema.safetensors': weights,
    'vae/config.json': '{}',
    'vae/diffusion_pytorch_model.fp16.safetensors': weights,
    'text_encoder/config.json': '{}',
    'text_encoder/model.safetensors': weights,
    'tokenizer/tokenizer_config.json': '{}',
    'tokenizer/vocab.json': '{}',
    'tokenizer/merges.txt': '',
    'scheduler/scheduler_config.json': '{}',
  }
  for (const [name, content] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true })
    await writeFile(join(folder, name), content)
  }
  return folder
}

describe('attune models inspect', () => {
  it('describes a whole folder', async () => {
    const folder = await modelFolder()
    const { code, out } = await run(['models', 'inspect', folder])
    expect(code).toBe(0)
    expect(out).toContain('unet: UNet2DConditionModel')
    expect(out).toContain('2 F16 tensors')
    expect(out).toContain('in_channels 4, block_out_channels [32,64]')
    expect(out).toContain('not used: diffusion_pytorch_model.non_ema.safetensors')
    expect(out).toContain('licence: openrail')
    expect(out).toContain('Everything that was looked for is there.')
    const [line] = (await run(['models', 'inspect', folder, '--json'])).json()
    expect(line).toMatchObject({
      type: 'model',
      kind: 'folder',
      pipeline: 'StableDiffusionPipeline',
      problems: [],
    })
  })

  it('names everything that is missing or damaged, with exit code 1', async () => {
    const folder = await modelFolder()
    await rm(join(folder, 'vae'), { recursive: true })
    await rm(join(folder, 'tokenizer', 'merges.txt'))
    await rm(join(folder, 'text_encoder', 'model.safetensors'))
    await writeFile(join(folder, 'text_encoder', 'pytorch_model.bin'), 'pickle')
    await writeFile(join(folder, 'unet', 'config.json'), '{')
    await writeFile(join(folder, 'unet', 'diffusion_pytorch_model.safetensors'), weights.subarray(0, 100))
    const { code, out } = await run(['models', 'inspect', folder])
    expect(code).toBe(1)
    for (const problem of [
      'vae: its folder is missing',
      'tokenizer: vocab.json and merges.txt are missing',
      'text_encoder: its weights are in a pickle file',
      'unet: config.json is not JSON',
      'unet: ',
      'This model cannot be used as it is.',
    ]) {
      expect(out).toContain(problem)
    }
  })

  it('describes other folders and single files', async () => {
    const folder = await temporaryFolder()
    expect((await inspectModel(folder)).problems.length).toBe(6)
    const path = join(folder, 'model.safetensors')
    await writeFile(
      path,
      safetensors({ 'model.a': [2, 3], 'model.b': [4], 'first_stage_model.c': [1] }, 'F32', 4),
    )
    expect(await inspectModel(path)).toMatchObject({
      kind: 'file',
      problems: [],
      components: [{ weights: { tensors: 3, parameters: 11, dtypes: { F32: 3 }, groups: { model: 2 } } }],
    })
    await writeFile(join(folder, 'model.ckpt'), 'pickle')
    expect((await inspectModel(join(folder, 'model.ckpt'))).problems[0]).toContain('pickle')
    await writeFile(path, 'not a model')
    expect((await run(['models', 'inspect', path])).code).toBe(1)
  })
})
