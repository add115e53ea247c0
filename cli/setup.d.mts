/** Types of setup.mjs, which is plain JavaScript because it runs before anything is installed. */
import type { Machine, RunOptions } from './machine.mjs'

export const oldestNode: number
export const checks: readonly (readonly [name: string, args: readonly string[]])[]
export function nodeProblem(version: string): string | undefined
export function lockHash(machine: Machine): string | undefined
export function packagesState(machine: Machine): 'ready' | 'missing' | 'stale'
export function npmCommand(machine: Machine): [command: string, args: string[], options: RunOptions]
export function rendererState(machine: Machine): 'ready' | 'missing' | 'stale' | 'absent'
/** @returns its exit code; undefined where there is no window of the desktop */
export function startElectron(machine: Machine, args: readonly string[]): Promise<number | undefined>
export function pictureOpener(machine: Machine, path: string): [command: string, args: string[]] | undefined
export function main(words: readonly string[], machine?: Machine): Promise<number>
