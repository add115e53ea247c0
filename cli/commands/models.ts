/** `attune models inspect PATH`: what a model holds, what is missing, under which licence. */
import { resolve } from 'node:path'
import { type ComponentSummary, inspectModel } from '../inspect.ts'
import { type CommandIO, exitCodes, formatBytes, printableText, writeJson } from '../io.ts'

/** @returns 0 when the model is whole, 1 when something keeps it from being used */
export async function inspect(path: string, json: boolean, io: CommandIO): Promise<number> {
  const summary = await inspectModel(resolve(io.cwd, path))
  const code = summary.problems.length ? exitCodes.failed : exitCodes.done
  if (json) {
    writeJson(io, { type: 'model', ...summary })
    return code
  }
  const say = (line: string) => io.stdout.write(`${printableText(line)}\n`)
  say(`${summary.path} (${summary.pipeline ?? summary.kind})`)
  for (const component of summary.components) for (const line of describe(component)) say(`  ${line}`)
  say(`  licence: ${summary.licence ?? 'none stated'}`)
  for (const problem of summary.problems) say(`  problem: ${problem}`)
  say(
    summary.problems.length
      ? 'This model cannot be used as it is.'
      : 'Everything that was looked for is there.',
  )
  return code
}

function describe(component: ComponentSummary): string[] {
  const { name, className, weights, otherFiles, config } = component
  const lines = [`${name}${className ? `: ${className}` : ''}`]
  if (weights) {
    const dtypes = Object.entries(weights.dtypes).map(([dtype, count]) => `${count} ${dtype}`)
    const millions = (weights.parameters / 1e6).toFixed(1)
    lines.push(
      `  ${weights.file}: ${formatBytes(weights.bytes)}, ${millions} M parameters, ${dtypes.join(' + ')} tensors`,
    )
    const groups = Object.entries(weights.groups).map(([group, count]) => `${group} (${count})`)
    lines.push(`  holds ${groups.join(', ')}`)
  }
  if (otherFiles.length) lines.push(`  not used: ${otherFiles.join(', ')}`)
  const settings = Object.entries(config).map(
    ([key, value]) => `${key} ${Array.isArray(value) ? `[${value}]` : value}`,
  )
  if (settings.length) lines.push(`  ${settings.join(', ')}`)
  return lines
}
