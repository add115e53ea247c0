/** The most multiply-adds a second that an adapter does in registers: the roof over every product. */

const accumulators = 32
const rounds = 512
const workgroups = 512
const workgroupSize = 64

/** GFLOPS of f32 fma() without memory, best of five. */
export async function peakGigaflops(device: GPUDevice): Promise<number> {
  const list = Array.from({ length: accumulators }, (_, i) => i)
  const code = `
@group(0) @binding(0) var<storage, read_write> result: array<f32>;
@compute @workgroup_size(${workgroupSize})
fn main(@builtin(global_invocation_id) id: vec3u) {
  var x = f32(id.x) * 1e-6; let y = 0.999;
  ${list.map(i => `var s${i} = f32(${i});`).join(' ')}
  for (var k = 0u; k < ${rounds / 4}u; k++) {
    ${list.map(i => `s${i} = fma(x, y, s${i}); s${i} = fma(y, x, s${i}); s${i} = fma(x, x, s${i}); s${i} = fma(y, y, s${i});`).join('\n')}
    x += 1e-6;
  }
  result[id.x] = ${list.map(i => `s${i}`).join(' + ')};
}`
  const pipeline = await device.createComputePipelineAsync({
    layout: 'auto',
    compute: { module: device.createShaderModule({ code }), entryPoint: 'main' },
  })
  const buffer = device.createBuffer({ size: workgroups * workgroupSize * 4, usage: GPUBufferUsage.STORAGE })
  const group = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [{ binding: 0, resource: { buffer } }],
  })
  let best = Infinity
  for (let round = 0; round < 6; round++) {
    const encoder = device.createCommandEncoder()
    const pass = encoder.beginComputePass()
    pass.setPipeline(pipeline)
    pass.setBindGroup(0, group)
    pass.dispatchWorkgroups(workgroups)
    pass.end()
    const started = performance.now()
    device.queue.submit([encoder.finish()])
    await device.queue.onSubmittedWorkDone()
    // The first round compiles.
    if (round > 0) best = Math.min(best, performance.now() - started)
  }
  buffer.destroy()
  return (2 * accumulators * rounds * workgroups * workgroupSize) / best / 1e6
}
