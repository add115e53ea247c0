/**
 * A UNet as several programs, alone and joined with nets that guide it. Which one runs changes over the steps; to the
 * caller it is one program that keeps its inputs and states.
 */
import { invariant } from '../contract/errors.ts'
import type { Graph } from '../graph/ops.ts'
import type { Program, ProgramStats } from '../graph/program.ts'

type Values = Readonly<Record<string, Float32Array>>

export class GuidedProgram implements Program {
  readonly #programs: ReadonlyMap<string, Program>
  readonly #due: () => string
  /** Everything that was given so far, and what each program has of it. */
  readonly #all = new Map<string, Float32Array>()
  readonly #had = new Map<Program, Map<string, Float32Array>>()
  #current: Program

  /**
   * @param programs by any key
   * @param due tells which the next run is for
   */
  constructor(programs: ReadonlyMap<string, Program>, due: () => string) {
    const [first] = programs.values()
    invariant(first, 'a program')
    this.#programs = programs
    this.#due = due
    this.#current = first
  }

  get graph(): Graph {
    return this.#current.graph
  }

  get stats(): ProgramStats {
    return this.#current.stats
  }

  async run(inputs: Values): Promise<Record<string, Float32Array>> {
    for (const [name, values] of Object.entries(inputs)) this.#all.set(name, values)
    const program = this.#programs.get(this.#due())
    invariant(program, 'a program for each set of guides')
    if (program !== this.#current) {
      if (program.graph.states?.size) program.writeStates(await this.#current.readStates())
      this.#current = program
    }
    const had = this.#had.get(program) ?? new Map<string, Float32Array>()
    this.#had.set(program, had)
    const changed: Record<string, Float32Array> = {}
    for (const [name, values] of this.#all) {
      if (!program.graph.inputs.has(name) || (had.get(name) === values && !(name in inputs))) continue
      changed[name] = values
      had.set(name, values)
    }
    return program.run(changed)
  }

  readStates(): Promise<Record<string, Float32Array>> {
    return this.#current.readStates()
  }

  writeStates(states: Values): void {
    this.#current.writeStates(states)
  }

  clearStates(): void {
    for (const program of this.#programs.values()) program.clearStates()
  }

  dispose(): void {
    for (const program of this.#programs.values()) program.dispose()
  }
}
