// The first file of the engine's thread: loads TypeScript as it is (through tsx), like cli/attune.mjs. A bundled shell
// has no TypeScript and names its own entry, built from thread.ts.
import { register } from 'tsx/esm/api'
register()
await import('./thread.ts')
