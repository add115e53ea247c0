/** The command line as a process, with an engine that takes a while; run by generate.test.ts to press Ctrl-C on. */
import type { Engine } from '../../cli/engine.ts'
import { runProcess } from '../../cli/main.ts'

const engine: Engine = {
  async runGenerate(job, hooks) {
    const steps = job.request.steps ?? 1
    for (let step = 0; step <= steps; step++) {
      if (hooks.signal.aborted) throw hooks.signal.reason
      hooks.onProgress({ step, steps, sigma: 0 })
      await new Promise(resolve => setTimeout(resolve, 20))
    }
    throw new Error('Nobody pressed Ctrl-C')
  },
}

await runProcess(engine)
