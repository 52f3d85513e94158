import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { ContainerId } from '../../../../../src/base/ids.ts';
import { needsOf, parseDependsOn, type Candidate } from '../../../../../src/engine/containers/boot/needs.ts';
import { exampleSpec, type SpecChange } from '../../../../support/container-spec.ts';

function candidate(id: string, change: SpecChange = {}): Candidate {
  return { id: id as ContainerId, spec: exampleSpec(change) };
}

function service(id: string, dependsOn = '', project = 'shop'): Candidate {
  return candidate(id, {
    labels: {
      'com.docker.compose.project': project,
      'com.docker.compose.service': id.replace(/-\d+$/, ''),
      'com.docker.compose.depends_on': dependsOn,
    },
  });
}

/** Needs as words, of all among all. */
function needs(...candidates: readonly Candidate[]): Readonly<Record<string, readonly string[]>> {
  const found = needsOf(candidates, candidates, (ref) => candidates.find(({ id }) => id === ref)?.id ?? null);
  return Object.fromEntries([...found].map(([id, list]) => [id, list.map((need) => `${need.id} ${need.condition}`)]));
}

describe('the label of Compose', () => {
  it('is read', () => {
    expect(
      parseDependsOn('db:service_healthy:false,cache:service_started:true,init:service_completed_successfully:false'),
    ).toEqual([
      { service: 'db', condition: 'service_healthy' },
      { service: 'cache', condition: 'service_started' },
      { service: 'init', condition: 'service_completed_successfully' },
    ]);
  });

  it('is taken for a start where it says nothing that is known', () => {
    expect(parseDependsOn('db,cache:later: ,:x,')).toEqual([
      { service: 'db', condition: 'service_started' },
      { service: 'cache', condition: 'service_started' },
    ]);
    expect(parseDependsOn('')).toEqual([]);
  });
});

describe('what a container waits for', () => {
  it('are all containers of a service of its own project', () => {
    const other = service('db', '', 'blog');
    expect(
      needs(service('web', 'db:service_healthy:false'), service('db-1'), service('db-2'), {
        ...other,
        id: 'x' as ContainerId,
      }),
    ).toEqual({
      web: ['db-1 service_healthy', 'db-2 service_healthy'],
      'db-1': [],
      'db-2': [],
      x: [],
    });
  });

  it('is who lends namespaces, volumes and names', () => {
    expect(
      needs(
        candidate('a', { host: { network: { kind: 'container', ref: 'b' }, volumesFrom: ['c:ro', 'gone'] } }),
        candidate('b', {
          host: { pidMode: { kind: 'container', ref: 'c' }, ipcMode: { kind: 'container', ref: 'd' } },
        }),
        candidate('c', { host: { links: [{ ref: 'd', alias: 'db' }] } }),
        candidate('d'),
      ),
    ).toEqual({
      a: ['b service_started', 'c service_started'],
      b: ['c service_started', 'd service_started'],
      c: ['d service_started'],
      d: [],
    });
  });

  it('is never itself, nor anybody who waits for it', () => {
    expect(needs(service('a', 'a,b'), service('b', 'c'), service('c', 'a'))).toEqual({
      a: ['b service_started'],
      b: ['c service_started'],
      c: [],
    });
  });

  it('can always be brought into an order', () => {
    const names = ['a', 'b', 'c', 'd', 'e', 'f'];
    const wishes = fc.array(fc.subarray(names), { minLength: names.length, maxLength: names.length });
    fc.assert(
      fc.property(wishes, (lists) => {
        const left = new Map(
          Object.entries(needs(...names.map((name, index) => service(name, lists[index]?.join(','))))),
        );
        while (left.size > 0) {
          const ready = [...left].find(([, list]) => list.every((need) => !left.has(need.split(' ')[0] ?? '')));
          expect(ready).toBeDefined();
          left.delete(ready?.[0] ?? '');
        }
      }),
    );
  });
});
