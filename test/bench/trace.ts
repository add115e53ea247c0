/** Reads Chromium's traces: tasks of a page's main thread, what they consist of, and which functions they ran. */
export interface TraceEvent {
  readonly name: string
  readonly ph: string
  readonly pid: number
  readonly tid: number
  /** Microseconds. */
  readonly ts: number
  readonly dur?: number
  /** Processor time, where the system tells. */
  readonly tdur?: number
  readonly id?: string
  readonly args?: Readonly<Record<string, unknown>>
}

export interface Task {
  /** Microseconds. */
  readonly from: number
  readonly to: number
  /** Milliseconds. */
  readonly wall: number
  readonly cpu: number
  /** The outermost named events inside, longest first, in milliseconds. */
  readonly parts: readonly { readonly name: string; readonly wall: number }[]
}

const taskNames = new Set(['RunTask', 'ThreadControllerImpl::RunTask', 'ThreadPool_RunTask'])
/** Wrappers that say nothing. */
const shells = new Set([
  ...taskNames,
  'ThreadController active',
  'SimpleWatcher::OnHandleReady',
  'BlinkScheduler_OnTaskCompleted',
])

/** The thread of the page that ran the most: others are of the browser and of other pages. */
function mainThread(trace: readonly TraceEvent[]): { pid: number; tid: number } | undefined {
  const mains = trace.filter(
    ({ name, args }) => name === 'thread_name' && args?.['name'] === 'CrRendererMain',
  )
  const busy = (pid: number, tid: number) =>
    trace.filter(event => event.pid === pid && event.tid === tid && event.name === 'FunctionCall').length
  return mains
    .map(({ pid, tid }) => ({ pid, tid, count: busy(pid, tid) }))
    .toSorted((a, b) => b.count - a.count)[0]
}

/** Every task of the page's main thread. */
export function mainThreadTasks(trace: readonly TraceEvent[]): Task[] {
  const main = mainThread(trace)
  if (!main) return []
  const events = trace
    .filter(({ pid, tid, ph }) => ph === 'X' && pid === main.pid && tid === main.tid)
    .toSorted((a, b) => a.ts - b.ts || (b.dur ?? 0) - (a.dur ?? 0))
  const tasks: Task[] = []
  for (let at = 0; at < events.length; at++) {
    const event = events[at] as TraceEvent
    const last = tasks.at(-1)
    if (!taskNames.has(event.name) || (last && event.ts < last.to)) continue
    const to = event.ts + (event.dur ?? 0)
    const parts = new Map<string, number>()
    let end = event.ts
    for (let inner = at + 1; inner < events.length; inner++) {
      const part = events[inner] as TraceEvent
      if (part.ts >= to) break
      if (shells.has(part.name) || part.ts < end) continue
      end = part.ts + (part.dur ?? 0)
      parts.set(part.name, (parts.get(part.name) ?? 0) + (part.dur ?? 0) / 1000)
    }
    tasks.push({
      from: event.ts,
      to,
      wall: (event.dur ?? 0) / 1000,
      cpu: (event.tdur ?? event.dur ?? 0) / 1000,
      parts: [...parts].map(([name, wall]) => ({ name, wall })).toSorted((a, b) => b.wall - a.wall),
    })
  }
  return tasks
}

interface ProfileNode {
  readonly id: number
  readonly parent?: number
  readonly callFrame: { readonly functionName: string; readonly url?: string; readonly lineNumber?: number }
}

/** Functions by their own time inside the given tasks, by samples. */
export function hotFunctions(
  trace: readonly TraceEvent[],
  tasks: readonly Task[],
): { function: string; 'self ms': number }[] {
  const main = mainThread(trace)
  const profile = trace.find(
    ({ name, pid, tid }) => name === 'Profile' && pid === main?.pid && tid === main.tid,
  )
  if (!profile) return []
  const nodes = new Map<number, ProfileNode>()
  const self = new Map<string, number>()
  let time = Number((profile.args?.['data'] as { startTime?: number } | undefined)?.startTime ?? profile.ts)
  const inTask = (at: number): boolean => tasks.some(({ from, to }) => at >= from && at <= to)
  const chunks = trace
    .filter(({ name, pid, id }) => name === 'ProfileChunk' && pid === profile.pid && id === profile.id)
    .toSorted((a, b) => a.ts - b.ts)
  for (const chunk of chunks) {
    const data = chunk.args?.['data'] as {
      cpuProfile?: { nodes?: ProfileNode[]; samples?: number[] }
      timeDeltas?: number[]
    }
    for (const node of data.cpuProfile?.nodes ?? []) nodes.set(node.id, node)
    data.cpuProfile?.samples?.forEach((id, at) => {
      const delta = data.timeDeltas?.[at] ?? 0
      time += delta
      const frame = nodes.get(id)?.callFrame
      if (!frame || frame.functionName === '(idle)' || !inTask(time)) return
      const where = (frame.url ?? '').split('/').at(-1) ?? ''
      const name = `${frame.functionName || '(anonymous)'} ${where}:${(frame.lineNumber ?? 0) + 1}`
      self.set(name, (self.get(name) ?? 0) + delta / 1000)
    })
  }
  return [...self]
    .map(([name, milliseconds]) => ({ function: name, 'self ms': Math.round(milliseconds * 10) / 10 }))
    .toSorted((a, b) => b['self ms'] - a['self ms'])
}
