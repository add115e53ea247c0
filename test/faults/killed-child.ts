/** A host that saves, sets and queues without an end, and says of each thing when it is done; its parent kills it. */
import { HostService } from '../../host/service/service.ts'
import type { HostFacts, HostRunner } from '../../host/service/facts.ts'

const side = 40

/** As the engine resolves one. */
const request = {
  prompt: 'a red car',
  negativePrompt: '',
  width: side,
  height: side,
  steps: 4,
  guidanceScale: 3,
  guidanceRescale: 0,
  rng: 'cpu',
  sampler: 'ddim',
  precision: 'f32',
  clipSkip: 1,
}

/** The pixels of picture `number`: large enough to be written in more than one piece. */
export function pixelsOf(number: number): Uint8Array {
  return Uint8Array.from({ length: side * side * 3 }, (_, at) =>
    at < 3 ? (number >> (8 * at)) & 255 : (at * 2_654_435_761 * (number + 1)) >>> 24,
  )
}

/** Draws nothing: jobs stay where they are. */
export const idleRunner = (): HostRunner => ({
  run: () => new Promise<never>(() => undefined),
  describe: () => Promise.resolve(undefined),
  rest: () => undefined,
  close: () => Promise.resolve(),
})

const say = (what: object): void => void process.stdout.write(`${JSON.stringify(what)}\n`)

async function work(facts: HostFacts, round: number): Promise<void> {
  const service = await HostService.open({ ...facts, openRunner: idleRunner })
  await service.call('jobs.pause', {})
  for (let count = 0; ; count++) {
    const number = round * 1000 + count
    const { name } = await service.savePicture(
      {
        width: side,
        height: side,
        channels: 3,
        request: { ...request, seed: String(number) },
        model: { name: 'storybook' },
      },
      pixelsOf(number),
    )
    say({ picture: name, number })
    const theme = count % 2 === 0 ? 'dark' : 'light'
    await service.call('settings.set', { patch: { theme } })
    say({ theme })
    const prompt = `job ${number}`
    await service.call('jobs.add', { requests: [{ prompt, seed: '1' }] })
    say({ job: prompt })
  }
}

const [, script, place, round] = process.argv
if (script?.endsWith('killed-child.ts') && place !== undefined) {
  const desktop: HostFacts['desktop'] = {
    trash: () => Promise.reject(new Error('no bin')),
    reveal: () => Promise.resolve(),
    openFolder: () => Promise.resolve(),
  }
  await work({ ...(JSON.parse(place) as Omit<HostFacts, 'desktop'>), desktop }, Number(round))
}
