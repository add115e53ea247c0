/** The page of `attention-page.ts`: cross-attention with each control on the page's adapter, interleaved. */
import { anyInputs, graphOf, paired, variants } from '../../cli/bench/attention-forms.ts'
import { WebGpuBackend } from '../../model/gpu/backend.ts'

export interface AttentionPageFigures {
  readonly adapter: string
  readonly rows: readonly { readonly form: string; readonly median: number; readonly ofPlain: number }[]
}

async function benchAttention(rounds: number): Promise<AttentionPageFigures> {
  const adapter = await navigator.gpu.requestAdapter()
  if (!adapter) throw new Error('no adapter')
  const backend = await WebGpuBackend.open(adapter, { precision: 'f16' })
  const runs = []
  for (const variant of variants) {
    const graph = graphOf(variant)
    const program = await backend.compile(graph)
    await program.run(anyInputs(graph))
    runs.push({ form: variant.name, program, times: [] as number[] })
  }
  for (let round = 0; round < rounds; round++) {
    for (const { program, times } of runs) {
      const began = performance.now()
      await program.run({})
      times.push(performance.now() - began)
    }
  }
  const plain = runs[0]?.times ?? []
  return {
    adapter: backend.description,
    rows: runs.map(({ form, times }) => ({
      form,
      median: times.toSorted((a, b) => a - b)[times.length >> 1] ?? NaN,
      ofPlain: paired(times, plain),
    })),
  }
}

Object.assign(globalThis, { benchAttention })
