/** Whether a model fits the machine: said before it is opened, and never guessed where nothing is known. */
import { expect, test } from 'vitest'
import type { HostModel } from '../../model/contract/host-api.ts'
import { fitOf, needOf } from '../../renderer/features/models/library-state.ts'

const model: HostModel = {
  id: '/m',
  name: 'm',
  family: 'Stable Diffusion 1.x',
  bytes: 2e9,
  usable: true,
  problems: [],
  embedded: false,
  memory: 2e9,
}

test('fits, is tight, does not fit', () => {
  expect(needOf(model)).toBe(4e9)
  expect(fitOf(model, 16e9)).toBe('fits')
  expect(fitOf(model, 5e9)).toBe('tight')
  expect(fitOf(model, 3e9)).toBe('not')
})

test('unknown stays unknown', () => {
  const { memory: _memory, ...unknown } = model
  expect(needOf(unknown)).toBeUndefined()
  expect(fitOf(unknown, 16e9)).toBe('unknown')
  expect(fitOf(model, 0)).toBe('unknown')
})

test('the embedded model needs little beside its weights', () => {
  expect(needOf({ ...model, embedded: true, memory: 4e7 })).toBeLessThan(3e8)
})
