/**
 * A model folder as the engine sees it: text files and byte sources by relative path. Node's is in
 * `host/model-folder.ts`; a page reads the same over HTTP.
 */
import type { ByteSource } from '../contract/bytes.ts'
import { AttuneError } from '../contract/errors.ts'

export interface ModelFolder {
  /** As the person knows it. */
  readonly name: string
  /** A text file's content; undefined when there is no such file. */
  text(path: string): Promise<string | undefined>
  /** A file to read by ranges; undefined when there is no such file. */
  source(path: string): Promise<ByteSource | undefined>
  /** Closes what was opened. */
  close(): Promise<void>
}

/** A JSON file of the folder, or undefined when it is missing. @throws AttuneError `bad-model` when it is damaged. */
export async function readJson(folder: ModelFolder, path: string): Promise<unknown> {
  const text = await folder.text(path)
  if (text === undefined) return undefined
  try {
    return JSON.parse(text) as unknown
  } catch (error) {
    throw new AttuneError(
      'bad-model',
      `${folder.name}/${path} is not valid JSON: ${error instanceof Error ? error.message : String(error)}.`,
      'Download the file again.',
    )
  }
}

/** Like `readJson`, for a file that must be there. */
export async function requireJson(folder: ModelFolder, path: string): Promise<unknown> {
  await requireText(folder, path)
  return readJson(folder, path)
}

/** A text file that must be there. @throws AttuneError `bad-model` */
export async function requireText(folder: ModelFolder, path: string): Promise<string> {
  const text = await folder.text(path)
  if (text !== undefined) return text
  throw new AttuneError(
    'bad-model',
    `${folder.name} has no ${path}.`,
    'Choose a folder in diffusers layout (model_index.json, unet/, vae/, text_encoder/, tokenizer/, scheduler/).',
  )
}

/**
 * The .safetensors files of one component: whole, in half precision, or in shards listed by an index.
 * @throws AttuneError `bad-model` naming what was looked for.
 */
export async function weightSources(
  folder: ModelFolder,
  component: string,
  stem: string,
): Promise<ByteSource[]> {
  const candidates = [`${stem}.safetensors`, `${stem}.fp16.safetensors`, `${stem}.non_ema.safetensors`]
  for (const file of candidates) {
    const source = await folder.source(`${component}/${file}`)
    if (source) return [source]
  }
  const index = (await readJson(folder, `${component}/${stem}.safetensors.index.json`)) as
    | { weight_map?: Record<string, string> }
    | undefined
  if (index?.weight_map) {
    const files = [...new Set(Object.values(index.weight_map))].toSorted()
    return Promise.all(
      files.map(async file => {
        const source = await folder.source(`${component}/${file}`)
        if (source) return source
        throw new AttuneError(
          'bad-model',
          `${folder.name}/${component} lacks ${file}, which its index lists.`,
          'Download the missing part.',
        )
      }),
    )
  }
  const pickle = await folder.source(`${component}/${stem.replace('model', 'pytorch_model')}.bin`)
  if (pickle || (await folder.source(`${component}/diffusion_pytorch_model.bin`))) {
    throw new AttuneError(
      'bad-model',
      `${folder.name}/${component} holds its weights as a pickle (.bin), which can run code when it is opened.`,
      'Get the .safetensors version of this model; Attune never opens pickles.',
    )
  }
  throw new AttuneError(
    'bad-model',
    `${folder.name}/${component} has no weights (${candidates[0]}).`,
    'Download the missing file, or choose another folder.',
  )
}
