/**
 * The import-direction check (`npm run check`): who may import whom, as ARCHITECTURE.md draws it; no cycles; the
 * engine free of Node and of native packages. Imports are found by a simple scanner: static ones begin a line (the
 * formatter sees to that), dynamic ones name their module in quotes.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { builtinModules } from 'node:module'
import { join, posix, relative, sep } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'

/** Rooms of model/ from the ground up: a room imports rooms of lower floors, never of its own or above. */
export const floors: readonly (readonly string[])[] = [
  ['contract'],
  ['tensor'],
  // Leaves beside the engine: numbers, pictures and words, which everything above may use.
  ['random', 'image', 'prompt'],
  ['graph'],
  ['kernels'],
  ['gpu'],
  ['weights'],
  ['onnx'],
  ['backend'],
  ['nn'],
  ['text', 'unet', 'vae', 'controlnet', 'ipadapter', 'schedulers'],
  ['attention'],
  ['pipeline'],
  ['worker'],
]

/** What the shells take from model/ and from each other; `model/*` is every room. */
const shells: Readonly<Record<string, readonly string[]>> = {
  host: ['host', 'model/contract', 'model/tensor', 'model/weights', 'model/image', 'model/attention'],
  // The host's own seat of the engine: the one room of host/ that runs it, in a thread.
  'host/seat': ['host', 'model/contract', 'model/worker', 'model/backend', 'model/gpu', 'model/image'],
  cli: ['cli', 'host', 'host/seat', 'model/*'],
  examples: ['examples', 'host', 'host/seat', 'cli', 'model/*'],
  electron: ['electron', 'host', 'host/seat', 'model/contract'],
  renderer: ['renderer', 'model/contract'],
  // The page's door to the engine; what is shown of attention is pure arithmetic on arrays.
  'renderer/engine': [
    'renderer',
    'model/contract',
    'model/worker',
    'model/attention',
    'model/image',
    'model/prompt',
    'model/text',
  ],
}

const topFolders = ['model', 'host', 'cli', 'renderer', 'electron', 'examples', 'test'] as const
/** Packages that tie the engine to one platform. */
const native = new Set([
  'sharp',
  'webgpu',
  'electron',
  'commander',
  'tsx',
  'playwright',
  'onnxruntime-node',
  'vitest',
])
const nodeModules = new Set(builtinModules)
export const lineLimit = 450

export interface Import {
  readonly target: string
  /** Types are gone at run time and dynamic imports run late: neither is a part of a cycle. */
  readonly kind: 'value' | 'type' | 'late'
}

export interface BoundaryReport {
  readonly violations: string[]
  readonly warnings: string[]
}

