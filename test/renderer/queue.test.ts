/** The queue: requests with seeds and words of their own, the order of what waits, what is left to do. */
import { beforeEach, expect, test } from 'vitest'
import type { HostJob } from '../../model/contract/host-api.ts'
import { generateRequestSchema } from '../../model/contract/request.ts'
import { recordedTemplate } from '../../renderer/features/queue/expand-request.ts'
import {
  isPending,
  moveJob,
  requestsOf,
  secondsLeft,
  useQueue,
} from '../../renderer/features/queue/queue-state.ts'
import { connectMemoryHost } from '../../renderer/host/client.ts'
import { emptyDraft } from '../../renderer/state/request.ts'

const job = (id: string, state: HostJob['state'], left?: number): HostJob => ({
  id,
  request: generateRequestSchema.parse({ prompt: id, seed: '1' }),
  state,
  added: '',
  ...(left !== undefined && { secondsLeft: left }),
})
const order = () => useQueue.getState().jobs.map(({ id }) => id)

beforeEach(() => {
  Object.defineProperty(globalThis, 'navigator', { value: { platform: 'test' }, configurable: true })
  connectMemoryHost()
})

test('a batch counts its seeds up, past the last one, and draws its words by them', () => {
  const asked = { ...emptyDraft, prompt: '{a|b|c|d|e}', count: 12 }
  const requests = requestsOf(asked, '18446744073709551610')
  expect(requests.map(({ seed }) => seed).slice(4, 8)).toEqual([
    '18446744073709551614',
    '18446744073709551615',
    '0',
    '1',
  ])
  expect(new Set(requests.map(({ prompt }) => prompt)).size).toBeGreaterThan(2)
  expect(requests.every(({ prompt }) => /^[a-e]$/.test(prompt))).toBe(true)
  expect(requestsOf(asked, '18446744073709551610')).toEqual(requests)
})

test('what waits moves among what waits', () => {
  const jobs = [
    job('r', 'running'),
    job('a', 'queued'),
    job('b', 'paused'),
    job('c', 'queued'),
    job('d', 'done'),
  ]
  useQueue.setState({ jobs })
  moveJob('b', -1)
  expect(order()).toEqual(['r', 'b', 'a', 'c', 'd'])
  moveJob('b', -1)
  expect(order()).toEqual(['r', 'b', 'a', 'c', 'd'])
  moveJob('b', 1)
  expect(order()).toEqual(['r', 'a', 'b', 'c', 'd'])
})

test('the time that is left counts what waits, where it is known', () => {
  expect(secondsLeft([job('a', 'queued', 5), job('b', 'running', 2), job('c', 'done', 9)])).toBe(7)
  expect(secondsLeft([job('a', 'queued')])).toBeUndefined()
  expect(isPending(job('a', 'cancelled'))).toBe(false)
})

test('a record keeps the template where words were drawn', () => {
  const draft = { ...emptyDraft, prompt: 'a {red|blue} car' }
  expect(recordedTemplate(draft, { prompt: 'a red car', negativePrompt: '' })).toEqual({
    template: { prompt: 'a {red|blue} car', negativePrompt: '' },
  })
  expect(recordedTemplate(draft, draft)).toEqual({})
})
