/**
 * What a container waits for when the engine starts many at once. Pure.
 *
 * Compose writes into a label of each container what its service depends on, `db:service_healthy:false,cache:…`; what
 * lends its namespaces, its volumes or its name (links) is to run before as well.
 */
import type { ContainerId } from '../../../base/ids.ts';
import type { ContainerSpec } from '../spec-types.ts';

const PROJECT = 'com.docker.compose.project';
const SERVICE = 'com.docker.compose.service';
const DEPENDS_ON = 'com.docker.compose.depends_on';
const CONDITIONS = ['service_started', 'service_healthy', 'service_completed_successfully'] as const;

/** What has to be true of another container first. */
export type Condition = (typeof CONDITIONS)[number];

export interface Need {
  readonly id: ContainerId;
  readonly condition: Condition;
}

/** What is looked at of a container. */
export interface Candidate {
  readonly id: ContainerId;
  readonly spec: Pick<ContainerSpec, 'labels' | 'host'>;
}

/** Finds a container by what another calls it; null where there is none, or many. */
export type Find = (ref: string) => ContainerId | null;

/** What each of `starting` waits for, among `all`. Circles are cut: nobody waits for somebody who waits for him. */
export function needsOf(
  starting: readonly Candidate[],
  all: readonly Candidate[],
  find: Find,
): ReadonlyMap<ContainerId, readonly Need[]> {
  const byService = servicesOf(all);
  const wishes = new Map(
    starting.map((candidate) => [candidate.id, [...composeNeeds(candidate, byService), ...loans(candidate, find)]]),
  );
  return withoutCircles(wishes);
}

/** `service:condition:restart`, comma between; the condition may be missing, and what is not understood is a start. */
export function parseDependsOn(text: string): readonly { readonly service: string; readonly condition: Condition }[] {
  return text.split(',').flatMap((part) => {
    const [service = '', given] = part.trim().split(':');
    const condition = CONDITIONS.find((known) => known === given) ?? 'service_started';
    return service === '' ? [] : [{ service, condition }];
  });
}

function servicesOf(all: readonly Candidate[]): ReadonlyMap<string, readonly ContainerId[]> {
  const services = new Map<string, ContainerId[]>();
  for (const { id, spec } of all) {
    const name = serviceName(spec.labels[PROJECT], spec.labels[SERVICE]);
    if (name === null) continue;
    const ids = services.get(name) ?? [];
    ids.push(id);
    services.set(name, ids);
  }
  return services;
}

function serviceName(project: string | undefined, service: string | undefined): string | null {
  return project === undefined || service === undefined ? null : JSON.stringify([project, service]);
}

function composeNeeds(
  { id: own, spec }: Candidate,
  byService: ReadonlyMap<string, readonly ContainerId[]>,
): readonly Need[] {
  return parseDependsOn(spec.labels[DEPENDS_ON] ?? '').flatMap(({ service, condition }) => {
    const name = serviceName(spec.labels[PROJECT], service);
    const ids = name === null ? [] : (byService.get(name) ?? []);
    return ids.filter((id) => id !== own).map((id) => ({ id, condition }));
  });
}

/** Containers whose namespaces, volumes or names it borrows. */
function loans({ id: own, spec: { host } }: Candidate, find: Find): readonly Need[] {
  const modes = [host.network, host.pidMode, host.ipcMode];
  const refs = [
    ...modes.flatMap((mode) => (mode?.kind === 'container' ? [mode.ref] : [])),
    // `name:ro`.
    ...host.volumesFrom.map((text) => text.split(':', 1)[0] ?? ''),
    ...(host.links ?? []).map((link) => link.ref),
  ];
  return refs.flatMap((ref) => {
    const id = ref === '' ? null : find(ref);
    return id === null || id === own ? [] : [{ id, condition: 'service_started' as const }];
  });
}

/** Walks depth first and drops each need that leads back to where the walk comes from. */
function withoutCircles(wishes: ReadonlyMap<ContainerId, readonly Need[]>): ReadonlyMap<ContainerId, readonly Need[]> {
  const kept = new Map<ContainerId, readonly Need[]>();
  const under = new Set<ContainerId>();
  const visit = (id: ContainerId): void => {
    if (kept.has(id) || under.has(id)) return;
    under.add(id);
    const needs: Need[] = [];
    for (const need of wishes.get(id) ?? []) {
      if (under.has(need.id)) continue;
      visit(need.id);
      needs.push(need);
    }
    under.delete(id);
    kept.set(id, needs);
  };
  for (const id of wishes.keys()) visit(id);
  return kept;
}
