/** Types of fuses.mjs. */
export type FuseState = 'off' | 'on' | 'removed' | 'inherit'
export declare const fuseNames: readonly string[]
export declare const wantedFuses: Readonly<Record<string, boolean>>
export interface FuseWire {
  /** Where the states stand in the file. */
  readonly at: number
  readonly version: number
  readonly states: readonly FuseState[]
}
export declare function findFuseWires(bytes: Uint8Array): FuseWire[]
export declare function readFuses(bytes: Uint8Array): Record<string, FuseState>
export declare function flipFuses(bytes: Uint8Array, wanted: Readonly<Record<string, boolean>>): number
