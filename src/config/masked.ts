/**
 * Addresses without names and passwords, as dockerd shows proxies. Whatever a person typed: a password may hold the signs
 * that should have been escaped, and a proxy may have no scheme.
 */
export function withoutPassword(text: string): string {
  return text.replace(/\/\/\S*@/g, '//xxxxx:xxxxx@');
}

/** As {@link withoutPassword}, where the address is known to be a proxy's: `user:password@proxy:3128` is one, too. */
export function maskedProxy(text: string): string {
  return text.replace(
    /([a-z][a-z0-9+.-]*:\/\/)?\S*@/gi,
    (_, scheme: string | undefined) => `${scheme ?? ''}xxxxx:xxxxx@`,
  );
}
