/** `attune similar`: the pictures of a folder that are most like one, by the embeddings of a CLIP vision encoder. */
import { readdir, stat } from 'node:fs/promises'
import { extname, join, relative, resolve } from 'node:path'
import { closeQuietly, openIndex } from '../../host/gallery/database.ts'
import { EmbeddingIndex } from '../../host/gallery/embeddings.ts'
import { pictureKey } from '../../host/gallery/picture-file.ts'
import { inspectPicture, readWholePicture } from '../../host/images.ts'
import { cacheFolder, modelDigest } from '../../host/model-hash.ts'
import { openModelFolder } from '../../host/model-folder.ts'
import { openBackend } from '../../host/seat/backend.ts'
import { AttuneError } from '../../model/contract/errors.ts'
import { mostSimilar } from '../../model/ipadapter/similarity.ts'
import type { ClipVisionModel } from '../../model/ipadapter/vision-encoder.ts'
import { openVisionEncoder } from '../../model/pipeline/image-prompt-open.ts'
import { PictureEmbedder } from '../../model/pipeline/image-prompt-similar.ts'
import { cancelled, type CommandIO, printableText, writeJson } from '../io.ts'
import type { SimilarArguments } from '../similar-options.ts'

const extensions = new Set(['.png', '.jpg', '.jpeg', '.webp', '.avif', '.tif', '.tiff', '.gif'])
/** A folder of more is not looked through in one go. */
const mostPictures = 200_000

/** @throws AttuneError what keeps the pictures from being compared; single damaged pictures are told and left out */
export async function similar(args: SimilarArguments, io: CommandIO): Promise<void> {
  const image = resolve(io.cwd, args.image)
  const folder = resolve(io.cwd, args.folder)
  await inspectPicture(image)
  const files = (await picturesBelow(folder)).filter(path => path !== image)
  const notice = (text: string): void => {
    if (args.json) writeJson(io, { type: 'notice', text })
    else io.stderr.write(`${printableText(text)}\n`)
  }
  const place = await openModelFolder(resolve(io.cwd, args.encoder))
  try {
    const encoder = await openVisionEncoder(place)
    const digest = await modelDigest(place.opened('.'), { signal: io.signal })
    const vectors = await embedAll([image, ...files], encoder, digest, args, io, notice)
    const query = vectors.get(image)
    if (!query) throw new AttuneError('bad-file', `${args.image} cannot be read.`, 'Choose another picture.')
    vectors.delete(image)
    const found = mostSimilar(query, vectors, args.count)
    if (args.json) {
      writeJson(io, {
        type: 'similar',
        compared: vectors.size,
        pictures: found.map(({ item, similarity }) => ({ path: item, similarity })),
      })
      return
    }
    if (found.length === 0) notice(`There is no other picture in ${args.folder}.`)
    for (const { item, similarity } of found) {
      const short = relative(io.cwd, item)
      io.stdout.write(`${similarity.toFixed(4)}  ${printableText(short.startsWith('..') ? item : short)}\n`)
    }
  } finally {
    await place.close()
  }
}

/** Embeddings by path: those that the index keeps, and the others computed and kept. */
async function embedAll(
  paths: readonly string[],
  encoder: ClipVisionModel,
  digest: string | undefined,
  args: SimilarArguments,
  io: CommandIO,
  notice: (text: string) => void,
): Promise<Map<string, Float32Array>> {
  const { database } = await openIndex(join(cacheFolder(io.env), 'similar', 'gallery.sqlite'), io.now)
  const index = new EmbeddingIndex(database)
  const known = digest === undefined ? undefined : `${digest} resize`
  const vectors = new Map<string, Float32Array>()
  let backend: Awaited<ReturnType<typeof openBackend>> | undefined
  let embedder: PictureEmbedder | undefined
  try {
    for (const path of paths) {
      if (io.signal.aborted) throw cancelled()
      try {
        const key = await pictureKey(path)
        const kept = known === undefined ? undefined : index.get(key, known)
        if (kept?.length === encoder.config.projectionDim) {
          vectors.set(path, kept)
          continue
        }
        const picture = await readWholePicture(path)
        backend ??= await openBackend({ backend: args.backend, precision: 'f32', ...work(encoder) }, notice)
        embedder ??= await PictureEmbedder.open(backend, encoder)
        const vector = await embedder.embed(picture)
        if (known !== undefined) index.put(key, known, vector)
        vectors.set(path, vector)
      } catch (error) {
        // One damaged file among thousands is told; a machine that cannot compute is an error.
        if (!(error instanceof AttuneError) || error.code !== 'bad-file') throw error
        notice(`Left out: ${relative(io.cwd, path)}: ${error.message}`)
      }
    }
    return vectors
  } finally {
    embedder?.dispose()
    await backend?.dispose()
    closeQuietly(database)
  }
}

/** Twice a product for each weight and position. */
function work({ config, tokens }: ClipVisionModel): { gigaflop: number; parameters: number } {
  const { hiddenSize: width, intermediateSize, numHiddenLayers } = config
  const parameters = numHiddenLayers * (4 * width * width + 2 * width * intermediateSize)
  return { parameters, gigaflop: (2 * parameters * tokens) / 1e9 }
}

async function picturesBelow(folder: string): Promise<string[]> {
  const found = await stat(folder).catch(() => undefined)
  if (!found?.isDirectory()) {
    throw new AttuneError('bad-argument', `There is no folder ${folder}.`, 'Name the folder to look in.')
  }
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const paths = entries
    .filter(entry => entry.isFile() && extensions.has(extname(entry.name).toLowerCase()))
    .map(entry => join(entry.parentPath, entry.name))
    .toSorted()
  if (paths.length <= mostPictures) return paths
  throw new AttuneError(
    'bad-argument',
    `${folder} holds ${paths.length} pictures; at most ${mostPictures} are compared.`,
    'Name a folder further down.',
  )
}
