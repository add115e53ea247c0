/** The digest of a model's weights for a picture's record, where it is known; no picture waits for gigabytes. */
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { committedDigest, knownModelDigest, modelDigest } from '../model-hash.ts'

/** Models whose weights are hashed in this process, each once. */
const begun = new Set<string>()

/**
 * The SHA-256 of the network that draws, as the command line records it. What is not known is hashed beside, for the
 * next picture.
 */
export async function recordedDigest(model: {
  readonly path: string
  readonly isEmbedded: boolean
}): Promise<string | undefined> {
  const names = await readdir(join(model.path, 'unet')).catch(() => [])
  const weights = names.filter(name => name.endsWith('.safetensors'))
  const [name] = weights
  // Of several (shards, or variants of which one is read) only the engine knows which.
  if (name === undefined || weights.length > 1) return undefined
  if (model.isEmbedded) {
    const committed = await committedDigest(model.path, `unet/${name}`)
    if (committed !== undefined) return committed
  }
  const files = [join(model.path, 'unet', name)]
  const known = await knownModelDigest(files)
  if (known === undefined && !begun.has(model.path)) {
    begun.add(model.path)
    void modelDigest(files)
  }
  return known
}
