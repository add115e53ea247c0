/** Sizes and dates as people read them, in the window's language. */
import { currentLanguage } from '../../strings/index.ts'

const units = ['B', 'KB', 'MB', 'GB', 'TB']

export function formatBytes(bytes: number): string {
  const power = Math.min(units.length - 1, bytes < 1 ? 0 : Math.floor(Math.log10(bytes) / 3))
  const value = bytes / 1000 ** power
  const digits = power === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2
  return `${value.toLocaleString(currentLanguage(), { maximumFractionDigits: digits })} ${units[power]}`
}

export function formatDate(milliseconds: number): string {
  return new Date(milliseconds).toLocaleString(currentLanguage(), { dateStyle: 'medium', timeStyle: 'short' })
}

/** `3 min`, `1 h 20 min`, `40 s`. */
export function formatDuration(seconds: number): string {
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`
  const minutes = Math.ceil(seconds / 60)
  if (minutes < 60) return `${minutes} min`
  return minutes % 60 === 0 ? `${minutes / 60} h` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

/** Programs by their names; an unknown one is shown as it is called. */
export const programNames: Readonly<Record<string, string>> = {
  attune: 'Attune',
  a1111: 'AUTOMATIC1111',
  forge: 'Forge',
  'sd.cpp': 'stable-diffusion.cpp',
  comfyui: 'ComfyUI',
  invokeai: 'InvokeAI',
  'draw-things': 'Draw Things',
  fooocus: 'Fooocus',
  novelai: 'NovelAI',
  'easy-diffusion': 'Easy Diffusion',
  swarmui: 'SwarmUI',
}

/** A picture in words: what it was asked to show, else its name. */
export function altOf({ prompt, name }: { readonly prompt: string; readonly name: string }): string {
  return prompt === '' ? name : prompt
}
