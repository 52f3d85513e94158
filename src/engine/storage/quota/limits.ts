import type { KeptLimits } from '../mending.ts';

/** Limits that are known by paths, by what a driver calls what lies there; null where `limits` is. */
export function limitsBy(
  limits: KeptLimits | null | undefined,
  pathOf: (name: string) => Promise<string>,
): KeptLimits | null {
  if (limits === null || limits === undefined) return null;
  return {
    inForce: async (name) => limits.inForce(await pathOf(name)),
    obstacleTo: async (name) => limits.obstacleTo(await pathOf(name)),
    set: async (name, sizeBytes) => limits.set(await pathOf(name), sizeBytes),
  };
}
