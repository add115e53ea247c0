import { it } from 'vitest'
import { openNodeOnnxRuntime } from '/work/main/host/onnxruntime.ts'
import { OnnxBackend } from '/work/main/model/backend/onnx-backend.ts'
import { runGuided, guidedCase, guidePicture } from '/work/main/test/support/controlnet.ts'
import { testBackend } from '/work/main/test/support/gpu.ts'
import { hintOf } from '/work/main/model/controlnet/hint.ts'
import { writeFileSync } from 'node:fs'
it('ratio', async () => {
  const p = await guidePicture('b.png')
  writeFileSync('/tmp/cn/hint.bin', new Uint8Array(hintOf(p, { width: 128, height: 64, resize: 'stretch', channelOrder: 'rgb' }).buffer))
  const side = Number(process.env.SIDE ?? 32)
  const c = guidedCase('sd1-one')
  const backend = process.env.BACK === 'wasm' ? OnnxBackend.open(await openNodeOnnxRuntime('wasm', { threads: 1 })) : await testBackend('f32')
  const noise = Float32Array.from({ length: 4 * side * side }, () => Math.random() - 0.5)
  const cpu = async (steps: number, guides: any) => {
    const t = process.cpuUsage()
    await runGuided({ ...c, width: side * 8, height: side * 8, steps, guides }, backend, { inputs: { initialNoise: noise } })
    const { user, system } = process.cpuUsage(t)
    return (user + system) / 1000
  }
  const step = async (guides: any) => { await cpu(1, guides); const a = await cpu(1, guides); const b = await cpu(5, guides); return (b - a) / 4 }
  const plain = await step([]), guided = await step(c.guides)
  console.log(process.env.BACK, 'cpu ms a step plain', plain, 'guided', guided, 'extra', guided / plain - 1)
}, 600000)
