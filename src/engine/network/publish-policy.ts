import { InvalidArgumentError } from '../../base/errors.ts';
import type { PublishPolicy } from './driver.ts';
import type { NetworkRecord } from './types.ts';

/** Option (`-o`) or label of a bridge network: who may reach its published ports, in place of `--publish-policy`. */
export const PUBLISH_POLICY = 'org.moored.network.publish-policy';

/** The policy a network asks for; null: the engine's. The option wins over the label. */
export function publishPolicyOf({ options, labels }: Pick<NetworkRecord, 'options' | 'labels'>): PublishPolicy | null {
  const policy = options[PUBLISH_POLICY] ?? labels[PUBLISH_POLICY] ?? '';
  if (policy === '') return null;
  if (policy === 'open' || policy === 'respect') return policy;
  throw new InvalidArgumentError(`invalid value for ${PUBLISH_POLICY}: ${policy} (open or respect)`);
}
