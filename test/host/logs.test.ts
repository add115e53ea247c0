import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { Log, type LogOptions } from '../../host/logs/log.ts'
import { AttuneError } from '../../model/contract/errors.ts'
import { temporaryFolder } from '../cli/support.ts'

const now = () => new Date(Date.UTC(2026, 10, 25))

async function place(more: Partial<LogOptions> = {}) {
  const folder = join(await temporaryFolder(), 'logs')
  const log = new Log({ folder, now, ...more })
  const lines = async () =>
    (await readFile(log.path, 'utf8'))
      .trimEnd()
      .split('\n')
      .map(line => JSON.parse(line) as Record<string, unknown>)
  return { folder, log, lines }
}

describe('logs', () => {
  it('are JSON lines in the order of events', async () => {
    const { log, lines } = await place()
    for (let i = 0; i < 300; i++) log.info('step', { i })
    log.debug('not at this level')
    await log.flush()
    const found = await lines()
    expect(found.map(line => line['i'])).toEqual(Array.from({ length: 300 }, (_, i) => i))
    expect(found[0]).toEqual({ time: '2026-11-25T00:00:00.000Z', level: 'info', event: 'step', i: 0 })
    expect((await stat(log.path)).mode & 0o077).toBe(0)
  })

  it('rotate by size and keep so many files', async () => {
    const { log, folder } = await place({ maxBytes: 2_000, maxFiles: 3 })
    for (let i = 0; i < 200; i++) {
      log.info('event', { number: i, filler: 'x'.repeat(50) })
      if (i % 10 === 0) await log.flush()
    }
    await log.flush()
    expect((await readdir(folder)).sort()).toEqual(['attune.1.log', 'attune.2.log', 'attune.log'])
    let last = Number.POSITIVE_INFINITY
    for (const name of ['attune.log', 'attune.1.log', 'attune.2.log']) {
      const text = await readFile(join(folder, name), 'utf8')
      expect(text.length).toBeLessThanOrEqual(2_000)
      const numbers = text
        .trimEnd()
        .split('\n')
        .map(line => (JSON.parse(line) as { number: number }).number)
      expect(numbers.at(-1)).toBeLessThan(last)
      last = numbers[0] ?? 0
    }
    // A new start goes on with the same files.
    const again = new Log({ folder, maxBytes: 2_000, maxFiles: 3, now })
    again.info('restart')
    await again.flush()
    expect(await readFile(again.path, 'utf8')).toContain('restart')
    expect((await stat(again.path)).size).toBeLessThanOrEqual(2_000)
  })

  it('hold no prompts unless they are allowed', async () => {
    let isAllowed = false
    const { log, lines } = await place({ allowPrompts: () => isAllowed })
    const fields = {
      request: { prompt: 'my secret garden', negativePrompt: 'rain', steps: 20 },
      jobs: [{ request: { prompt: 'second' } }],
      words: ['garden'],
    }
    log.info('job', fields)
    await log.flush()
    const text = await readFile(log.path, 'utf8')
    for (const word of ['garden', 'rain', 'second']) expect(text).not.toContain(word)
    expect((await lines())[0]).toMatchObject({
      request: { prompt: '[16 characters]', negativePrompt: '[4 characters]', steps: 20 },
      words: '[1 entries]',
    })
    isAllowed = true
    log.info('job', fields)
    await log.flush()
    expect((await lines())[1]).toMatchObject({ request: { prompt: 'my secret garden' } })
  })

  it('H9: never hold tokens, wherever they stand', async () => {
    const { log } = await place({ allowPrompts: () => true })
    log.info('request', {
      url: 'http://127.0.0.1:4000/app?token=abcdefgh#abcdefgh',
      headers: { Authorization: 'Bearer abcdefgh', cookie: 'session=abcdefgh' },
      message: 'sent Bearer abcdefgh to https://me:abcdefgh@example.com/x and hf_abcdefghijkl',
      downloadToken: 'abcdefgh',
    })
    log.error('failed', new Error('GET https://h/x?sig=abcdefgh failed'))
    await log.flush()
    const text = await readFile(log.path, 'utf8')
    expect(text).not.toContain('abcdefgh')
    expect(text).toContain('http://127.0.0.1:4000/app?…')
  })

  it('tell an error with its cause and remedy', async () => {
    const { log, lines } = await place()
    const cause = Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })
    log.error('saving', new AttuneError('bad-file', 'The disk is full.', 'Free some space.', { cause }), {
      id: 7,
    })
    await log.flush()
    expect((await lines())[0]).toMatchObject({
      level: 'error',
      id: 7,
      error: {
        code: 'bad-file',
        message: 'The disk is full.',
        remedy: 'Free some space.',
        cause: { message: 'ENOSPC' },
      },
    })
  })

  it('stay one line an event and readable, whatever comes (I5)', async () => {
    const { log, lines } = await place()
    const loop: Record<string, unknown> = {}
    loop['self'] = loop
    log.info('odd', {
      text2: 'a\nb\u001b[31m\u202e',
      long: 'x'.repeat(100_000),
      bytes: new Uint8Array(1000),
      big: 1n,
      many: Array.from({ length: 1000 }, (_, i) => i),
      loop,
      undefined,
      nothing: null,
      call: () => 1,
    })
    log.error('thrown', 'a string')
    await log.flush()
    const [first, second] = await lines()
    expect(first).toMatchObject({
      text2: 'a\nb\ufffd[31m\ufffd',
      bytes: '[1000 bytes]',
      big: '1',
      call: '[function]',
    })
    expect(String(first?.['long']).length).toBeLessThan(2_100)
    expect(first?.['many']).toHaveLength(51)
    expect(second).toMatchObject({ error: { message: 'a string' } })
  })

  it('never fail, and go on when the disk is back', async () => {
    const root = await temporaryFolder()
    await writeFile(join(root, 'blocked'), '')
    const log = new Log({ folder: join(root, 'blocked', 'logs'), now })
    for (let i = 0; i < 20_000; i++) log.info('flood', { i })
    await log.flush()
    const { log: good, lines } = await place()
    for (let i = 0; i < 20_000; i++) good.info('flood', { i })
    await good.flush()
    good.info('later')
    await good.flush()
    const found = await lines()
    expect(found.some(line => line['event'] === 'events lost')).toBe(true)
    expect(found.at(-1)?.['event']).toBe('later')
  })
})
