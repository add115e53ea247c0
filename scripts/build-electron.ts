/**
 * Bundles the desktop shell: `dist/main/main.mjs`, beside it the thread of the host's own seat, and
 * `dist/preload/preload.cjs`. By esbuild and not by electron-vite,
 * because the window's bundle is the loopback server's too and has its own build (renderer/vite.config.ts); what is left
 * are two entry points, and tests build them in a tenth of a second with a host of their own.
 *
 *     node --import tsx scripts/build-electron.ts
 */
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build, type BuildOptions as EsbuildOptions, type Plugin } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))

/**
 * What stays outside of the main bundle: native modules, and what the packed program has not (webgpu and onnxruntime
 * belong to the host's own seat; a window of Electron draws with its page's).
 */
export const externals = [
  'electron',
  'sharp',
  '@photostructure/sqlite',
  'webgpu',
  'onnxruntime-web',
  'onnxruntime-node',
  '@xenova/transformers',
] as const

export interface BuildOptions {
  /** `dist` of the repository when absent. */
  readonly outdir?: string
  /** Instead of electron/host.ts: exports `createHost`. */
  readonly host?: string
  readonly minify?: boolean
}

/** @returns where the two bundles lie */
export async function buildElectron(options: BuildOptions = {}): Promise<{ main: string; preload: string }> {
  const outdir = options.outdir ?? join(root, 'dist')
  const common = {
    bundle: true,
    minify: options.minify ?? false,
    logLevel: 'error',
    legalComments: 'none',
  } as const
  const main = join(outdir, 'main/main.mjs')
  const preload = join(outdir, 'preload/preload.cjs')
  const node: EsbuildOptions = {
    ...common,
    format: 'esm',
    platform: 'node',
    target: 'node20',
    external: externals.slice(),
    // Bundled CommonJS packages call `require`, which ES modules have not.
    banner: {
      js: "import { createRequire as attuneRequire } from 'node:module'; const require = attuneRequire(import.meta.url);",
    },
  }
  await Promise.all([
    build({
      ...node,
      entryPoints: [join(root, 'electron/main.ts')],
      outfile: main,
      plugins: options.host === undefined ? [] : [otherHost(options.host)],
    }),
    ...(options.host === undefined
      ? [
          build({
            ...node,
            entryPoints: [join(root, 'host/seat/thread.ts')],
            outfile: join(outdir, 'main/engine-thread.mjs'),
          }),
        ]
      : []),
    build({
      ...common,
      entryPoints: [join(root, 'electron/preload.ts')],
      outfile: preload,
      // A sandboxed preload script is CommonJS, alone, and may require nothing but electron.
      format: 'cjs',
      platform: 'browser',
      target: 'chrome120',
      external: ['electron'],
    }),
  ])
  return { main, preload }
}

function otherHost(path: string): Plugin {
  return {
    name: 'other-host',
    setup(build) {
      build.onResolve({ filter: /^\.\/host\.ts$/ }, () => ({ path }))
    },
  }
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const began = performance.now()
  const { main, preload } = await buildElectron({ minify: true })
  console.log(`${main}\n${preload}\nbundled in ${Math.round(performance.now() - began)} ms`)
}
