/** Swarm is out of scope: each of its endpoints but those of secrets answers as a node does that is in no swarm. */
import { UnavailableError } from '../../base/errors.ts';
import type { Method, Route } from '../router.ts';

const NOT_A_MANAGER =
  'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.';
const NOT_IN_A_SWARM = 'This node is not part of a swarm';

const NOUNS = ['services', 'configs', 'nodes'] as const;

function unavailable(method: Method, pattern: string, message = NOT_A_MANAGER): Route {
  return {
    method,
    pattern,
    handle: () => {
      throw new UnavailableError(message);
    },
  };
}

export const SWARM_ROUTES: readonly Route[] = [
  unavailable('GET', '/swarm'),
  unavailable('POST', '/swarm/init'),
  unavailable('POST', '/swarm/join'),
  unavailable('POST', '/swarm/leave', NOT_IN_A_SWARM),
  unavailable('POST', '/swarm/update'),
  unavailable('GET', '/swarm/unlockkey'),
  unavailable('POST', '/swarm/unlock'),
  ...NOUNS.flatMap((noun) => [
    unavailable('GET', `/${noun}`),
    ...(noun === 'nodes' ? [] : [unavailable('POST', `/${noun}/create`)]),
    unavailable('GET', `/${noun}/{id}`),
    unavailable('DELETE', `/${noun}/{id}`),
    unavailable('POST', `/${noun}/{id}/update`),
  ]),
  unavailable('GET', '/services/{id}/logs'),
  unavailable('GET', '/tasks'),
  unavailable('GET', '/tasks/{id}'),
  unavailable('GET', '/tasks/{id}/logs'),
  unavailable('PUT', '/volumes/{name}'),
];
