/** Reading the config.json of a network: one schema check, and refusal by name of what is not implemented. */
import type { z } from 'zod'
import { AttuneError } from '../contract/errors.ts'

const remedy = "Check that the model's folder is complete and that this file belongs to it."

export interface ReadConfig<T> {
  readonly values: T
  /** Makes the error for a combination of fields that cannot be. */
  readonly refuse: (why: string) => AttuneError
}

/**
 * @param name what messages call the file
 * @throws AttuneError `bad-model` naming every field that is not what it should be
 */
export function readConfig<T>(schema: z.ZodType<T>, json: unknown, name: string): ReadConfig<T> {
  const refuse = (why: string): AttuneError => new AttuneError('bad-model', `${name}: ${why}.`, remedy)
  const result = schema.safeParse(json)
  if (result.success) return { values: result.data, refuse }
  const issues = result.error.issues.map(issue => {
    const field = issue.path.map(String).join('.')
    return field === '' ? issue.message : `${field}: ${issue.message}`
  })
  throw refuse(issues.join('; '))
}

/**
 * Refuses fields of a file whose value is not implemented. Absent fields pass.
 * @param allowed the implemented values of each field
 * @throws AttuneError `unsupported` naming all such fields and their values
 */
export function refuseUnsupported(
  json: unknown,
  allowed: Readonly<Record<string, readonly unknown[]>>,
  name: string,
): void {
  const fields = json as Readonly<Record<string, unknown>>
  const found = Object.entries(allowed)
    .filter(([field, values]) => Object.hasOwn(fields, field) && !values.includes(fields[field] ?? null))
    .map(([field]) => `${field} ${JSON.stringify(fields[field])}`)
  if (found.length === 0) return
  throw new AttuneError(
    'unsupported',
    `${name}: ${found.join(', ')} is not supported.`,
    'Choose a model of the Stable Diffusion 1.x or 2.x architecture.',
  )
}
