/**
 * `attune doctor`: what this machine has, what is missing, and the exact command that gets it. Never fails for what
 * is only slower: Attune draws without a GPU and without the optional packages.
 */
import { access, readFile } from 'node:fs/promises'
import { arch, cpus, freemem, platform, release, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'
import { findBrowser, osRelease, vulkanDriverCommand } from '../system.mjs'
import { type CommandIO, exitCodes, formatBytes, printableText, writeJson } from '../io.ts'

export interface Finding {
  readonly name: string
  /** `advice` is something that would help; `missing` keeps a part of Attune from working. */
  readonly state: 'ok' | 'advice' | 'missing'
  readonly detail: string
  /** What to run or do. */
  readonly remedy?: string
  /** For programs. */
  readonly facts?: Readonly<Record<string, unknown>>
}

const root = fileURLToPath(new URL('../..', import.meta.url))

/** Limits that decide what an adapter can draw. */
const shownLimits = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupsPerDimension',
  'maxStorageBuffersPerShaderStage',
] as const

export async function doctor(json: boolean, io: CommandIO): Promise<number> {
  const findings: Finding[] = []
  for (const look of [
    lookAtNode,
    lookAtMachine,
    lookAtPackages,
    lookAtAdapter,
    lookAtBrowser,
    lookAtNativeRuntime,
  ]) {
    const finding = await look().catch(
      (error: unknown): Finding => ({
        name: look.name,
        state: 'missing',
        detail: error instanceof Error ? error.message : String(error),
      }),
    )
    findings.push(finding)
    if (json) writeJson(io, { type: 'finding', ...finding })
    else {
      const mark = { ok: 'ok     ', advice: 'advice ', missing: 'missing' }[finding.state]
      io.stdout.write(`${mark} ${finding.name}: ${printableText(finding.detail)}\n`)
      if (finding.remedy) io.stdout.write(`        ${printableText(finding.remedy)}\n`)
    }
  }
  return findings.some(finding => finding.state === 'missing') ? exitCodes.failed : exitCodes.done
}

async function lookAtNode(): Promise<Finding> {
  const major = Number(process.versions.node.split('.')[0])
  const detail = `Node.js ${process.versions.node}`
  return major >= 20
    ? { name: 'node', state: 'ok', detail }
    : {
        name: 'node',
        state: 'missing',
        detail: `${detail} is too old`,
        remedy: 'Install Node.js 20 or newer.',
      }
}

async function lookAtMachine(): Promise<Finding> {
  const processors = cpus()
  const detail = `${platform()} ${release()} ${arch()}, ${processors.length} x ${processors[0]?.model.trim() ?? 'unknown'}, ${formatBytes(totalmem())} memory (${formatBytes(freemem())} free)`
  return { name: 'machine', state: 'ok', detail }
}

/** The packages of package.json, by their own package files: importing them all would take seconds. */
async function lookAtPackages(): Promise<Finding> {
  const manifest = JSON.parse(await readFile(`${root}package.json`, 'utf8')) as {
    dependencies: Record<string, string>
  }
  const missing: string[] = []
  for (const name of Object.keys(manifest.dependencies)) {
    await access(`${root}node_modules/${name}/package.json`).catch(() => missing.push(name))
  }
  return missing.length
    ? {
        name: 'packages',
        state: 'missing',
        detail: `${missing.join(', ')} not installed`,
        remedy: 'Run: npm ci',
      }
    : { name: 'packages', state: 'ok', detail: `${Object.keys(manifest.dependencies).length} installed` }
}

async function lookAtAdapter(): Promise<Finding> {
  const command = await vulkanDriverCommand()
  const remedy = command ? `Run: ${command}` : "Update the graphics driver from its maker's site."
  const { openNodeAdapter } = await import('../../host/webgpu.ts')
  const adapter = await openNodeAdapter().catch(() => undefined)
  if (!adapter) {
    const detail = 'no adapter: pictures are computed on the processor'
    return { name: 'webgpu', state: 'advice', detail, remedy }
  }
  const { info, limits } = adapter
  const facts = {
    vendor: info.vendor,
    architecture: info.architecture,
    device: info.device,
    description: info.description,
    isFallbackAdapter: info.isFallbackAdapter,
    subgroupSizes: [info.subgroupMinSize, info.subgroupMaxSize],
    features: [...adapter.features].sort(),
    limits: Object.fromEntries(shownLimits.map(name => [name, limits[name]])),
  }
  const wanted = ['shader-f16', 'subgroups', 'timestamp-query'].map(
    feature => `${adapter.features.has(feature) ? '' : 'no '}${feature}`,
  )
  const detail = [
    `${info.device || info.description || info.vendor} (${info.vendor}, ${info.description})`,
    info.isFallbackAdapter ? 'a software adapter' : 'a GPU',
    ...wanted,
    `subgroups of ${info.subgroupMinSize} to ${info.subgroupMaxSize}`,
    `buffers to ${formatBytes(limits.maxBufferSize)}, bindings to ${formatBytes(limits.maxStorageBufferBindingSize)}`,
  ].join(', ')
  return { name: 'webgpu', state: 'ok', detail, facts }
}

async function lookAtBrowser(): Promise<Finding> {
  const browser = await findBrowser()
  if (browser) return { name: 'browser', state: 'ok', detail: browser }
  const { id } = await osRelease()
  return {
    name: 'browser',
    state: 'advice',
    detail: 'no Chromium was found; only the tests in a page need one',
    remedy:
      id === 'debian'
        ? 'Run: apt-get install -y chromium'
        : 'Run: npx playwright install --with-deps chromium',
  }
}

/** Loaded, not only found: a package for another system would be found too. */
async function lookAtNativeRuntime(): Promise<Finding> {
  const name = 'onnxruntime-node'
  const { installNativeCommand, openNodeOnnxRuntime } = await import('../../host/onnxruntime.ts')
  try {
    const { threads } = await openNodeOnnxRuntime('cpu')
    return { name, state: 'ok', detail: `works, ${threads} threads (--backend cpu)` }
  } catch {
    return {
      name,
      state: 'advice',
      detail:
        'not installed; with it, large models run several times faster on a machine without a GPU (288 MB)',
      remedy: `Run: ${installNativeCommand}`,
    }
  }
}
