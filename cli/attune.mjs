#!/usr/bin/env node
// The launcher of the command line: loads TypeScript as it is (through tsx) and hands over.
let register
try {
  ;({ register } = await import('tsx/esm/api'))
} catch (error) {
  if (error?.code !== 'ERR_MODULE_NOT_FOUND') throw error
  console.error('attune: its packages are not installed.\n  Run: npm ci (in the folder of Attune)')
  process.exit(1)
}
register()
const { runProcess } = await import('./main.ts')
await runProcess()
