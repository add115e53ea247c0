import { describe, expect, it } from 'vitest'
import { parseCurve, readCurves } from '../../cli/curve-options.ts'
import { fakeEngine, recordOf, run, temporaryFolder } from './support.ts'
import { join } from 'node:path'

describe('--curve', () => {
  it('reads words, points and shape', () => {
    expect(parseCurve('car=0:1,0.5:1.6,1:0.8')).toEqual({
      phrase: 'car',
      keys: [
        { fraction: 0, weight: 1 },
        { fraction: 0.5, weight: 1.6 },
        { fraction: 1, weight: 0.8 },
      ],
      shape: 'linear',
    })
    expect(parseCurve(' red car = 0 : 2 , .4:-1 @ hold ')).toEqual({
      phrase: 'red car',
      keys: [
        { fraction: 0, weight: 2 },
        { fraction: 0.4, weight: -1 },
      ],
      shape: 'hold',
    })
    // Signs of equality and @ may be words.
    expect(parseCurve('a=b @x=1:2').phrase).toBe('a=b @x')
    // A jump: two points at one place.
    expect(parseCurve('car=0.5:1,0.5:2').keys).toHaveLength(2)
  })

  it('refuses more than a request holds', () => {
    const many = Array.from({ length: 65 }, (_, at) => `w${at}=0:1`)
    expect(() => readCurves(many)).toThrow('at most 64')
    expect(() => parseCurve(`x=${Array(1001).fill('0:1').join()}`)).toThrow('more than 1000 points')
    for (const text of ['x=0:1e9999', 'x=0:NaN', 'x=0:', 'x=0:1:2', 'x=', 'x=0:1@hold@hold']) {
      expect(() => parseCurve(text), text).toThrow(/^--curve/)
    }
  })

  it('is a part of the request and of the record, several times', async () => {
    const cwd = await temporaryFolder()
    const engine = fakeEngine()
    const curves = ['--curve', 'car=0:2@hold', '--curve', 'red=0:1,1:0']
    const { code } = await run(['generate', 'a red car', ...curves, '--out', 'p.png'], { cwd, engine })
    expect(code).toBe(0)
    const weightCurves = [
      { phrase: 'car', shape: 'hold', keys: [{ fraction: 0, weight: 2 }] },
      { phrase: 'red', shape: 'linear', keys: [{ weight: 1 }, { weight: 0 }] },
    ]
    expect(engine.jobs[0]?.request).toMatchObject({ weightCurves })
    expect((await recordOf(join(cwd, 'p.png'))).request).toMatchObject({ weightCurves })
  })

  it('finds its words in what a swap draws', async () => {
    const engine = fakeEngine()
    const cwd = await temporaryFolder()
    const prompt = ['generate', 'a cat.swap(dog)', '--dialect', 'compel']
    expect((await run([...prompt, '--curve', 'dog=0:2'], { cwd, engine })).code).toBe(0)
    expect((await run([...prompt, '--curve', 'cat=0:2'], { cwd, engine })).code).toBe(2)
  })
})
