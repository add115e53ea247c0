import { describe, expect, it } from 'vitest'
import {
  assumedSpeed,
  type ChoiceInput,
  chooseBackend,
  patienceSeconds,
  wasmParameterLimit,
} from '../../model/backend/choose.ts'

const machine: ChoiceInput = {
  hasWebGpu: true,
  softwareAdapter: true,
  hasWasm: true,
  hasNative: true,
  cores: 2,
  gigaflop: 33,
}
/** SD 1.5 at 512x512, 20 steps with guidance. */
const large = { ...machine, gigaflop: 35_000, parameters: 1067e6 }

describe('chooseBackend', () => {
  it('takes a real GPU always, and says nothing', () => {
    const choice = chooseBackend({ ...large, softwareAdapter: false })
    expect(choice).toEqual({ backend: 'webgpu', seconds: undefined, notice: undefined })
  })

  it('keeps a software adapter for a small picture', () => {
    const choice = chooseBackend(machine)
    expect(choice).toMatchObject({ backend: 'webgpu', notice: undefined })
    expect(choice.seconds).toBeLessThan(patienceSeconds)
  })

  it('takes the native processor backend for a large one, with a line that says so', () => {
    const choice = chooseBackend(large)
    expect(choice.backend).toBe('cpu')
    expect(choice.notice).toBe(
      'The GPU here is emulated in software: drawing on the processor with onnxruntime (cpu), about 4 min.',
    )
  })

  it('changes at ten seconds of the measured speed', () => {
    const measured = { webgpu: 20 }
    expect(chooseBackend({ ...machine, measured, gigaflop: 199 }).backend).toBe('webgpu')
    expect(chooseBackend({ ...machine, measured, gigaflop: 201 }).backend).toBe('cpu')
  })

  it('names the command that would make it faster', () => {
    const medium = { ...machine, hasNative: false, gigaflop: 1000, installNative: 'npm install it' }
    const choice = chooseBackend(medium)
    expect(choice.backend).toBe('wasm')
    expect(choice.notice).toBe(
      'The GPU here is emulated in software: drawing on the processor with WebAssembly (wasm), about 28 s; about 4 times faster after: npm install it.',
    )
    expect(choice.notice).not.toContain('\n')
  })

  it('does without any GPU, for small pictures too', () => {
    const without = { ...machine, hasWebGpu: false, softwareAdapter: false }
    expect(chooseBackend(without)).toMatchObject({ backend: 'cpu' })
    expect(chooseBackend({ ...without, hasNative: false })).toMatchObject({ backend: 'wasm' })
    expect(chooseBackend(without).notice).toMatch(/^No GPU was found: .* about 1 s\.$/)
  })

  it('believes measurements over assumptions', () => {
    const measured = { webgpu: 60, wasm: 30, cpu: 50 }
    const choice = chooseBackend({ ...large, measured })
    expect(choice.backend).toBe('webgpu')
    expect(choice.notice).toContain('software WebGPU')
  })

  it('does not send to wasm what its memory cannot hold', () => {
    const withoutNative = { ...large, hasNative: false }
    expect(chooseBackend(withoutNative).backend).toBe('webgpu')
    expect(chooseBackend({ ...withoutNative, parameters: wasmParameterLimit }).backend).toBe('wasm')
    const wasmOnly = { ...withoutNative, hasWebGpu: false, installNative: 'npm install it' }
    expect(() => chooseBackend(wasmOnly)).toThrow(/too large for the WebAssembly memory/)
    expect(() => chooseBackend({ ...wasmOnly, hasWasm: false })).toThrow(/could not be started/)
  })

  it('assumes speed by cores, for wasm up to four', () => {
    expect(assumedSpeed('wasm', 16)).toBe(assumedSpeed('wasm', 4))
    expect(assumedSpeed('cpu', 4)).toBe(2 * assumedSpeed('cpu', 2))
    expect(assumedSpeed('webgpu', 0)).toBeGreaterThan(0)
  })
})
