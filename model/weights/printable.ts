/**
 * Names from files are attacker data: they may hold control characters, text that reverses the direction of
 * reading, or a megabyte. Every message goes through here.
 */

// Controls, and the invisible or direction-changing characters (soft hyphen, zero width, bidi, BOM, line ends).
const unprintable =
  // oxlint-disable-next-line no-control-regex
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u115f\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\uffff\ud800-\udfff]/gu

/**
 * A name as it can be shown in a message: quoted, on one line, unprintable characters as `\u{…}`.
 * @param limit characters kept before the rest is replaced by its count.
 */
export function printable(name: string, limit = 96): string {
  const kept = name.length > limit ? name.slice(0, limit) : name
  const escaped = kept.replace(
    unprintable,
    character => `\\u{${(character.codePointAt(0) as number).toString(16)}}`,
  )
  return name.length > limit
    ? `"${escaped}…" (${name.length.toLocaleString('en-US')} characters)`
    : `"${escaped}"`
}
