/** Moving what happens at a step: the text that is written, read again by the prompt's own parser. */
import { describe, expect, test } from 'vitest'
import { isInWindow } from '../../model/contract/controls.ts'
import { eventsOf, moveSwap, moveSwitch, windowShare, windowStep } from '../../renderer/engine/timeline.ts'

describe('a schedule', () => {
  // Which text holds at call c of n, as A1111 has it: `model/prompt/timeline.ts`, checked there against A1111's own.
  test.each([
    ['[dog:cat:0.5] on grass', 12, 7],
    ['[dog:cat:6] on grass', 12, 7],
    ['a [big:0.25] dog', 20, 6],
    ['a [big::0.25] dog', 20, 6],
  ])('%s of %d calls holds for %d', (text, calls, expected) => {
    expect(eventsOf(text, 'a1111', calls)[0]).toMatchObject({ kind: 'switch', calls: expected })
  })

  test('moved to every call of runs of many lengths, it is read back as that call', () => {
    for (const calls of [2, 4, 7, 12, 20, 49, 50, 150]) {
      for (const text of ['[dog:cat:0.5] x', '[dog:cat:3] x', '[a [b:c:0.3] d:e:0.9]']) {
        const event = eventsOf(text, 'a1111', calls)[0]
        if (event?.kind !== 'switch') throw new Error('no switch')
        for (const count of [0, ...Array.from({ length: calls - 1 }, (_, at) => at + 2)]) {
          const moved = moveSwitch(text, event, count, calls)
          const again = eventsOf(moved, 'a1111', calls)[0]
          expect(again, `${moved} of ${calls}`).toMatchObject({
            calls: Math.min(calls, count),
            hasPoint: event.hasPoint,
          })
        }
      }
    }
  })

  test('numbers stay short, and only the number changes', () => {
    const text = 'a (red:1.2) [dog:cat:0.5], grass'
    const event = eventsOf(text, 'a1111', 12)[0]
    if (event?.kind !== 'switch') throw new Error('no switch')
    expect(moveSwitch(text, event, 6, 12)).toBe('a (red:1.2) [dog:cat:0.42], grass')
    expect(moveSwitch(text, event, 4, 12)).toBe('a (red:1.2) [dog:cat:0.3], grass')
  })

  test('nested ones and alternations are found in the order of the text; other dialects have none', () => {
    const found = eventsOf('[a:[b:c:0.7]:0.2] and [red|blue]', 'a1111', 10)
    expect(found.map(({ kind }) => kind)).toEqual(['switch', 'switch', 'alternate'])
    expect(found[0]).toMatchObject({ before: 'a', after: '[b:c:0.7]' })
    expect(found[2]).toMatchObject({ options: ['red', 'blue'] })
    expect(eventsOf('[a:b:0.5]', 'plain', 10)).toEqual([])
  })
})

describe('a swap', () => {
  test('its borders are added and replaced', () => {
    const text = 'a cat.swap(dog) on grass'
    const [event] = eventsOf(text, 'compel', 10)
    // compel's own defaults: words from a fifth of the run on, the layout not at all.
    expect(event).toMatchObject({
      kind: 'swap',
      before: 'cat',
      after: 'dog',
      tStart: 0.2,
      tEnd: 1,
      sStart: 0,
      sEnd: 0,
    })
    if (event?.kind !== 'swap') throw new Error('no swap')
    const once = moveSwap(text, event, 't_end', 0.6)
    expect(once).toBe('a cat.swap(dog, t_end=0.6) on grass')
    const [again] = eventsOf(once, 'compel', 10)
    if (again?.kind !== 'swap') throw new Error('no swap')
    expect(again.tEnd).toBe(0.6)
    expect(moveSwap(once, again, 't_end', 0.8)).toBe('a cat.swap(dog, t_end=0.8) on grass')
  })
})

test('a window that begins before a call lets exactly the calls from it on act', () => {
  for (const calls of [1, 3, 7, 12, 49, 50, 150, 1000]) {
    for (let step = 0; step <= calls; step++) {
      const start = windowShare(step, calls)
      expect(windowStep(start, calls)).toBe(step)
      const acting = Array.from({ length: calls }, (_, call) => isInWindow({ start, end: 1 }, call, calls))
      expect(acting.indexOf(true)).toBe(step === calls ? -1 : step)
    }
  }
})