/** The modules that a source names. */
export function scanImports(source: string): Import[] {
  // Comments only where they begin a line: elsewhere '/*' may stand in a string, and imports do not.
  const code = source.replace(/^\s*\/\*[\s\S]*?\*\//gm, '').replace(/^\s*\/\/.*$/gm, '')
  const found: Import[] = []
  const statement = /^(?:import|export)\s+(type\s+(?!from\b))?(?:[^'";]*?\bfrom\s*)?['"]([^'"\n]+)['"]/gm
  for (const [, type, target = ''] of code.matchAll(statement)) {
    found.push({ target, kind: type === undefined ? 'value' : 'type' })
  }
  const call = /\b(?:import|require)\(\s*['"]([^'"\n]+)['"]/g
  for (const [, target = ''] of code.matchAll(call)) found.push({ target, kind: 'late' })
  return found
}

/** @param files path from the root with forward slashes → source */
export function checkBoundaries(files: ReadonlyMap<string, string>): BoundaryReport {
  const violations: string[] = []
  const warnings: string[] = []
  const graph = new Map<string, string[]>()
  for (const [path, source] of files) {
    const edges: string[] = []
    for (const { target, kind } of scanImports(source)) {
      const inside = target.startsWith('.') ? resolveFile(path, target, files) : undefined
      const why = inside === undefined ? refusePackage(path, target) : refuseFile(path, inside, kind)
      if (why) violations.push(`${path} imports ${target}: ${why}`)
      if (inside !== undefined && kind === 'value') edges.push(inside)
    }
    graph.set(path, edges)
    const lines = source.split('\n').length - 1
    if (lines > lineLimit) warnings.push(`${path} has ${lines} lines, more than ${lineLimit}: split it`)
  }
  for (const cycle of findCycles(graph)) violations.push(`cycle: ${cycle.join(' → ')}`)
  return { violations, warnings }
}

function resolveFile(from: string, target: string, files: ReadonlyMap<string, string>): string {
  const path = posix.normalize(posix.join(posix.dirname(from), target))
  // The types of a .mjs stand in a .d.mts beside it; either names the same module.
  return files.has(path) ? path : path.replace(/\.d\.mts$/, '.mjs')
}

/** `model/graph`, `renderer/engine`, `cli`: the unit that the rules speak of. */
function roomOf(path: string): string {
  const [top = '', second = '', third] = path.split('/')
  if (top === 'model' && third !== undefined) return `model/${second}`
  if (top === 'renderer' && second === 'engine') return 'renderer/engine'
  if (top === 'host' && second === 'seat') return 'host/seat'
  return top
}

function floorOf(room: string): number {
  return floors.findIndex(floor => floor.includes(room.slice('model/'.length)))
}

function refuseFile(from: string, to: string, kind: Import['kind']): string | undefined {
  const source = roomOf(from)
  const target = roomOf(to)
  if (source === 'test') return undefined
  if (target === 'test') return 'nothing imports test/'
  if (source === target) return undefined
  if (source.startsWith('model')) {
    if (!target.startsWith('model/')) return 'model/ imports only model/'
    const [mine, theirs] = [floorOf(source), floorOf(target)]
    if (mine < 0) return `${source} has no floor: add it to test/support/boundaries.ts and ARCHITECTURE.md`
    if (theirs < 0) return `${target} has no floor: add it to test/support/boundaries.ts and ARCHITECTURE.md`
    if (theirs < mine) return undefined
    return theirs === mine ? `${source} and ${target} stand side by side` : `${target} stands above ${source}`
  }
  // The host implements interfaces that the engine states, such as a folder of files.
  if (source === 'host' && kind === 'type' && target.startsWith('model/')) return undefined
  const allowed = shells[source]
  if (!allowed) return undefined
  const fits = allowed.some(room => room === target || (room === 'model/*' && target.startsWith('model/')))
  return fits || target.startsWith(`${source}/`) ? undefined : `${source} takes only ${allowed.join(', ')}`
}

function refusePackage(from: string, target: string): string | undefined {
  const room = roomOf(from)
  const name = target.startsWith('@') ? target.split('/', 2).join('/') : (target.split('/', 1)[0] ?? target)
  if (name === 'electron' && room !== 'electron' && room !== 'test')
    return "only electron/ imports 'electron'"
  if (!room.startsWith('model')) return undefined
  if (target.startsWith('node:') || nodeModules.has(name))
    return 'model/ runs in a page too and knows no Node'
  return native.has(name) ? `model/ is platform neutral and knows no ${name}` : undefined
}

/** Each cycle once, beginning with its first file by name. */
function findCycles(graph: ReadonlyMap<string, readonly string[]>): string[][] {
  const cycles = new Map<string, string[]>()
  const done = new Set<string>()
  const path: string[] = []
  const visit = (file: string) => {
    const at = path.indexOf(file)
    if (at >= 0) {
      const members = path.slice(at)
      const first = members.indexOf([...members].sort()[0] ?? file)
      const cycle = [...members.slice(first), ...members.slice(0, first)]
      cycles.set(cycle.join(), [...cycle, cycle[0] ?? file])
      return
    }
    if (done.has(file)) return
    path.push(file)
    for (const next of graph.get(file) ?? []) visit(next)
    path.pop()
    done.add(file)
  }
  for (const file of [...graph.keys()].sort()) visit(file)
  return [...cycles.values()]
}

/** Every source of the repository. */
export function readSources(root: string): Map<string, string> {
  const files = new Map<string, string>()
  const walk = (folder: string) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name)
      if (entry.isDirectory()) {
        if (entry.name !== 'fixtures' && entry.name !== 'node_modules') walk(path)
      } else if (/\.(ts|tsx|mts|mjs)$/.test(entry.name)) {
        files.set(relative(root, path).split(sep).join('/'), readFileSync(path, 'utf8'))
      }
    }
  }
  const present = new Set(readdirSync(root))
  for (const folder of topFolders) if (present.has(folder)) walk(join(root, folder))
  return files
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const files = readSources(fileURLToPath(new URL('../..', import.meta.url)))
  const { violations, warnings } = checkBoundaries(files)
  for (const warning of warnings) console.warn(`warning: ${warning}`)
  for (const violation of violations) console.error(`error: ${violation}`)
  console.log(`boundaries: ${files.size} files, ${violations.length} violations, ${warnings.length} warnings`)
  process.exitCode = violations.length ? 1 : 0
}
