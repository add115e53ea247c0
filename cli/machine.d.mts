/** Types of machine.mjs, which is plain JavaScript because it runs before anything is installed. */

/** All that the set-up touches. */
export interface Machine {
  /** The repository's root folder. */
  readonly root: string
  readonly platform: NodeJS.Platform
  readonly nodeVersion: string
  readonly nodePath: string
  readonly env: Readonly<Record<string, string | undefined>>
  /** 0 is root; -1 where there are no user ids. */
  readonly uid: number
  /** Whether a person watches. */
  readonly terminal: boolean
  now(): number
  say(line: string): void
  readText(path: string): string | undefined
  exists(path: string): boolean
  list(path: string): string[]
  modified(path: string): number | undefined
  write(path: string, text: string): void
  /** Runs a program on our terminal. @returns its exit code; 127 when it could not be started */
  run(command: string, args: readonly string[], options?: RunOptions): Promise<number>
}

export interface RunOptions {
  readonly cwd?: string
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly shell?: boolean
}

export interface Stamp {
  readonly lock?: string
  readonly hinted?: readonly string[]
  readonly triedVulkan?: number
  readonly triedBrowser?: number
}

export function thisMachine(): Machine
/** The result of an action, or undefined when it throws. */
export function attempt<T>(action: () => T): T | undefined
/** What the last set-up left: which lock file was installed, and which hints were given. */
export function readStamp(machine: Machine): Stamp
export function writeStamp(machine: Machine, changes: Stamp): void
