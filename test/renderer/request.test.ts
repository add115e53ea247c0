/** The request's one history, and what of it reaches the engine. */
import { beforeEach, expect, test, vi } from 'vitest'
import { parseRequest } from '../../model/contract/request.ts'
import {
  dab,
  emptyMask,
  fromControlMask,
  isEmpty,
  stroke,
  toControlMask,
} from '../../renderer/features/stage/masks.ts'
import { sidesOf } from '../../renderer/engine/sizes.ts'
import {
  changeRequest,
  draft,
  emptyDraft,
  redoRequest,
  rememberSeed,
  requestInput,
  undoRequest,
  useRequest,
} from '../../renderer/state/request.ts'

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['performance'] })
  useRequest.setState({ draft: emptyDraft, past: [], future: [], seeds: [] })
})

test('quick changes of one kind are one step; another kind is another', () => {
  changeRequest({ prompt: 'a' }, 'prompt')
  changeRequest({ prompt: 'a c' }, 'prompt')
  changeRequest({ prompt: 'a cat' }, 'prompt')
  changeRequest({ steps: 20 }, 'steps')
  expect(undoRequest()).toBe(true)
  expect(draft()).toMatchObject({ prompt: 'a cat', steps: undefined })
  undoRequest()
  expect(draft().prompt).toBe('')
  expect(undoRequest()).toBe(false)
  redoRequest()
  redoRequest()
  expect(draft()).toMatchObject({ prompt: 'a cat', steps: 20 })
  expect(redoRequest()).toBe(false)
})

test('after a pause typing begins a new step', () => {
  changeRequest({ prompt: 'a' }, 'prompt')
  vi.advanceTimersByTime(2000)
  changeRequest({ prompt: 'a cat' }, 'prompt')
  undoRequest()
  expect(draft().prompt).toBe('a')
})

test('a change that changes nothing is no step; a new change ends what could be redone', () => {
  changeRequest({ prompt: '' })
  expect(useRequest.getState().past).toEqual([])
  changeRequest({ prompt: 'a' })
  undoRequest()
  changeRequest({ prompt: 'b' })
  expect(redoRequest()).toBe(false)
})

test('a remembered seed is no step of the history', () => {
  rememberSeed('5')
  rememberSeed('6')
  rememberSeed('5')
  expect(useRequest.getState()).toMatchObject({ seeds: ['5', '6'], past: [] })
})

test('the engine accepts what the window asks, and what is left open stays open', () => {
  const plain = requestInput({ ...emptyDraft, prompt: 'a cat' }, '7')
  expect(plain).not.toHaveProperty('steps')
  expect(plain).not.toHaveProperty('controls')
  expect(parseRequest(plain)).toMatchObject({ prompt: 'a cat', seed: '7', dialect: 'a1111' })

  const mask = emptyMask(256, 128)
  dab(mask, 0.5, 0.5, 0.2, false)
  const rect = { kind: 'rect', x: 0, y: 0, width: 0.5, height: 1 } as const
  const region = { mask: rect, weight: 1, feather: 0 }
  const window = { start: 0, end: 1 }
  const placed = requestInput(
    {
      ...emptyDraft,
      prompt: 'a cat',
      paint: [{ phrase: 'cat', mask: toControlMask(mask), strength: 3, law: 'constant', feather: 0, window }],
      regions: {
        baseWeight: 0.2,
        law: 'mix',
        window,
        regions: [
          { ...region, prompt: 'a dog' },
          { ...region, prompt: ' ' },
        ],
      },
    },
    '7',
  )
  const { controls } = parseRequest(placed)
  expect(controls?.paint).toHaveLength(1)
  expect(controls?.regions?.regions.map(({ prompt }) => prompt)).toEqual(['a dog'])
})

test('a painted mask survives the request', () => {
  const mask = emptyMask(300, 200)
  expect(isEmpty(mask)).toBe(true)
  stroke(mask, { x: 0.2, y: 0.5 }, { x: 0.8, y: 0.5 }, 0.1, false)
  const middle = Math.floor(mask.height / 2) * mask.width + Math.floor(mask.width / 2)
  expect(mask.data[middle]).toBeGreaterThan(200)
  expect(fromControlMask(toControlMask(mask), 300, 200).data).toEqual(mask.data)
  stroke(mask, { x: 0, y: 0.5 }, { x: 1, y: 0.5 }, 0.5, true)
  expect(mask.data[middle]).toBe(0)
})

test('shapes have the area of the model and lie on its grid', () => {
  expect(sidesOf(1, 256 * 256, 16)).toEqual({ width: 256, height: 256 })
  const wide = sidesOf(16 / 9, 512 * 512, 8)
  expect(wide.width % 8).toBe(0)
  expect(wide.width / wide.height).toBeCloseTo(16 / 9, 1)
})
