/**
 * The one error type that crosses rooms, processes and the network. A message says what happened and why; the
 * remedy says what the person can do about it. Nothing in Attune fails without both.
 */
export const errorCodes = [
  /** The caller's words or numbers cannot be used (exit code 2 on the command line). */
  'bad-argument',
  /** A file is missing, damaged or not what its name says. */
  'bad-file',
  /** Nothing more can be written to a disk: it is full, or its quota is used up. What was to be written is kept. */
  'disk-full',
  /** Another machine, or our own host, cannot be reached or broke off. Trying again may help. */
  'network',
  /** A model folder is incomplete, of another family, or its weights do not fit its configuration. */
  'bad-model',
  /** The request is sound, but this build or this machine cannot serve it. */
  'unsupported',
  /** A GPU operation was refused by validation: our bug, reported as such. */
  'gpu',
  /** The GPU was reset or taken away. */
  'device-lost',
  /** A buffer could not be allocated. */
  'out-of-memory',
  /** A NaN or an infinity was found where numbers must be. */
  'non-finite',
  /** The person asked to stop. */
  'cancelled',
  /** A broken promise inside Attune. */
  'internal',
] as const

export type ErrorCode = (typeof errorCodes)[number]

/** The plain form of an error, for transports that cannot carry class instances. */
export interface ErrorRecord {
  readonly code: ErrorCode
  readonly message: string
  readonly remedy?: string
}

export class AttuneError extends Error {
  readonly code: ErrorCode
  /** What the person can do now, as one sentence in the imperative. */
  readonly remedy: string | undefined

  constructor(code: ErrorCode, message: string, remedy?: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'AttuneError'
    this.code = code
    this.remedy = remedy
  }

  toRecord(): ErrorRecord {
    return this.remedy === undefined
      ? { code: this.code, message: this.message }
      : { code: this.code, message: this.message, remedy: this.remedy }
  }
}

/** Throws an `internal` error when a promise that the code relies on is broken. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new AttuneError('internal', message, 'This is a fault in Attune: please report it.')
}
