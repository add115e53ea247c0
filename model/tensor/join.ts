/** All numbers of several arrays, one array behind the other; a copy, also of a single one. */
export function joinFloats(arrays: readonly Float32Array[]): Float32Array {
  const result = new Float32Array(arrays.reduce((length, each) => length + each.length, 0))
  let offset = 0
  for (const each of arrays) {
    result.set(each, offset)
    offset += each.length
  }
  return result
}
