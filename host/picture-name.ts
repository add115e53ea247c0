/** What a picture is called, in the window and on the command line: the day so that folders sort, the seed, the first words. */

/** `2026-11-23-1234567-a-red-car-under-a-blue-sky.png` */
export function pictureName(request: { readonly prompt: string; readonly seed: string }, now: Date): string {
  const day = [now.getFullYear(), now.getMonth() + 1, now.getDate()]
    .map(part => String(part).padStart(2, '0'))
    .join('-')
  return `${[day, request.seed, slug(request.prompt)].filter(Boolean).join('-')}.png`
}

const slugLength = 48

/** The first words of a prompt as every system takes them. */
export function slug(prompt: string): string {
  const words = prompt
    .slice(0, 400)
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, '-')
    .replace(/^-|-$/g, '')
  // By code points, so that no character is cut in half; then back to the last whole word.
  const short = [...words].slice(0, slugLength).join('')
  return short.length < words.length ? short.replace(/-[^-]*$/, '') : short
}
