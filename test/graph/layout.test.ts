/** Views, in-place concatenation and the memory plan, on graphs small enough to check by hand. */
import { describe, expect, it } from 'vitest'
import { GraphBuilder } from '../../model/graph/builder.ts'
import { layOut } from '../../model/graph/layout.ts'
import { type Block, planMemory } from '../../model/graph/memory-plan.ts'
import { randomWeight } from '../support/gpu.ts'

const weight = (n: number, k: number, seed: number) => randomWeight(`w${seed}`, [n, k], seed)

describe('layOut', () => {
  it('lets the makers of the parts of a concatenation write in place', () => {
    const b = new GraphBuilder('g')
    const x = b.input('x', [1, 3, 8])
    const left = b.linear('left', x, weight(12, 8, 1), null)
    const right = b.linear('right', x, weight(20, 8, 2), null)
    const joined = b.concat('joined', [left, right])
    b.output('y', b.linear('out', joined, weight(4, 32, 3), null))
    const { placements } = layOut(b.build())
    const [l, r, j] = [left, right, joined].map(tensor => placements.get(tensor.id))
    expect(l?.root).toBe(j?.root)
    expect(r?.root).toBe(j?.root)
    expect([l?.offset, r?.offset]).toEqual([0, 12])
  })

  it('copies parts that are inputs, that start inside a vec4, or that were placed already', () => {
    const b = new GraphBuilder('g')
    const x = b.input('x', [1, 3, 8])
    const odd = b.linear('odd', x, weight(6, 8, 1), null)
    const after = b.linear('after', x, weight(8, 8, 2), null)
    const joined = b.concat('joined', [x, odd, after, after])
    b.output('y', b.linear('out', joined, weight(4, 30, 3), null))
    const { placements } = layOut(b.build())
    const root = placements.get(joined.id)?.root
    expect(placements.get(x.id)?.root.kind).toBe('input')
    // 8 columns in, six wide: whole vec4s do not hold it, so it may not zero what follows.
    expect(placements.get(odd.id)?.root).not.toBe(root)
    expect(placements.get(after.id)?.root).not.toBe(root)
  })

  it('makes aligned slices and reshapes views, and others not', () => {
    const b = new GraphBuilder('g')
    const x = b.linear('x', b.input('in', [1, 4, 8]), weight(24, 8, 1), null)
    const good = b.slice('good', x, 8, 8)
    const bad = b.slice('bad', x, 6, 8)
    const reshaped = b.reshape('reshaped', good, [2, 2, 8])
    b.output('a', b.silu('a', reshaped))
    b.output('b', b.silu('b', bad))
    const { placements } = layOut(b.build())
    expect(placements.get(good.id)).toMatchObject({ root: placements.get(x.id)?.root, offset: 8 })
    expect(placements.get(reshaped.id)).toMatchObject({ root: placements.get(x.id)?.root, offset: 8 })
    expect(placements.get(bad.id)?.root).not.toBe(placements.get(x.id)?.root)
  })
})

const block = (key: string, byteLength: number, first: number, last: number): Block<string> => ({
  key,
  byteLength,
  first,
  last,
})

describe('planMemory', () => {
  const options = { alignment: 256, chunkBytes: 2 ** 20, reuse: true }
  it('gives memory again to what is born later', () => {
    const plan = planMemory([block('a', 1000, 0, 1), block('b', 500, 1, 2), block('c', 1000, 2, 3)], options)
    expect(plan.offsets.get('a')).toBe(plan.offsets.get('c'))
    expect(plan.byteLength).toBe(1024 + 512)
    expect(plan.byteLength).toBe(plan.lowerBound)
  })

  it('never overlaps two blocks that are alive together, in 300 seeded plans', () => {
    let state = 1
    const next = (limit: number): number => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0
      return state % limit
    }
    for (let round = 0; round < 300; round++) {
      const blocks = Array.from({ length: 12 }, (_, i) => {
        const first = next(20)
        return block(`${i}`, 1 + next(5000), first, first + next(6))
      })
      const plan = planMemory(blocks, { ...options, chunkBytes: 8192 })
      for (const a of blocks) {
        const at = plan.offsets.get(a.key) as number
        expect(at % 256).toBe(0)
        expect(Math.floor(at / 8192)).toBe(Math.floor((at + a.byteLength - 1) / 8192))
        for (const b of blocks) {
          if (a === b || a.last < b.first || b.last < a.first) continue
          const other = plan.offsets.get(b.key) as number
          expect(at + a.byteLength <= other || other + b.byteLength <= at).toBe(true)
        }
      }
      expect(plan.byteLength).toBeGreaterThanOrEqual(plan.lowerBound)
    }
  })

  it('gives every block its own memory when reuse is off', () => {
    const plan = planMemory([block('a', 256, 0, 0), block('b', 256, 5, 5)], { ...options, reuse: false })
    expect(plan.byteLength).toBe(512)
  })

  it('refuses a block that no buffer can hold, with numbers', () => {
    expect(() => planMemory([block('a', 2 ** 21, 0, 0)], options)).toThrow(/2 MiB.*1 MiB/)
  })
})
