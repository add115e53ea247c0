/** Puts the double in the place of `electron`, for `require` and for `import`. ATTUNE_DOUBLE names its bundle. */
const Module = require('node:module')
const { pathToFileURL } = require('node:url')

const double = process.env.ATTUNE_DOUBLE
// Node's own name for it; there is no other way into `require`.
const inner = '_resolveFilename'
const resolve = Module[inner]
Module[inner] = function (name, ...rest) {
  return name === 'electron' ? double : resolve.call(this, name, ...rest)
}
const hook = `export async function resolve(name, context, next) {
  return name === 'electron' ? { url: ${JSON.stringify(pathToFileURL(double).href)}, shortCircuit: true } : next(name, context)
}`
Module.register(`data:text/javascript,${encodeURIComponent(hook)}`, pathToFileURL(__filename))
