/**
 * A UNet and the nets that guide it as one graph: what they say never leaves the device. The nets' inputs are named
 * `guide.0.sample` and so on; the UNet's residual inputs are gone.
 */
import { invariant } from '../contract/errors.ts'
import { type Graph, type GraphState, type Op, type Tensor, withInputs } from '../graph/ops.ts'

/** The name of a net's input in a joined graph. */
export function joinedInput(index: number, name: string): string {
  return `guide.${index}.${name}`
}

/**
 * @param nets denoising graphs and the numbers in their inputs' names; each has an output for every residual input
 * @param unet recorded with `controlNetResiduals`
 */
export function joinGraphs(
  nets: readonly { readonly index: number; readonly graph: Graph }[],
  unet: Graph,
): Graph {
  let nextId = 0
  const ops: Op[] = []
  const inputs = new Map<string, Tensor>()
  /** Takes a graph's operations over; those of its tensors that `known` has are replaced. */
  const take = (graph: Graph, known: Map<number, Tensor>): ((tensor: Tensor) => Tensor) => {
    const renamed = (tensor: Tensor): Tensor => {
      const found = known.get(tensor.id)
      if (found) return found
      const made = { ...tensor, id: nextId++ }
      known.set(tensor.id, made)
      return made
    }
    for (const op of graph.ops) {
      const outputs = Object.fromEntries(
        Object.entries(op.outputs as Readonly<Record<string, Tensor | undefined>>).map(([role, tensor]) => [
          role,
          tensor && renamed(tensor),
        ]),
      )
      ops.push({ ...withInputs(op, renamed), outputs } as Op)
    }
    return renamed
  }
  const sums = new Map<string, Tensor>()
  for (const { index, graph: net } of nets) {
    const renamed = take(net, new Map())
    for (const [name, tensor] of net.inputs) inputs.set(joinedInput(index, name), renamed(tensor))
    for (const [name, tensor] of net.outputs) {
      const [before, own] = [sums.get(name), renamed(tensor)]
      if (!before) {
        sums.set(name, own)
        continue
      }
      const y: Tensor = { id: nextId++, shape: own.shape, label: name }
      ops.push({ kind: 'binary', path: name, inputs: { a: before, b: own }, outputs: { y }, operator: 'add' })
      sums.set(name, y)
    }
  }
  const known = new Map<number, Tensor>()
  for (const [name, sum] of sums) {
    const residual = unet.inputs.get(name)
    invariant(residual, `the UNet takes ${name}`)
    known.set(residual.id, sum)
  }
  const renamed = take(unet, known)
  for (const [name, tensor] of unet.inputs) if (!sums.has(name)) inputs.set(name, renamed(tensor))
  const states = new Map<string, GraphState>()
  for (const [name, { before, after }] of unet.states ?? []) {
    states.set(name, { before: renamed(before), after: renamed(after) })
  }
  return {
    name: `${unet.name}.guided`,
    ops,
    inputs,
    outputs: new Map([...unet.outputs].map(([name, tensor]) => [name, renamed(tensor)])),
    ...(unet.states && { states }),
  }
}
