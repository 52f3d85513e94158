/** Keys of snapshots as names of directories. */

/** The name for a key; none of `reserved`, and none that begins with a dot. */
export function nameOf(key: string, reserved: ReadonlySet<string>): string {
  const name = [...key].map((character, index) => spell(character, index)).join('');
  return reserved.has(name) ? `%${hex(name[0] ?? '')}${name.slice(1)}` : name;
}

/** The key that has a name. */
export function keyOf(name: string): string {
  return decodeURIComponent(name.replaceAll('+', ':'));
}

/** Keys become file names without `:`, `,` and `%`-free of what overlay's option parser would stumble over. */
function spell(character: string, index: number): string {
  if (character === ':') return '+';
  if (/[A-Za-z0-9_-]/.test(character) || (character === '.' && index > 0)) return character;
  return [...Buffer.from(character)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join('');
}

function hex(character: string): string {
  return character.charCodeAt(0).toString(16).padStart(2, '0');
}
