/** The queue as the host keeps it, and what is done with its jobs. The host draws them; this window shows and steers. */
import { create } from 'zustand'
import type { HostJob, QueuedRequest } from '../../../model/contract/host-api.ts'
import type { DrawInputs } from '../../../model/contract/inputs.ts'
import { callHost, host } from '../../host/client.ts'
import { draft, randomSeed, type RequestDraft } from '../../state/request.ts'
import { drawInputsOf } from '../../state/inputs.ts'
import { settings } from '../../state/settings.ts'
import { announce, reportError, tell } from '../../state/ui.ts'
import { strings } from '../../strings/index.ts'
import { recordedTemplate, requestOf, tellProblems } from './expand-request.ts'
import type { WildcardProblem } from './wildcards.ts'

interface QueueState {
  readonly jobs: readonly HostJob[]
  readonly paused: boolean
  readonly isOpen: boolean
}

export const useQueue = create<QueueState>(() => ({ jobs: [], paused: false, isOpen: false }))

export function isPending({ state }: HostJob): boolean {
  return state === 'queued' || state === 'running' || state === 'paused'
}

let loading: Promise<void> | undefined
let again = false

/** One question at a time; what changes meanwhile is asked for once more. */
export function loadQueue(): Promise<void> {
  if (loading) {
    again = true
    return loading
  }
  loading = callHost('jobs.list')
    .then(({ jobs, paused }) => useQueue.setState({ jobs, paused }))
    // A host without a queue has an empty one; its own screen says what it cannot do.
    .catch(() => undefined)
    .finally(() => {
      loading = undefined
      if (!again) return
      again = false
      void loadQueue()
    })
  return loading
}

/** Follows the host's queue from now on. @returns ends it */
export function followQueue(): () => void {
  void loadQueue()
  return host().subscribe(event => {
    if (event.type === 'jobs') void loadQueue()
    if (event.type !== 'job') return
    useQueue.setState(({ jobs }) => ({
      jobs: jobs.map(job =>
        job.id === event.id ? { ...job, state: 'running', progress: event.progress } : job,
      ),
    }))
  })
}

/** @returns the jobs in the order of the requests; undefined when the host refused */
export async function addJobs(requests: QueuedRequest[]): Promise<readonly HostJob[] | undefined> {
  try {
    const { model } = settings()
    const jobs: HostJob[] = []
    // The contract takes a thousand at a time.
    for (let at = 0; at < requests.length; at += 1000) {
      const part = requests.slice(at, at + 1000)
      jobs.push(...(await callHost('jobs.add', { requests: part, ...(model !== null && { model }) })).jobs)
    }
    void loadQueue()
    return jobs
  } catch (error) {
    reportError(error)
    return undefined
  }
}

/** The requests of a draft: as many as it asks for, each with a seed and, by it, with words of its own. */
export function requestsOf(of: RequestDraft, firstSeed: string, inputs?: DrawInputs): QueuedRequest[] {
  const requests: QueuedRequest[] = []
  const problems = new Map<string, WildcardProblem>()
  let seed = BigInt(firstSeed)
  for (let at = 0; at < of.count; at++) {
    const text = seed.toString()
    const { input, problems: found } = requestOf(of, text)
    for (const problem of found) problems.set(JSON.stringify(problem), problem)
    requests.push({ ...input, ...recordedTemplate(of, input), ...(inputs && { inputs }) })
    seed = (seed + 1n) % 2n ** 64n
  }
  tellProblems([...problems.values()])
  return requests
}

/** Puts what Create shows into the queue. */
export async function queueDraft(): Promise<void> {
  const asked = draft()
  const { queue } = strings()
  if (asked.prompt.trim() === '' && asked.regions === undefined)
    return tell({ tone: 'info', text: queue.noPrompt })
  const seed = asked.seedLocked ? asked.seed : randomSeed()
  const inputs = await drawInputsOf(asked).catch((error: unknown) => {
    reportError(error)
    return null
  })
  // Without its pictures it would be another drawing.
  if (inputs === null) return
  const jobs = await addJobs(requestsOf(asked, seed, inputs))
  if (jobs)
    tell({ tone: 'good', text: queue.added(jobs.length), action: { label: queue.title, run: openQueue } })
}

export function openQueue(): void {
  useQueue.setState({ isOpen: true })
}

export function toggleQueue(): void {
  useQueue.setState(({ isOpen }) => ({ isOpen: !isOpen }))
}

async function ask(question: Promise<unknown>): Promise<void> {
  await question.catch(reportError)
  await loadQueue()
}

export const pauseAll = (): Promise<void> => ask(callHost('jobs.pause', {}))
export const resumeAll = (): Promise<void> => ask(callHost('jobs.resume', {}))
export const pauseJob = (id: string): Promise<void> => ask(callHost('jobs.pause', { id }))
export const resumeJob = (id: string): Promise<void> => ask(callHost('jobs.resume', { id }))
export const cancelJob = (id: string): Promise<void> => ask(callHost('jobs.cancel', { id }))
export const removeJob = (id: string): Promise<void> => ask(callHost('jobs.remove', { id }))
/** All that have ended. */
export const clearEnded = (): Promise<void> => ask(callHost('jobs.remove', {}))

/** Puts the same request at the end again. */
export async function retryJob({ id, request, template, inputs, model }: HostJob): Promise<void> {
  await ask(
    callHost('jobs.add', {
      requests: [{ ...request, ...(template && { template }), ...(inputs && { inputs }) }],
      ...(model !== undefined && { model }),
    }).then(() => callHost('jobs.remove', { id })),
  )
}

/** Where a job may stand: among those that wait, behind the one that is drawn. */
export function moveJob(id: string, by: number): void {
  const { jobs } = useQueue.getState()
  const waiting = jobs.filter(({ state }) => state === 'queued' || state === 'paused')
  const at = waiting.findIndex(job => job.id === id)
  const to = at + by
  if (at < 0 || to < 0 || to >= waiting.length) return
  // Before the one that stands there; going down, before the one behind it.
  placeJob(id, waiting[by > 0 ? to + 1 : to]?.id)
  announce(strings().queue.moved(to + 1, waiting.length))
}

/** @param before the job that it comes before; at the end without */
export function placeJob(id: string, before: string | undefined): void {
  if (id === before) return
  const { jobs } = useQueue.getState()
  const moved = jobs.find(job => job.id === id)
  if (!moved) return
  const rest = jobs.filter(job => job.id !== id)
  const at = before === undefined ? rest.length : rest.findIndex(job => job.id === before)
  useQueue.setState({ jobs: rest.toSpliced(at < 0 ? rest.length : at, 0, moved) })
  void ask(callHost('jobs.reorder', { id, ...(before !== undefined && { before }) }))
}

/** Of all that wait, where the host can tell. */
export function secondsLeft(jobs: readonly HostJob[]): number | undefined {
  const known = jobs.filter(isPending).flatMap(({ secondsLeft: left }) => (left === undefined ? [] : [left]))
  return known.length > 0 ? known.reduce((sum, left) => sum + left, 0) : undefined
}
