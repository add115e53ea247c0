/**
 * Assembles one WGSL compute shader: declarations for tensors, packed weights and parameters, and the dispatch that
 * belongs to it. The source is a pure function of the variant, so equal sources share a pipeline; sizes go through
 * the uniform and never into the source.
 *
 * Two tensors that lie in the same buffer (the parts of a fused q/k/v product, the parts of a concatenation) share
 * one binding, because WebGPU refuses overlapping writable bindings. All activations are bound read_write: they live
 * in one arena, and a buffer may not be read-only and writable in one dispatch.
 */
import { invariant } from '../contract/errors.ts'
import type { BufferRef, DeviceFacts, Dispatch, TensorView } from './lowering.ts'

type ParamType = 'u32' | 'i32' | 'f32'

export class Shader {
  readonly #kernel: string
  readonly #facts: DeviceFacts
  readonly #declarations: string[] = []
  readonly #bindings: { buffer: BufferRef; writable: boolean; element: string }[] = []
  readonly #params: { name: string; type: ParamType; value: number }[] = []
  readonly #enables = new Set<string>()

  /** @param kernel the kernel's name, such as `conv2d`; it labels errors and profiles. */
  constructor(kernel: string, facts: DeviceFacts) {
    this.#kernel = kernel
    this.#facts = facts
  }

  /** Declares the use of a WGSL extension. */
  enable(extension: 'subgroups' | 'f16'): this {
    this.#enables.add(extension)
    return this
  }

  /** A run-time number, read in WGSL as `P.name`. */
  param(name: string, type: ParamType, value: number): this {
    this.#params.push({ name, type, value })
    return this
  }

