/** Between diffusers' [B, C, H, W], which people save and load, and the engine's [B, H, W, C]. */

/** [B, C, H, W] → [B, H, W, C]. */
export function toChannelsLast(data: Float32Array, channels: number, positions: number): Float32Array {
  const result = new Float32Array(data.length)
  const batch = data.length / (channels * positions)
  for (let b = 0; b < batch; b++) {
    const base = b * channels * positions
    for (let c = 0; c < channels; c++) {
      for (let p = 0; p < positions; p++) {
        result[base + p * channels + c] = data[base + c * positions + p] as number
      }
    }
  }
  return result
}

/** [B, H, W, C] → [B, C, H, W]. */
export function toChannelsFirst(data: Float32Array, channels: number, positions: number): Float32Array {
  const result = new Float32Array(data.length)
  const batch = data.length / (channels * positions)
  for (let b = 0; b < batch; b++) {
    const base = b * channels * positions
    for (let p = 0; p < positions; p++) {
      for (let c = 0; c < channels; c++) {
        result[base + c * positions + p] = data[base + p * channels + c] as number
      }
    }
  }
  return result
}
