/**
 * What a preprocessor can be told: each option's kind, default and limits as data, so that the command line, the window
 * and the record read the same list. Values from outside are checked here and nowhere else.
 */
import { AttuneError } from '../../contract/errors.ts'

export interface NumberSpec {
  readonly kind: 'number' | 'whole'
  readonly default: number
  readonly min: number
  readonly max: number
  readonly what: string
}

export interface SwitchSpec {
  readonly kind: 'switch'
  readonly default: boolean
  readonly what: string
}

export type OptionSpec = NumberSpec | SwitchSpec
export type OptionSpecs = Readonly<Record<string, OptionSpec>>
export type OptionValue = number | boolean
export type OptionValues = Readonly<Record<string, OptionValue>>

/** The values that belong to specifications. */
export type ValuesOf<S extends OptionSpecs> = {
  readonly [K in keyof S]: S[K] extends SwitchSpec ? boolean : number
}

export function number(value: number, min: number, max: number, what: string): NumberSpec {
  return { kind: 'number', default: value, min, max, what }
}

export function whole(value: number, min: number, max: number, what: string): NumberSpec {
  return { kind: 'whole', default: value, min, max, what }
}

export function toggle(what: string): SwitchSpec {
  return { kind: 'switch', default: false, what }
}

/**
 * All values of a preprocessor: those given, and defaults.
 * @throws AttuneError `bad-argument` naming the option, its limits, or the options that there are
 */
export function readOptions<S extends OptionSpecs>(
  name: string,
  specs: S,
  given: Readonly<Record<string, unknown>>,
): ValuesOf<S> {
  for (const [key, value] of Object.entries(given)) {
    if (value === undefined || Object.hasOwn(specs, key)) continue
    const takes = Object.keys(specs)
    throw new AttuneError(
      'bad-argument',
      `${name} takes no ${key.slice(0, 40)}.`,
      takes.length > 0 ? `It takes ${takes.join(', ')}.` : 'It takes no options.',
    )
  }
  const values = Object.entries(specs).map(([key, spec]) => [key, readValue(name, key, spec, given[key])])
  return Object.fromEntries(values) as ValuesOf<S>
}

function readValue(name: string, key: string, spec: OptionSpec, value: unknown): OptionValue {
  if (value === undefined) return spec.default
  if (spec.kind === 'switch') {
    if (typeof value === 'boolean') return value
    throw new AttuneError('bad-argument', `${key} of ${name} is on or off, not a value.`, 'Give it none.')
  }
  const isWhole = spec.kind === 'whole'
  if (typeof value !== 'number' || !Number.isFinite(value) || (isWhole && !Number.isInteger(value))) {
    throw new AttuneError(
      'bad-argument',
      `${key} of ${name} must be a ${isWhole ? 'whole ' : ''}number, but is ${JSON.stringify(value)?.slice(0, 40)}.`,
      `Give a number from ${spec.min} to ${spec.max}; the default is ${spec.default}.`,
    )
  }
  if (value < spec.min || value > spec.max) {
    throw new AttuneError(
      'bad-argument',
      `${key} of ${name} must be between ${spec.min} and ${spec.max}, but is ${value}.`,
      `The default is ${spec.default}.`,
    )
  }
  return value
}
