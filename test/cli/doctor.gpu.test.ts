import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'

const script = fileURLToPath(new URL('../../cli/attune.mjs', import.meta.url))

describe('attune doctor', () => {
  it('finds the adapter, its limits and features, and ends', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [script, 'doctor', '--json'])
    const findings = stdout
      .trim()
      .split('\n')
      .map(line => JSON.parse(line) as { name: string; state: string; facts?: Record<string, unknown> })
    expect(findings.map(finding => finding.name)).toEqual([
      'node',
      'machine',
      'packages',
      'webgpu',
      'browser',
      'onnxruntime-node',
    ])
    const adapter = findings.find(finding => finding.name === 'webgpu')
    expect(adapter?.state).toBe('ok')
    expect(adapter?.facts).toMatchObject({
      limits: { maxStorageBufferBindingSize: expect.any(Number) },
      features: expect.any(Array),
    })
  })
})
