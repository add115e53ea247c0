/**
 * onnxruntime in Node: the WebAssembly build that comes with Attune, and the native build where the person has
 * installed it. The native one computes several times faster on the processor, but is 288 MB: an optional peer.
 */
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { availableParallelism } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import type * as onnxruntimeWeb from 'onnxruntime-web'
import { AttuneError } from '../model/contract/errors.ts'

/** The version whose operators Attune's graphs were checked with. */
const nativeVersion = '1.30.0'

const ownFolder = dirname(fileURLToPath(import.meta.url))

/** Installs the native build; the variable spares the CUDA libraries that its set-up script would fetch. */
export const installNativeCommand =
  process.platform === 'win32'
    ? `set ONNXRUNTIME_NODE_INSTALL=skip&& npm install --no-save onnxruntime-node@${nativeVersion}`
    : `ONNXRUNTIME_NODE_INSTALL=skip npm install --no-save onnxruntime-node@${nativeVersion}`

/** What `OnnxBackend.open` takes. */
export interface NodeOnnxRuntime {
  readonly kind: 'wasm' | 'cpu'
  readonly ort: typeof onnxruntimeWeb
  readonly threads: number
}

export interface OpenOptions {
  /** All cores, at most four for wasm, unless given. */
  readonly threads?: number
  /** Folders in whose node_modules the native build is looked for; Attune's own and the current one unless given. */
  readonly searchFrom?: readonly string[]
}

/**
 * Loads a runtime: `OnnxBackend.open(await openNodeOnnxRuntime('cpu'))`.
 * @throws AttuneError `unsupported` with the command that installs what is missing
 */
export async function openNodeOnnxRuntime(
  kind: 'wasm' | 'cpu',
  options: OpenOptions = {},
): Promise<NodeOnnxRuntime> {
  const cores = availableParallelism()
  if (kind === 'wasm') {
    // Each thread of the WebAssembly build is a worker that spins while it waits: more than four gain little.
    return { kind, ort: await import('onnxruntime-web'), threads: options.threads ?? Math.min(cores, 4) }
  }
  const found = findNative(options.searchFrom)
  if (!found) {
    throw new AttuneError(
      'unsupported',
      'The native processor backend needs the package onnxruntime-node, which is not installed.',
      `Run \`${installNativeCommand}\` in the Attune folder (288 MB), or use --backend wasm.`,
    )
  }
  try {
    const loaded = (await import(pathToFileURL(found.entry).href)) as { default?: typeof onnxruntimeWeb }
    // The package is CommonJS: its exports are the default one.
    return {
      kind,
      ort: loaded.default ?? (loaded as typeof onnxruntimeWeb),
      threads: options.threads ?? cores,
    }
  } catch (error) {
    throw new AttuneError(
      'unsupported',
      `onnxruntime-node in ${found.folder} could not be loaded: ${error instanceof Error ? error.message : String(error)}.`,
      `Install it anew with \`${installNativeCommand}\`, or use --backend wasm.`,
      { cause: error },
    )
  }
}

/** Whether the native build is installed, and which. Loads nothing. */
export function hasNativeOnnxRuntime(
  searchFrom?: readonly string[],
): { readonly version: string; readonly folder: string } | undefined {
  const found = findNative(searchFrom)
  return found && { version: found.version, folder: found.folder }
}

interface Native {
  readonly folder: string
  readonly version: string
  readonly entry: string
}

/**
 * Looks for the real package. Attune's overrides put onnxruntime-web under this name for Transformers.js, so the name
 * of the folder proves nothing: the package.json inside must say onnxruntime-node.
 */
function findNative(searchFrom: readonly string[] = [ownFolder, process.cwd()]): Native | undefined {
  for (const from of searchFrom) {
    const folders = createRequire(join(from, 'from.js')).resolve.paths('onnxruntime-node') ?? []
    for (const folder of folders.map(path => join(path, 'onnxruntime-node'))) {
      const native = nativeAt(folder)
      if (native) return native
    }
  }
  return undefined
}

function nativeAt(folder: string): Native | undefined {
  try {
    const file = join(folder, 'package.json')
    const { name, version, main } = JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>
    if (name !== 'onnxruntime-node' || typeof version !== 'string' || typeof main !== 'string')
      return undefined
    return { folder: dirname(file), version, entry: join(folder, main) }
  } catch {
    // No such package here: the next folder may have it.
    return undefined
  }
}
