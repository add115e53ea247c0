/** Anything that was thrown as what a window can show. */
import { AttuneError, type ErrorRecord } from '../../model/contract/errors.ts'

/** An AttuneError as it is; anything else as a fault of ours, without its stack. */
export function toAttuneError(error: unknown): AttuneError {
  if (error instanceof AttuneError) return error
  const message = error instanceof Error ? error.message : String(error)
  return new AttuneError(
    'internal',
    `Something went wrong inside Attune: ${message}`,
    'Try again; if it happens again, report it with the message.',
    { cause: error },
  )
}

/** The plain form. */
export function toErrorRecord(error: unknown): ErrorRecord {
  return toAttuneError(error).toRecord()
}

/** The first thing that a schema says, as our error. */
export function badArgument(
  what: string,
  issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[],
  cause?: unknown,
): AttuneError {
  const issue = issues[0]
  const where = issue?.path.map(String).join('.')
  return new AttuneError(
    'bad-argument',
    `${what} cannot be used: ${where ? `${where}: ` : ''}${issue?.message ?? 'unknown'}.`,
    'Reload the window; if it happens again, report it.',
    { cause },
  )
}
