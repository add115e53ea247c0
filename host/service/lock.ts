/**
 * One host for one data folder: two would draw each other's queue. The lock is a socket, since the system closes it with
 * its process, whatever ends that; a file with a number in it would outlive a crash.
 */
import { createHash } from 'node:crypto'
import { mkdir, rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { AttuneError } from '../../model/contract/errors.ts'

/**
 * Takes the lock of a folder.
 * @returns gives it back
 * @throws AttuneError `unsupported` when another host has it
 */
export async function lockFolder(folder: string): Promise<() => Promise<void>> {
  const path = addressOf(resolve(folder))
  await mkdir(folder, { recursive: true })
  for (let attempt = 0; ; attempt++) {
    try {
      return await listen(path)
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? error.code : ''
      // A machine without such sockets has no lock; that is no reason not to start.
      if (code !== 'EADDRINUSE') return () => Promise.resolve()
      if (attempt > 1 || (await isHeld(path))) throw taken(folder)
      await rm(path, { force: true })
    }
  }
}

/** In the folder itself, where nobody else can put one; a socket's path has about a hundred characters. */
function addressOf(folder: string): string {
  const digest = createHash('sha256').update(folder).digest('hex').slice(0, 24)
  if (process.platform === 'win32') return `\\\\.\\pipe\\attune-${digest}`
  const own = join(folder, 'host.sock')
  return Buffer.byteLength(own) <= 100
    ? own
    : join(tmpdir(), `attune-${process.getuid?.() ?? 0}-${digest}.sock`)
}

function listen(path: string): Promise<() => Promise<void>> {
  return new Promise((done, refuse) => {
    const server = createServer(socket => socket.destroy())
    server.once('error', refuse)
    server.listen(path, () => {
      server.unref()
      done(() => new Promise(closed => void server.close(() => closed())))
    })
  })
}

/** Whether somebody answers; a socket of a process that has gone does not. */
function isHeld(path: string): Promise<boolean> {
  return new Promise(done => {
    const socket = connect(path)
    socket.once('connect', () => {
      socket.destroy()
      done(true)
    })
    socket.once('error', () => done(false))
  })
}

const taken = (folder: string): AttuneError =>
  new AttuneError(
    'unsupported',
    `Attune is running already with the data in ${folder}.`,
    'Use its window, or end it first.',
  )
