/** The plot: its axes, and the jobs of the one that was begun last with their pictures. */
import { create } from 'zustand'
import { callHost } from '../../host/client.ts'
import { drawInputsOf } from '../../state/inputs.ts'
import { draft, randomSeed } from '../../state/request.ts'
import { reportError } from '../../state/ui.ts'
import { recordedTemplate, requestOf, tellProblems } from '../queue/expand-request.ts'
import { addJobs, isPending, useQueue } from '../queue/queue-state.ts'
import { type Axis, type AxisProblem, combinationsOf, mostPictures, readAxis, type ReadAxis } from './axes.ts'

export type AxisName = 'x' | 'y' | 'z'
export const axisNames: readonly AxisName[] = ['x', 'y', 'z']

export interface PlotCell {
  readonly x: number
  readonly y: number
  readonly z: number
  readonly job: string
}

export interface Plot {
  readonly prompt: string
  /** What each axis varies and the labels of its values; empty where it varies nothing. */
  readonly axes: Readonly<
    Record<AxisName, { readonly axis: Axis | undefined; readonly labels: readonly string[] }>
  >
  readonly width: number | undefined
  readonly height: number | undefined
  readonly cells: readonly PlotCell[]
}

interface PlotState {
  readonly axes: Readonly<Record<AxisName, Axis | undefined>>
  readonly plot: Plot | undefined
  readonly table: number
  /** By job: they stay when the queue is cleared. */
  readonly pictures: Readonly<Record<string, number>>
  readonly isStarting: boolean
}

export const usePlot = create<PlotState>(() => ({
  axes: { x: { kind: 'seed', values: '1..4' }, y: { kind: 'guidance', values: '2, 4, 7' }, z: undefined },
  plot: undefined,
  table: 0,
  pictures: {},
  isStarting: false,
}))

export function setAxis(name: AxisName, axis: Axis | undefined): void {
  usePlot.setState(({ axes }) => ({ axes: { ...axes, [name]: axis } }))
}

export type PlotProblem = AxisProblem | { readonly kind: 'repeated' }

/** The axes as values, for what Create shows; problems by axis. */
export function readAxes(axes: PlotState['axes']): {
  readonly read: Readonly<Partial<Record<AxisName, ReadAxis>>>
  readonly problems: Readonly<Partial<Record<AxisName, PlotProblem>>>
  readonly count: number
} {
  const read: Partial<Record<AxisName, ReadAxis>> = {}
  const problems: Partial<Record<AxisName, PlotProblem>> = {}
  const seen = new Set<string>()
  let count = 1
  for (const name of axisNames) {
    const axis = axes[name]
    if (!axis) continue
    const result = readAxis(axis, draft(), randomSeed)
    read[name] = result
    // Weights of two words, or two replacements, are two settings.
    const key = axis.kind === 'weight' ? `weight ${axis.word}` : axis.kind
    if (axis.kind !== 'replace' && seen.has(key)) problems[name] = { kind: 'repeated' }
    else if ('problem' in result) problems[name] = result.problem
    else count *= result.values.length
    seen.add(key)
  }
  return { read, problems, count: Object.keys(read).length === 0 ? 0 : count }
}

/** Puts every combination into the queue. */
export async function startPlot(): Promise<void> {
  const { axes, isStarting } = usePlot.getState()
  const { read, problems, count } = readAxes(axes)
  if (isStarting || count === 0 || count > mostPictures || Object.keys(problems).length > 0) return
  const asked = draft()
  // One seed for all, unless it varies: only what varies may differ.
  const base = { ...asked, seed: asked.seedLocked ? asked.seed : randomSeed(), count: 1 }
  const values = (name: AxisName) => {
    const found = read[name]
    return found && 'values' in found ? found.values : []
  }
  const combinations = combinationsOf(base, [values('x'), values('y'), values('z')])
  const expanded = combinations.map(each => requestOf(each.draft, each.draft.seed))
  tellProblems(expanded[0]?.problems ?? [])
  usePlot.setState({ isStarting: true })
  const inputs = await drawInputsOf(asked).catch(reportError)
  const jobs = await addJobs(
    expanded.map(({ input }, at) => ({
      ...input,
      ...recordedTemplate(combinations[at]?.draft ?? base, input),
      ...(inputs && { inputs }),
    })),
  )
  usePlot.setState({ isStarting: false })
  if (!jobs) return
  const labels = (name: AxisName) => ({ axis: axes[name], labels: values(name).map(({ label }) => label) })
  usePlot.setState({
    plot: {
      prompt: asked.prompt,
      axes: { x: labels('x'), y: labels('y'), z: labels('z') },
      width: asked.width,
      height: asked.height,
      cells: combinations.map(({ x, y, z }, at) => ({ x, y, z, job: jobs[at]?.id ?? '' })),
    },
    table: 0,
    pictures: {},
  })
}

const look = () => {
  const { plot, pictures } = usePlot.getState()
  if (!plot) return
  const mine = new Set(plot.cells.map(({ job }) => job))
  const found = useQueue.getState().jobs.filter(({ id, picture }) => mine.has(id) && picture !== undefined)
  if (found.some(({ id }) => pictures[id] === undefined)) {
    usePlot.setState({
      pictures: {
        ...pictures,
        ...Object.fromEntries(found.map(({ id, picture }) => [id, picture as number])),
      },
    })
  }
}

/** Remembers pictures as their jobs end. @returns ends it */
export function followPlot(): () => void {
  look()
  return useQueue.subscribe(look)
}

export async function stopPlot(): Promise<void> {
  const mine = new Set(usePlot.getState().plot?.cells.map(({ job }) => job))
  const waiting = useQueue.getState().jobs.filter(job => mine.has(job.id) && isPending(job))
  await Promise.all(waiting.map(({ id }) => callHost('jobs.cancel', { id }))).catch(reportError)
}

export function clearPlot(): void {
  usePlot.setState({ plot: undefined, pictures: {} })
}
