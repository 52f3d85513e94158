/** Endpoints of the API that this version does not offer; said openly (501), and listed in docs/api-coverage.md. */
import { InvalidArgumentError, NotFoundError, NotImplementedError } from '../../base/errors.ts';
import { param, type Context } from '../context.ts';
import type { Method, Route } from '../router.ts';

function unsupported(method: Method, pattern: string, what: string): Route {
  return {
    method,
    pattern,
    handle: () => {
      throw new NotImplementedError(`${what} is not supported by this version of moored`);
    },
  };
}

export const UNSUPPORTED_ROUTES: readonly Route[] = [
  unsupported('GET', '/containers/{id}/top', 'listing processes (top)'),
  unsupported('GET', '/containers/{id}/changes', 'listing changes (diff)'),
  unsupported('GET', '/containers/{id}/export', 'exporting a container'),
  unsupported('GET', '/containers/{id}/stats', 'stats'),
  unsupported('POST', '/containers/{id}/update', 'updating a container'),
  unsupported('GET', '/containers/{id}/attach/ws', 'attaching by web socket'),
  unsupported('HEAD', '/containers/{id}/archive', 'copying (cp)'),
  unsupported('GET', '/containers/{id}/archive', 'copying (cp)'),
  unsupported('PUT', '/containers/{id}/archive', 'copying (cp)'),
  unsupported('POST', '/build', 'building images'),
  // Nothing is built, so there is no cache: `docker system prune` asks for all prunes in a row.
  {
    method: 'POST',
    pattern: '/build/prune',
    handle: ({ reply }) => reply.json(200, { CachesDeleted: null, SpaceReclaimed: 0 }),
  },
  unsupported('POST', '/build/cancel', 'building images'),
  unsupported('POST', '/images/{name*}/push', 'pushing images'),
  unsupported('GET', '/images/search', 'searching images'),
  unsupported('POST', '/commit', 'committing a container'),
  unsupported('GET', '/images/{name*}/get', 'saving images'),
  unsupported('GET', '/images/get', 'saving images'),
  unsupported('POST', '/networks/create', 'creating networks'),
  unsupported('POST', '/networks/{id}/connect', 'connecting to networks'),
  unsupported('POST', '/networks/{id}/disconnect', 'disconnecting from networks'),
  // Clients ask for the list on many occasions: there are none, which is true.
  { method: 'GET', pattern: '/plugins', handle: ({ reply }) => reply.json(200, []) },
  unsupported('GET', '/plugins/privileges', 'managing plugins'),
  unsupported('POST', '/plugins/pull', 'managing plugins'),
  unsupported('POST', '/plugins/create', 'managing plugins'),
  {
    method: 'GET',
    pattern: '/plugins/{name*}/json',
    handle: (context: Context): void => {
      throw new NotFoundError(`plugin ${JSON.stringify(param(context, 'name'))} not found`);
    },
  },
  unsupported('DELETE', '/plugins/{name*}', 'managing plugins'),
  unsupported('POST', '/plugins/{name*}/enable', 'managing plugins'),
  unsupported('POST', '/plugins/{name*}/disable', 'managing plugins'),
  unsupported('POST', '/plugins/{name*}/upgrade', 'managing plugins'),
  unsupported('POST', '/plugins/{name*}/push', 'managing plugins'),
  unsupported('POST', '/plugins/{name*}/set', 'managing plugins'),
  unsupported('GET', '/distribution/{name*}/json', 'looking at registries'),
  {
    method: 'POST',
    pattern: '/session',
    handle: ({ fields }: Context): void => {
      if (!fields.has('upgrade')) throw new InvalidArgumentError('no upgrade proto in request');
      throw new NotImplementedError('BuildKit sessions are not supported by this version of moored');
    },
  },
];
