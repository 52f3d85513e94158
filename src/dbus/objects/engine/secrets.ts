/** Secrets. What they hold comes in as an argument and is in no reply, property or signal. */
import type { Call } from '../../bus/exported.ts';
import { usecOf } from '../../bus/times.ts';
import type { ManagerParts, Methods } from './parts.ts';

export function secretMethods({ engine }: ManagerParts): Methods {
  const { secrets } = engine;
  return {
    ListSecrets: () => [
      secrets
        .list()
        .map(({ id, name, createdAt, updatedAt, version, labels }) => [
          id,
          name,
          usecOf(createdAt),
          usecOf(updatedAt),
          BigInt(version),
          labels,
        ]),
    ],
    CreateSecret: (_call: Call, name: string, data: Buffer, labels: Readonly<Record<string, string>>) => [
      secrets.create({ name, data, labels }).id,
    ],
    SetSecretData: (_call: Call, ref: string, data: Buffer) => [
      BigInt(secrets.update(ref, { version: null, labels: null, data }).version),
    ],
    SetSecretLabels: (_call: Call, ref: string, labels: Readonly<Record<string, string>>) => [
      BigInt(secrets.update(ref, { version: null, labels, data: null }).version),
    ],
    RemoveSecret: (_call: Call, ref: string) => {
      secrets.remove(ref);
      return [];
    },
  };
}
