/** Chromium's switches, decided before it starts. No Electron here: `shell.ts` applies them. */
import { readFileSync } from 'node:fs'
import { z } from 'zod'

const shellSettingsSchema = z.object({
  /**
   * Turns Dawn's bounds checks off: kernels run faster (by how much depends on the driver), and a kernel with a wrong
   * index reads or writes foreign memory of the graphics card instead of a clamped place. Off by default, and only in
   * this file, because the checks are what keeps a wrong model file harmless.
   */
  disableRobustness: z.boolean().default(false),
})
export type ShellSettings = z.output<typeof shellSettingsSchema>

/** Settings that are needed before there is a host; a file that cannot be read is the defaults. */
export function readShellSettings(path: string): ShellSettings {
  try {
    return shellSettingsSchema.parse(JSON.parse(readFileSync(path, 'utf8')))
  } catch {
    return shellSettingsSchema.parse({})
  }
}

/** The switches as [name, value]. */
export function chromiumSwitches(
  platform: NodeJS.Platform,
  settings: ShellSettings,
): (readonly [name: string, value?: string])[] {
  return [
    // WebGPU is on by default on Windows and macOS. On Linux Chromium still wants to be asked, and needs Vulkan.
    ...(platform === 'linux' ? ([['enable-unsafe-webgpu'], ['enable-features', 'Vulkan']] as const) : []),
    ...(settings.disableRobustness ? ([['enable-dawn-features', 'disable_robustness']] as const) : []),
  ]
}
