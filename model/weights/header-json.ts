/**
 * A scanner for the JSON header of a safetensors file.
 *
 * `JSON.parse` cannot be used: it keeps the last of two equal keys, reads `1e2`, `1.0` and `-0` as sizes, rounds
 * integers above 2^53, accepts lone surrogates, and builds an object with a prototype. This scanner knows only
 * the grammar of the header, reports where it stopped, and never nests deeper than `depthLimit`.
 *
 * Reference: huggingface/safetensors `safetensors/src/tensor.rs` (serde_json semantics).
 */
import { printable } from './printable.ts'

/** One value of the header, before any check of its meaning. */
export interface RawTensorInfo {
  readonly dtype: string
  readonly shape: readonly number[]
  readonly begin: number
  readonly end: number
}

export interface RawHeader {
  /** In the header's order. A `Map`: names are attacker data and must not meet a prototype. */
  readonly tensors: Map<string, RawTensorInfo>
  readonly metadata: Map<string, string>
}

/** Why a header was refused; the caller adds the file's name and the remedy. */
export class HeaderSyntaxError extends Error {}

const depthLimit = 32
const rankLimit = 64
const nameLimit = 4096

const enum Char {
  Quote = 0x22,
  Comma = 0x2c,
  Colon = 0x3a,
  OpenBracket = 0x5b,
  Backslash = 0x5c,
  CloseBracket = 0x5d,
  OpenBrace = 0x7b,
  CloseBrace = 0x7d,
}
