import type { Timestamp } from '../../base/clock.ts';
import type { StoredSecret } from '../state/secrets.ts';
import type { SecretView } from './types.ts';

/** What the state file keeps of a secret beside its columns, as JSON. */
interface SecretDocument {
  readonly labels: Readonly<Record<string, string>>;
  /** Nanoseconds, as text: JSON numbers are too small. */
  readonly updatedAt: string;
  readonly version: number;
}

export function viewOf({ id, name, createdAt, document }: StoredSecret): SecretView {
  const { labels, updatedAt, version } = JSON.parse(document) as SecretDocument;
  return { id, name, createdAt, labels, updatedAt: BigInt(updatedAt) as Timestamp, version };
}

export function documentOf({ labels, updatedAt, version }: SecretView): string {
  return JSON.stringify({ labels, updatedAt: updatedAt.toString(), version } satisfies SecretDocument);
}
