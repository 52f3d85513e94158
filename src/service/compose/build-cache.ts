/** The limits of the build cache as the configuration wants them; see compose.ts. */
import { parseByteSize } from '../../base/byte-size.ts';
import { builderGcRules, type BuilderGcRule } from '../../config/builder-gc.ts';
import type { Config } from '../../config/config.ts';
import type { BuildRoom } from '../../engine/build/index.ts';
import type { CacheLimits, CachePruneRequest } from '../../engine/build/types.ts';
import type { ReloadPart } from '../reload.ts';
import type { Ground } from './rooms.ts';

/** What `builder` says. */
export function cacheLimitsOf(config: Config): CacheLimits {
  const { enabled, policy, defaultReservedSpace, defaultMaxUsedSpace, defaultMinFreeSpace } = config.get('builder-gc');
  if (enabled === 'false') return { kind: 'none' };
  if (policy !== undefined) return { kind: 'policy', rules: builderGcRules(policy).map(requestOf) };
  return {
    kind: 'usual',
    reservedBytes: bytesOf(defaultReservedSpace),
    maxUsedBytes: bytesOf(defaultMaxUsedSpace),
    minFreeBytes: bytesOf(defaultMinFreeSpace),
  };
}

/** The limits follow a reload. */
export function buildCachePart({ config }: Ground, builds: Pick<BuildRoom, 'reconfigure'>): ReloadPart {
  return {
    prepare(next) {
      const [before, after] = [cacheLimitsOf(config.snapshot), cacheLimitsOf(next)];
      return { apply: () => builds.reconfigure(after), undo: () => builds.reconfigure(before) };
    },
  };
}

function requestOf({ all, filter, reservedSpace, maxUsedSpace, minFreeSpace }: BuilderGcRule): CachePruneRequest {
  const filters = new Map<string, readonly string[]>();
  let until: string | null = null;
  for (const text of filter) {
    const [name = '', ...value] = text.split('=');
    if (name === 'until' || name === 'unused-for') until = value.join('=');
    else filters.set(name, [value.join('=')]);
  }
  return {
    all,
    keepBytes: bytesOf(reservedSpace),
    maxUsedBytes: bytesOf(maxUsedSpace),
    minFreeBytes: bytesOf(minFreeSpace),
    until,
    filters,
  };
}

/** Null for no limit. */
function bytesOf(text: string | undefined): number | null {
  const bytes = parseByteSize(text ?? '') ?? 0;
  return bytes === 0 ? null : bytes;
}
