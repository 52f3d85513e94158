/** More changes than that, and it was another word. */
const FARTHEST = 2;

/** `message`, and which of the options was meant if one is near: ` (did you mean FROM?)`. */
export function withSuggestion(message: string, word: string, options: readonly string[]): string {
  let nearest: string | null = null;
  let least = FARTHEST + 1;
  for (const option of options) {
    const distance = distanceOf(word, option);
    if (distance === 0) return message;
    if (distance < least) [nearest, least] = [option, distance];
  }
  return nearest === null ? message : `${message} (did you mean ${nearest}?)`;
}

/** Characters to add, leave out or change (Levenshtein); far ones are only known to be far. */
function distanceOf(one: string, other: string): number {
  if (Math.abs(one.length - other.length) > FARTHEST) return FARTHEST + 1;
  let above = Array.from({ length: other.length + 1 }, (_, at) => at);
  for (let row = 1; row <= one.length; row += 1) {
    const current = [row];
    for (let at = 1; at <= other.length; at += 1) {
      const change = one.charAt(row - 1) === other.charAt(at - 1) ? 0 : 1;
      current.push(Math.min((above[at] ?? 0) + 1, (current[at - 1] ?? 0) + 1, (above[at - 1] ?? 0) + change));
    }
    above = current;
  }
  return above[other.length] ?? 0;
}
