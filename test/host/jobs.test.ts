import { appendFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { JobQueue, type JobQueueOptions, type QueueEvent } from '../../host/jobs/queue.ts'
import type { Job, JobHooks, JobResult, JobRunner } from '../../host/jobs/runner.ts'
import { AttuneError } from '../../model/contract/errors.ts'
import { temporaryFolder } from '../cli/support.ts'

let png: Uint8Array
const queues: JobQueue[] = []

beforeAll(async () => {
  const raw = { width: 8, height: 8, channels: 3 as const }
  png = new Uint8Array(await sharp(new Uint8Array(192).fill(90), { raw }).png().toBuffer())
})

afterEach(async () => {
  for (const queue of queues.splice(0)) await queue.close()
})

const result = (): JobResult => ({ png, steps: 4, width: 8, height: 8, denoiseMilliseconds: 4_000 })

/** Draws when it is told to. */
class Puppet implements JobRunner {
  readonly drawn: string[] = []
  /** What happens to each job; by default it is drawn at once. */
  act: (job: Job, hooks: JobHooks) => Promise<JobResult> = () => Promise.resolve(result())

  run(job: Job, hooks: JobHooks): Promise<JobResult> {
    this.drawn.push(job.request.prompt)
    return this.act(job, hooks)
  }
}

/** Resolves when it is cancelled, as an engine does between two steps. */
const untilCancelled = (_: Job, { signal }: JobHooks) =>
  new Promise<JobResult>((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error))
  })

async function place(): Promise<{ options: JobQueueOptions; runner: Puppet; root: string; output: string }> {
  const root = await temporaryFolder()
  const runner = new Puppet()
  const output = join(root, 'pictures')
  const options = {
    file: join(root, 'data', 'jobs.jsonl'),
    runner,
    outputFolder: () => output,
    now: () => new Date(2026, 10, 25, 12),
    fileName: (job: Job) => `${job.request.prompt}.png`,
  }
  return { options, runner, root, output }
}

async function openQueue(options: JobQueueOptions): Promise<JobQueue & { notices?: string[] }> {
  const { queue, notices } = await JobQueue.open(options)
  queues.push(queue)
  return Object.assign(queue, { notices })
}

const add = (queue: JobQueue, prompt: string, more: { steps?: number } = {}) =>
  queue.add({ prompt, seed: '1', width: 8, height: 8, ...more })

function next(queue: JobQueue, wanted: (event: QueueEvent) => boolean): Promise<QueueEvent> {
  return new Promise(resolve => {
    const end = queue.subscribe(event => {
      if (!wanted(event)) return
      end()
      resolve(event)
    })
  })
}

const idle = (queue: JobQueue) => next(queue, event => event.type === 'idle')
const states = (queue: JobQueue) => queue.jobs.map(job => `${job.request.prompt}:${job.state}`)

