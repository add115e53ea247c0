/**
 * Exporting what a run attended to: from a `CapturedAttention` (fresh, or of a recording) to files in a folder.
 * Everything that can be refused is refused before the first file; each file is whole or not there; the manifest is the
 * last.
 */
import { join } from 'node:path'
import type { CapturedAttention } from '../../model/attention/captured.ts'
import type { AttentionReport } from '../../model/attention/report.ts'
import { AttuneError } from '../../model/contract/errors.ts'
import { writeFileAtomic } from '../write.ts'
import { checkFolder } from './folder.ts'
import type { ExportOptions } from './options.ts'
import { type ExportPlan, planExport } from './plan.ts'

export interface ExportResult {
  /** Paths in the order written; manifest.json is the last. */
  readonly files: readonly string[]
  /** The report of the words. */
  readonly report: AttentionReport
}

/**
 * Writes the chosen formats of the chosen maps into a folder.
 * @throws AttuneError `bad-argument` before anything is written (unknown words or layers, a missing picture, a name
 *   that is taken); `bad-file` when the disk refuses; `cancelled`: files written until then are whole and stay
 */
export async function exportMaps(captured: CapturedAttention, options: ExportOptions): Promise<ExportResult> {
  const { folder, overwrite, signal, ...rest } = options
  const plan = planExport(captured, rest)
  const files = await writePlan(plan, folder, {
    ...(overwrite !== undefined && { overwrite }),
    ...(signal && { signal }),
  })
  return { files, report: plan.report }
}

/**
 * Writes planned files.
 * @returns their paths
 * @throws AttuneError as `exportMaps`
 */
export async function writePlan(
  { files: planned }: ExportPlan,
  folder: string,
  { overwrite = false, signal }: { readonly overwrite?: boolean; readonly signal?: AbortSignal } = {},
): Promise<string[]> {
  await checkFolder(folder, planned, overwrite)
  const files: string[] = []
  for (const { name, make } of planned) {
    if (signal?.aborted) throw stopped(folder, files.length)
    const path = join(folder, name)
    await writeFileAtomic(path, await make(), { overwrite })
    files.push(path)
  }
  return files
}

function stopped(folder: string, written: number): AttuneError {
  return new AttuneError(
    'cancelled',
    `Cancelled: ${written} files were written to ${folder}, all of them whole.`,
  )
}
