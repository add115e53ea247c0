/** Types of system.mjs, which is plain JavaScript because it runs before anything is installed. */
import type { Machine } from './machine.mjs'

/** Of /etc/os-release; empty elsewhere. */
export function osRelease(machine?: Machine): { id: string; like: string[]; codename: string }
export function hasVulkanDriver(machine?: Machine): boolean
/** The one command that gets a Vulkan driver, or undefined when one is there. */
export function vulkanDriverCommand(machine?: Machine): string | undefined
export function backportsSource(text: string, codename: string): string | undefined
/** The path of a Chromium-like browser. */
export function findBrowser(machine?: Machine): string | undefined
export function ensureVulkan(machine: Machine): Promise<void>
export function ensureBrowser(machine: Machine): Promise<void>