describe('the queue', () => {
  it('draws one at a time, in order, and a job is done when its picture is on the disk', async () => {
    const { options, runner, output } = await place()
    const queue = await openQueue(options)
    let atOnce = 0
    let most = 0
    runner.act = async (_, hooks) => {
      most = Math.max(most, ++atOnce)
      hooks.onProgress({ step: 1, steps: 4 })
      await new Promise(resolve => setTimeout(resolve, 5))
      atOnce--
      return result()
    }
    for (const prompt of ['a', 'b', 'c']) await add(queue, prompt)
    expect(states(queue)).toEqual(['a:queued', 'b:queued', 'c:queued'])
    expect(runner.drawn).toEqual([])
    const seen: string[] = []
    queue.subscribe(event => {
      if (event.type === 'picture') seen.push(event.file)
    })
    const done = idle(queue)
    queue.start()
    await done
    expect(runner.drawn).toEqual(['a', 'b', 'c'])
    expect(most).toBe(1)
    expect(states(queue)).toEqual(['a:done', 'b:done', 'c:done'])
    expect(seen).toEqual(['a', 'b', 'c'].map(name => join(output, `${name}.png`)))
    expect(new Uint8Array(await readFile(queue.jobs[0]?.file ?? ''))).toEqual(png)
    // The journal tells the same to the next start.
    await queue.close()
    expect(states(await openQueue(options))).toEqual(['a:done', 'b:done', 'c:done'])
  })

  it('refuses requests that cannot be drawn, before anything is kept', async () => {
    const { options } = await place()
    const queue = await openQueue(options)
    await expect(queue.add({ prompt: 'x', seed: '-1' })).rejects.toMatchObject({ code: 'bad-argument' })
    expect(queue.jobs).toEqual([])
  })

  it('reorders, cancels, removes; all of it survives', async () => {
    const { options, runner } = await place()
    const queue = await openQueue(options)
    const jobs = []
    for (const prompt of ['a', 'b', 'c', 'd']) jobs.push(await add(queue, prompt))
    const [a, b, c, d] = jobs.map(job => job.id) as [string, string, string, string]
    await queue.reorder(d, a)
    await queue.reorder(b)
    await queue.cancel(c)
    await queue.remove(a)
    expect(states(queue)).toEqual(['d:queued', 'c:cancelled', 'b:queued'])
    await queue.close()
    const again = await openQueue(options)
    expect(states(again)).toEqual(['d:queued', 'c:cancelled', 'b:queued'])
    const done = idle(again)
    again.start()
    await done
    expect(runner.drawn).toEqual(['d', 'b'])
    await again.clearFinished()
    expect(again.jobs).toEqual([])
    await expect(again.cancel(a)).rejects.toMatchObject({ code: 'bad-argument' })
  })

  it('cancels a job that is drawn, and goes on with the next', async () => {
    const { options, runner, output } = await place()
    const queue = await openQueue(options)
    runner.act = (job, hooks) =>
      job.request.prompt === 'a' ? untilCancelled(job, hooks) : Promise.resolve(result())
    const a = await add(queue, 'a')
    await add(queue, 'b')
    queue.start()
    const done = idle(queue)
    await new Promise(resolve => setTimeout(resolve, 20))
    expect(states(queue)).toEqual(['a:running', 'b:queued'])
    await queue.cancel(a.id)
    await done
    expect(states(queue)).toEqual(['a:cancelled', 'b:done'])
    expect(await readdir(output)).toEqual(['b.png'])
  })

  it('holds a job that is drawn at its next step, and everything, and goes on', async () => {
    const { options, runner } = await place()
    const queue = await openQueue(options)
    const steps: number[] = []
    runner.act = async (_, hooks) => {
      for (let step = 0; step < 6; step++) {
        await hooks.checkpoint()
        steps.push(step)
        hooks.onProgress({ step: step + 1, steps: 6 })
        await new Promise(resolve => setTimeout(resolve, 5))
      }
      return result()
    }
    const a = await add(queue, 'a')
    await add(queue, 'b')
    const progress = next(queue, event => event.type === 'progress' && event.progress.step === 2)
    queue.start()
    await progress
    await queue.pause(a.id)
    await new Promise(resolve => setTimeout(resolve, 40))
    const held = steps.length
    expect(held).toBeLessThan(5)
    expect(states(queue)[0]).toBe('a:paused')
    await queue.pauseAll()
    await queue.resume(a.id)
    await new Promise(resolve => setTimeout(resolve, 30))
    expect(steps.length).toBe(held)
    const done = idle(queue)
    await queue.resumeAll()
    await done
    expect(states(queue)).toEqual(['a:done', 'b:done'])
    expect(steps.length).toBe(12)
    // Cancelling works while it is held, too.
    const c = await add(queue, 'c')
    await queue.pauseAll()
    await new Promise(resolve => setTimeout(resolve, 20))
    await queue.cancel(c.id)
    expect(queue.get(c.id)?.state).toBe('cancelled')
  })

  it('fault G9: a failure is kept with its remedy, and the next job is drawn', async () => {
    const { options, runner } = await place()
    const queue = await openQueue(options)
    runner.act = job => {
      if (job.request.prompt === 'a') throw new AttuneError('out-of-memory', 'Too large.', 'Draw smaller.')
      if (job.request.prompt === 'b') return Promise.resolve({ ...result(), png: new Uint8Array(50) })
      return Promise.resolve(result())
    }
    for (const prompt of ['a', 'b', 'c']) await add(queue, prompt)
    const done = idle(queue)
    queue.start()
    await done
    expect(states(queue)).toEqual(['a:failed', 'b:failed', 'c:done'])
    expect(queue.jobs[0]?.problem).toEqual({
      code: 'out-of-memory',
      message: 'Too large.',
      remedy: 'Draw smaller.',
    })
    runner.act = () => Promise.resolve(result())
    const again = idle(queue)
    await queue.resume(queue.jobs[0]?.id ?? '')
    await again
    expect(states(queue)[0]).toBe('a:done')
    expect(queue.jobs[0]?.problem).toBeUndefined()
  })

  it('T1: a picture that cannot be saved is kept in memory until it can', async () => {
    const { options, runner, output } = await place()
    await writeFile(output, 'a file where the folder should be')
    const queue = await openQueue(options)
    await add(queue, 'a')
    await add(queue, 'b')
    const notice = next(queue, event => event.type === 'notice')
    queue.start()
    expect(await notice).toMatchObject({ text: expect.stringContaining('could not be saved') as string })
    await new Promise(resolve => setTimeout(resolve, 20))
    expect(states(queue)).toEqual(['a:paused', 'b:queued'])
    expect(queue.isPaused).toBe(true)
    await rm(output)
    const done = idle(queue)
    await queue.resume(queue.jobs[0]?.id ?? '')
    await queue.resumeAll()
    await done
    expect((await readdir(output)).sort()).toEqual(['a.png', 'b.png'])
    // It was not drawn a second time.
    expect(runner.drawn).toEqual(['a', 'b'])
  })

  it('estimates by recent step times', async () => {
    const { options, runner } = await place()
    const queue = await openQueue(options)
    expect(queue.estimate().secondsLeft).toBeUndefined()
    await add(queue, 'a')
    const done = idle(queue)
    queue.start()
    await done
    // 4 seconds for 4 steps of 8x8.
    runner.act = untilCancelled
    await queue.pauseAll()
    const b = await add(queue, 'b', { steps: 10 })
    const c = await queue.add({ prompt: 'c', seed: '1', width: 16, height: 16, steps: 10 })
    const estimate = queue.estimate()
    expect(estimate.jobs.get(b.id)).toBeCloseTo(10)
    expect(estimate.jobs.get(c.id)).toBeCloseTo(40)
    expect(estimate.secondsLeft).toBeCloseTo(50)
    await queue.close()
    expect((await openQueue(options)).estimate().secondsLeft).toBeCloseTo(50)
  })
})

