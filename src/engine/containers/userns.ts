/**
 * User namespaces of containers.
 *
 * Vocabulary: a *mapping* says which ids of the host stand for those inside; `remap` is the daemon's one mapping, `auto`
 * a mapping of the container's own, *leased* from a pool until the container is removed.
 *
 * Story: create decides (choice.ts) and leases; start plans (plan.ts), prepares everything in the plain root, and puts
 * the mapped one in its place (mounts.ts) just before the runtime comes. On disk all ids are those inside, so that
 * images, volumes and containers can be used with any mapping, or none.
 */
export { chooseUserns, joinsAnother } from './userns/choice.ts';
export { leaseIds } from './userns/lease.ts';
export { mapMounts, mapRoot, mountMapped, openTheWay, rootOf } from './userns/mounts.ts';
export { planUserns, type UsernsPlan } from './userns/plan.ts';
