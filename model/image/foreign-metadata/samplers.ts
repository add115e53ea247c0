/**
 * The programs' names of samplers, mapped to ours where both draw the same: same rule, same spacing of noise.
 * What differs stays a name (`Recipe.samplerName`) that is shown, and is never replaced by something similar.
 */
import type { Sampler } from '../../contract/request.ts'

/** k-diffusion's rules by ComfyUI's names. */
const comfyRules: Readonly<Record<string, Sampler>> = {
  ddim: 'ddim',
  euler: 'euler',
  euler_ancestral: 'euler_a',
  heun: 'heun',
  dpmpp_2m: 'dpmpp_2m',
  dpmpp_sde: 'dpmpp_sde',
  uni_pc: 'unipc',
  lcm: 'lcm',
}

/** ComfyUI, Fooocus and SwarmUI: a rule and a schedule of noise. The `_gpu` forms differ in where noise is drawn. */
export function comfySampler(name: string, scheduler: string | undefined): Sampler | undefined {
  const rule = comfyRules[name.toLowerCase().replace(/_gpu$/, '')]
  const schedule = (scheduler ?? 'normal').toLowerCase()
  if (rule === 'dpmpp_2m' && schedule === 'karras') return 'dpmpp_2m_karras'
  if (schedule === 'normal') return rule
  if (rule === 'ddim' && schedule === 'ddim_uniform') return rule
  return rule === 'lcm' && schedule === 'sgm_uniform' ? rule : undefined
}

/** InvokeAI: diffusers' schedulers under short names; those of 2.x begin with k_. */
const invokeNames: Readonly<Record<string, Sampler>> = {
  ddim: 'ddim',
  euler: 'euler',
  k_euler: 'euler',
  euler_a: 'euler_a',
  k_euler_a: 'euler_a',
  heun: 'heun',
  k_heun: 'heun',
  dpmpp_2m: 'dpmpp_2m',
  k_dpmpp_2: 'dpmpp_2m',
  dpmpp_2m_k: 'dpmpp_2m_karras',
  dpmpp_sde: 'dpmpp_sde',
  unipc: 'unipc',
  lcm: 'lcm',
}

export function invokeSampler(name: string): Sampler | undefined {
  return invokeNames[name.toLowerCase()]
}

/** stable-diffusion.cpp: `euler_a`, `dpm++2m karras`. */
const cppNames: Readonly<Record<string, Sampler>> = {
  euler: 'euler',
  euler_a: 'euler_a',
  heun: 'heun',
  'dpm++2m': 'dpmpp_2m',
  'dpm++2m karras': 'dpmpp_2m_karras',
  lcm: 'lcm',
}

export function cppSampler(name: string): Sampler | undefined {
  return cppNames[
    name
      .trim()
      .toLowerCase()
      .replace(/ (discrete|default)$/, '')
  ]
}

/** Names for people, as Draw Things and older A1111 write them, schedule included. */
const spokenNames: Readonly<Record<string, Sampler>> = {
  ddim: 'ddim',
  euler: 'euler',
  'euler a': 'euler_a',
  'euler ancestral': 'euler_a',
  heun: 'heun',
  'dpm++ 2m': 'dpmpp_2m',
  'dpm++ 2m karras': 'dpmpp_2m_karras',
  'dpm++ sde': 'dpmpp_sde',
  unipc: 'unipc',
  lcm: 'lcm',
}

export function spokenSampler(name: string): Sampler | undefined {
  return spokenNames[name.trim().toLowerCase()]
}

/** NovelAI: k-diffusion's names with a schedule of their own. */
const novelNames: Readonly<Record<string, Sampler>> = {
  k_euler: 'euler',
  k_euler_ancestral: 'euler_a',
  k_dpmpp_2m: 'dpmpp_2m',
  k_dpmpp_sde: 'dpmpp_sde',
}

export function novelSampler(name: string, schedule: string | undefined): Sampler | undefined {
  const rule = novelNames[name.toLowerCase()]
  if (schedule === 'karras') return rule === 'dpmpp_2m' ? 'dpmpp_2m_karras' : undefined
  return schedule === undefined || schedule === 'native' ? rule : undefined
}

/** Easy Diffusion: diffusers' and k-diffusion's names. */
const easyNames: Readonly<Record<string, Sampler>> = {
  ddim: 'ddim',
  euler: 'euler',
  euler_a: 'euler_a',
  heun: 'heun',
  dpmpp_2m: 'dpmpp_2m',
  dpmpp_sde: 'dpmpp_sde',
  unipc_snr: 'unipc',
  lcm: 'lcm',
}

export function easySampler(name: string): Sampler | undefined {
  return easyNames[name.toLowerCase()]
}
