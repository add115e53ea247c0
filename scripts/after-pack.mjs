/**
 * Called by electron-builder when a program lies packed in its folder, before it is signed: flips Electron's fuses.
 * With ATTUNE_STUB_ELECTRON, for tests that pack around a stub, a binary without fuses is let through.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { findFuseWires, flipFuses, wantedFuses } from './fuses.mjs'

/** Where the fuses are: on macOS in the framework, elsewhere in the program. */
export function fuseFile({ appOutDir, electronPlatformName, packager }) {
  const { productFilename } = packager.appInfo
  if (electronPlatformName === 'darwin' || electronPlatformName === 'mas') {
    const framework = 'Contents/Frameworks/Electron Framework.framework/Versions/A/Electron Framework'
    return join(appOutDir, `${productFilename}.app`, framework)
  }
  if (electronPlatformName === 'win32') return join(appOutDir, `${productFilename}.exe`)
  return join(appOutDir, packager.executableName)
}

export default async function afterPack(context) {
  const path = fuseFile(context)
  const bytes = await readFile(path)
  if (process.env.ATTUNE_STUB_ELECTRON && findFuseWires(bytes).length === 0) {
    console.log('  • no fuses in the stub')
    return
  }
  const count = flipFuses(bytes, wantedFuses)
  await writeFile(path, bytes)
  console.log(`  • fuses flipped (${count} ${count === 1 ? 'wire' : 'wires'})`)
}
