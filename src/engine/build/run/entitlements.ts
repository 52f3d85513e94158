import { ForbiddenError } from '../../../base/errors.ts';
import type { RunRequest } from './types.ts';

const NETWORK_HOST = 'network.host';
const SECURITY_INSECURE = 'security.insecure';

/**
 * A Dockerfile may come from anybody: what it asks for beyond the ordinary needs the word of whoever builds it, by the
 * names that BuildKit gives to it. They come with `--security-opt`, which is the only place for it in a request.
 * ForbiddenError names what is missing.
 */
export function checkEntitlements({
  network,
  security,
  limits,
}: Pick<RunRequest, 'network' | 'security' | 'limits'>): void {
  const allowed = new Set(limits.securityOptions);
  if (network === 'host' && limits.network?.kind !== 'host' && !allowed.has(NETWORK_HOST)) throw refusal(NETWORK_HOST);
  if (security === 'insecure' && !allowed.has(SECURITY_INSECURE)) throw refusal(SECURITY_INSECURE);
}

function refusal(entitlement: string): ForbiddenError {
  const also = entitlement === NETWORK_HOST ? ', or "--network host" for all of it' : '';
  return new ForbiddenError(
    `${entitlement} is not allowed: build with "--security-opt ${entitlement}" to allow it${also}`,
  );
}
