/** Where the window was: read, checked, and brought back onto a screen that exists. No Electron here. */
import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { writeFileAtomic } from '../host/write.ts'

/** The smallest window in which everything can be reached. */
export const smallestWindow = { width: 1024, height: 640 } as const
const usualWindow = { width: 1440, height: 900 } as const
/** Of a window's bar this much must be on a screen, so that it can be taken hold of. */
const grip = { width: 120, height: 32 } as const

const side = z.int().min(1).max(100_000)
const position = z.int().min(-100_000).max(100_000)
const stateSchema = z.object({
  version: z.literal(1),
  bounds: z.object({ x: position, y: position, width: side, height: side }),
  maximized: z.boolean(),
  fullScreen: z.boolean(),
})

export type WindowState = z.output<typeof stateSchema>

export interface Area {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

/** @returns undefined where there is none, or one that cannot be understood: the window opens as the first time */
export function readWindowState(path: string): WindowState | undefined {
  try {
    // Before the first window, so that it opens in its place instead of jumping there.
    return stateSchema.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch {
    return undefined
  }
}

/** Never throws: a window that forgets its place is no reason to stop quitting. */
export async function writeWindowState(path: string, state: WindowState): Promise<void> {
  const text = `${JSON.stringify(stateSchema.parse(state))}\n`
  await writeFileAtomic(path, new TextEncoder().encode(text), { overwrite: true }).catch((error: unknown) => {
    console.warn('the place of the window was not kept:', error)
  })
}

/**
 * The bounds in which to open: as they were if their bar is on one of the screens (one may have been unplugged), else
 * in the middle of the first; never larger than the screen.
 * @param screens the areas of all screens that windows may use, the main one first
 */
export function placeWindow(state: WindowState | undefined, screens: readonly Area[]): Area {
  const first = screens[0] ?? { x: 0, y: 0, ...usualWindow }
  const wanted = state && {
    ...state.bounds,
    width: Math.max(state.bounds.width, smallestWindow.width),
    height: Math.max(state.bounds.height, smallestWindow.height),
  }
  const home = wanted && screens.find(screen => holdsBar(screen, wanted))
  const screen = home ?? first
  const width = clampSide(wanted?.width ?? usualWindow.width, smallestWindow.width, screen.width)
  const height = clampSide(wanted?.height ?? usualWindow.height, smallestWindow.height, screen.height)
  if (home && wanted) return { x: wanted.x, y: wanted.y, width, height }
  return {
    x: screen.x + Math.round((screen.width - width) / 2),
    y: screen.y + Math.round((screen.height - height) / 2),
    width,
    height,
  }
}

function clampSide(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, Math.min(least, most)), most)
}

function holdsBar(screen: Area, window: Area): boolean {
  const across = Math.min(screen.x + screen.width, window.x + window.width) - Math.max(screen.x, window.x)
  const barInside = window.y >= screen.y && window.y + grip.height <= screen.y + screen.height
  return across >= grip.width && barInside
}
