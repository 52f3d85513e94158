/** Docker's rule of label filters: `key` is there, or `key=value` is. */
export function hasLabel(labels: Readonly<Record<string, string>>, wish: string): boolean {
  const equals = wish.indexOf('=');
  const key = equals < 0 ? wish : wish.slice(0, equals);
  return Object.hasOwn(labels, key) && (equals < 0 || labels[key] === wish.slice(equals + 1));
}