  /**
   * Declares a tensor under a role. WGSL gets
   *   `role_at(row, group) -> u32` the vec4 index of a row's group of four columns,
   *   `load_role(index) -> vec4f` and `store_role(index, value: vec4f)`.
   * With `scalar`, the functions count single elements instead: `load_role(index) -> f32`, `store_role(index, f32)`,
   * and `role_at(row, column)`.
   */
  tensor(role: string, view: TensorView, access: 'vec4' | 'scalar' = 'vec4'): this {
    const unit = access === 'vec4' ? 4 : 1
    const scalarType = view.type === 'f16' ? 'f16' : 'f32'
    if (view.type === 'f16') this.enable('f16')
    const element = access === 'vec4' ? `vec4<${scalarType}>` : scalarType
    const value = access === 'vec4' ? 'vec4f' : 'f32'
    const name = this.#bind(view.buffer, true, element)
    this.param(`${role}_offset`, 'u32', view.offset / unit)
    this.param(`${role}_stride`, 'u32', view.rowStride / unit)
    this.#declarations.push(
      `fn ${role}_at(row: u32, column: u32) -> u32 { return P.${role}_offset + row * P.${role}_stride + column; }`,
      `fn load_${role}(index: u32) -> ${value} { return ${value}(${name}[index]); }`,
      `fn store_${role}(index: u32, value: ${value}) { ${name}[index] = ${element}(value); }`,
    )
    return this
  }

  /** Declares a read-only buffer of packed weights; WGSL reads `role[index]`. */
  weights(role: string, buffer: BufferRef, element: 'vec4f' | 'vec4u'): this {
    const name = this.#bind(buffer, false, element)
    // A textual alias: WGSL has none for variables, and two roles may share a buffer.
    this.#declarations.push(`fn load_${role}(index: u32) -> ${element} { return ${name}[index]; }`)
    return this
  }

  /** Adds functions or workgroup variables to the module. */
  declare(code: string): this {
    this.#declarations.push(code)
    return this
  }

  /**
   * Ends the shader.
   * @param workgroupSize the entry point's workgroup size.
   * @param body WGSL of `main`; may use `workgroup: vec3u`, `local: u32` (index in the workgroup) and, with
   * subgroups enabled, `lane: u32`.
   * @param label names the layer.
   */
  dispatch(
    label: string,
    workgroupSize: readonly [number, number, number],
    body: string,
    workgroups: readonly [number, number, number],
  ): Dispatch {
    const limit = this.#facts.maxComputeWorkgroupsPerDimension
    invariant(
      workgroups.every(count => Number.isInteger(count) && count >= 1 && count <= limit),
      `${this.#kernel} for ${label}: ${workgroups.join('x')} workgroups are outside 1..${limit}`,
    )
    invariant(
      this.#bindings.length <= this.#facts.maxStorageBuffersPerShaderStage,
      `${this.#kernel} for ${label}: ${this.#bindings.length} storage buffers`,
    )
    const subgroups = this.#enables.has('subgroups')
    const code = [
      [...this.#enables].map(extension => `enable ${extension};`).join('\n'),
      `struct Params { ${this.#params.map(({ name, type }) => `${name}: ${type}`).join(', ')} }`,
      '@group(0) @binding(0) var<uniform> P: Params;',
      ...this.#bindings.map(
        ({ writable, element }, index) =>
          `@group(0) @binding(${index + 1}) var<storage, ${writable ? 'read_write' : 'read'}> ` +
          `b${index}: array<${element}>;`,
      ),
      ...this.#declarations,
      `@compute @workgroup_size(${workgroupSize.join(', ')})`,
      'fn main(@builtin(workgroup_id) workgroup: vec3u, @builtin(local_invocation_index) local: u32' +
        `${subgroups ? ', @builtin(subgroup_invocation_id) lane: u32' : ''}) {`,
      body,
      '}',
    ].join('\n')
    const params = new ArrayBuffer(Math.max(16, Math.ceil(this.#params.length / 4) * 16))
    const words = new DataView(params)
    for (const [index, { type, value }] of this.#params.entries()) {
      if (type === 'f32') words.setFloat32(index * 4, value, true)
      else if (type === 'i32') words.setInt32(index * 4, value, true)
      else words.setUint32(index * 4, value, true)
    }
    return {
      label: `${this.#kernel} ${label}`,
      kernel: this.#kernel,
      code,
      bindings: this.#bindings.map(({ buffer, writable }) => ({ buffer, writable })),
      params,
      workgroups,
    }
  }

  #bind(buffer: BufferRef, writable: boolean, element: string): string {
    const known = this.#bindings.findIndex(binding => binding.buffer === buffer)
    if (known >= 0) {
      invariant(
        this.#bindings[known]?.element === element,
        `${this.#kernel}: ${buffer.label} is bound as ${this.#bindings[known]?.element} and as ${element}`,
      )
      return `b${known}`
    }
    this.#bindings.push({ buffer, writable, element })
    return `b${this.#bindings.length - 1}`
  }
}

/** WGSL of the activations, exact where PyTorch is exact: gelu uses erf, not its tanh approximation. */
export const activationFunctions = `
fn silu(x: vec4f) -> vec4f { return x / (1.0 + exp(-x)); }
fn quick_gelu(x: vec4f) -> vec4f { return x / (1.0 + exp(-1.702 * x)); }
// erf to 1.2e-7 (Numerical Recipes' erfc rational Chebyshev form); exact enough for f32 storage.
fn erf4(x: vec4f) -> vec4f {
  let t = 1.0 / (1.0 + 0.5 * abs(x));
  let p = -1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806 +
    t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277))))))));
  let e = 1.0 - t * exp(p - x * x);
  return select(-e, e, x >= vec4f(0.0));
}
fn gelu(x: vec4f) -> vec4f { return 0.5 * x * (1.0 + erf4(x * 0.70710678118654752)); }
`

/**
 * A count of workgroups too large for one dimension, folded over two: WGSL reads the index as
 * `workgroup.y + workgroup.z * foldedRows`.
 */
export const foldedRows = 32768

export function fold(count: number): readonly [number, number] {
  return count <= foldedRows ? [count, 1] : [foldedRows, Math.ceil(count / foldedRows)]
}
