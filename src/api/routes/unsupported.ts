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
  {
    method: 'POST',
    pattern: '/session',
    handle: ({ fields }: Context): void => {
      if (!fields.has('upgrade')) throw new InvalidArgumentError('no upgrade proto in request');
      throw new NotImplementedError(
        'BuildKit sessions are not supported by this version of moored: set DOCKER_BUILDKIT=0',
      );
    },
  },
];