describe('after a crash (T3, G8)', () => {
  it('a job that was drawn comes back paused, the others queued', async () => {
    const { options, runner } = await place()
    runner.act = untilCancelled
    const queue = await openQueue(options)
    await add(queue, 'a')
    await add(queue, 'b')
    queue.start()
    await new Promise(resolve => setTimeout(resolve, 30))
    // Without closing: what is on the disk is what a crash leaves.
    const after = await openQueue({ ...options, runner: new Puppet() })
    expect(states(after)).toEqual(['a:paused', 'b:queued'])
    expect(after.jobs[0]?.problem).toMatchObject({ code: 'cancelled' })
    expect(after.notices?.join()).toContain('paused and can be resumed')
    const done = idle(after)
    after.start()
    await after.resume(after.jobs[0]?.id ?? '')
    await done
    await new Promise(resolve => setTimeout(resolve, 30))
    expect(states(after)).toEqual(['a:done', 'b:done'])
  })

  it('closing leaves the job paused as well', async () => {
    const { options, runner } = await place()
    runner.act = untilCancelled
    const queue = await openQueue(options)
    await add(queue, 'a')
    queue.start()
    await new Promise(resolve => setTimeout(resolve, 20))
    await queue.close()
    expect(states(await openQueue(options))).toEqual(['a:paused'])
  })

  it('between picture and journal: the picture counts, a torn one does not', async () => {
    const { options, output } = await place()
    const queue = await openQueue(options)
    await add(queue, 'a')
    await add(queue, 'b')
    const done = idle(queue)
    queue.start()
    await done
    await queue.close()
    const text = await readFile(options.file, 'utf8')
    // As if the process had ended before "done" was written.
    const lines = text
      .split('\n')
      .filter(line => !line.includes('"state":"done"') && !line.includes('timing'))
    await writeFile(options.file, `${lines.join('\n')}\n`)
    await writeFile(join(output, 'b.png'), png.subarray(0, 40))
    const after = await openQueue(options)
    expect(states(after)).toEqual(['a:done', 'b:paused'])
    expect(after.notices?.[0]).toContain('was found')
  })

  it('a journal cut at any byte is read as far as it goes', async () => {
    const { options, root } = await place()
    const queue = await openQueue(options)
    for (const prompt of ['a', 'b', 'c']) await add(queue, prompt)
    await queue.close()
    const whole = await readFile(options.file)
    await mkdir(join(root, 'cut'))
    for (let length = 0; length <= whole.length; length += 7) {
      const file = join(root, 'cut', `${length}.jsonl`)
      await writeFile(file, whole.subarray(0, length))
      const { queue: cut, notices } = await JobQueue.open({ ...options, file })
      const ends = whole.subarray(0, length).toString().split('\n').length - 1
      expect(cut.jobs.length).toBe(Math.max(0, Math.min(3, ends - 2)))
      expect(notices).toEqual([])
      await cut.close()
    }
  })

  it('a damaged line costs that line, and the file is kept', async () => {
    const { options, root } = await place()
    const queue = await openQueue(options)
    await add(queue, 'a')
    await queue.close()
    await appendFile(options.file, 'nonsense\n{"op":"add","job":{"id":"x"}}\n{"op":"unknown"}\n')
    const after = await openQueue(options)
    expect(states(after)).toEqual(['a:queued'])
    expect(after.notices?.join()).toContain('damaged')
    expect((await readdir(join(root, 'data'))).some(name => name.includes('.broken-'))).toBe(true)
    await add(after, 'b')
    await after.close()
    expect(states(await openQueue(options))).toEqual(['a:queued', 'b:queued'])
  })

  it('a newer journal is refused and left alone', async () => {
    const { options } = await place()
    await mkdir(join(options.file, '..'), { recursive: true })
    const content = '{"op":"header","format":"attune-jobs","version":99}\n'
    await writeFile(options.file, content)
    await expect(JobQueue.open(options)).rejects.toThrow('newer Attune')
    expect(await readFile(options.file, 'utf8')).toBe(content)
  })
})
