/** Secrets on the wire: swarm's documents, without what a secret holds. */
import { formatTimestamp } from '../../base/clock.ts';
import { InvalidArgumentError } from '../../base/errors.ts';
import type { JsonValue } from '../../base/json.ts';
import type { SecretView } from '../../engine/index.ts';
import { map, omitEmpty, pointer, struct, text } from './go-struct.ts';

const DRIVER = struct('swarm.Driver', { Name: omitEmpty(text), Options: omitEmpty(map(text)) });

/** Body of `POST /secrets/create` and `POST /secrets/{id}/update`. `Data` is base64, as Go writes bytes. */
export const SECRET_SPEC = struct('swarm.SecretSpec', {
  Name: omitEmpty(text),
  Labels: map(text),
  Data: omitEmpty(pointer(text)),
  Driver: omitEmpty(pointer(DRIVER)),
  Templating: omitEmpty(pointer(DRIVER)),
});

const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/;

/** Go's `[]byte`. What is wrong is told without a word of it. */
export function secretData(encoded: string): Buffer {
  const compact = encoded.replaceAll(/[\r\n]/g, '');
  if (!BASE64.test(compact)) throw new InvalidArgumentError('illegal base64 data in the data of the secret');
  return Buffer.from(compact, 'base64');
}

export function secretDocument({ id, name, labels, createdAt, updatedAt, version }: SecretView): JsonValue {
  return {
    ID: id,
    Version: { Index: version },
    CreatedAt: formatTimestamp(createdAt),
    UpdatedAt: formatTimestamp(updatedAt),
    Spec: { Name: name, Labels: labels },
  };
}
