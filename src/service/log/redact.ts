/** Names under which secrets might travel. */
export const SECRET_KEYS = ['auth', 'password', 'identityToken', 'registryToken', 'authorization'] as const;

const CENSORED = '[redacted]';
const SECRETS: ReadonlySet<string> = new Set(SECRET_KEYS.map((key) => key.toLowerCase()));
/** Fields are small records; what is deeper is no log field of ours. */
const MAX_DEPTH = 5;

/** A copy fit for a log: secrets replaced wherever they stand, errors by their message. */
export function redacted(value: unknown, depth = 0): unknown {
  if (value instanceof Error) return value.message;
  if (typeof value !== 'object' || value === null) return value;
  if (depth === MAX_DEPTH) return '…';
  if (Array.isArray(value)) return value.map((entry) => redacted(entry, depth + 1));
  return Object.fromEntries(
    Object.entries(value).map(([key, entry]) => [
      key,
      SECRETS.has(key.toLowerCase()) ? CENSORED : redacted(entry, depth + 1),
    ]),
  );
}
