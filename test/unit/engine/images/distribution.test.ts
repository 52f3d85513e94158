import { describe, expect, it } from 'vitest';
import { searchImages } from '../../../../src/engine/images/distribution.ts';
import type { RegistryClient } from '../../../../src/engine/registry/client.ts';

const SIGNAL = new AbortController().signal;

describe('a search', () => {
  const asked: (readonly [domain: string, term: string])[] = [];
  const registry = {
    search: (domain: string, term: string) => {
      asked.push([domain, term]);
      return Promise.resolve([]);
    },
  } as unknown as RegistryClient;
  const search = (term: string, limit = 25): Promise<unknown> =>
    searchImages({ registry }, term, { limit, auth: null, signal: SIGNAL });

  it.each([
    ['app', 'docker.io', 'app'],
    ['team/app', 'docker.io', 'team/app'],
    ['library/app', 'docker.io', 'app'],
    ['docker.io/library/app', 'docker.io', 'app'],
    ['some.thing', 'docker.io', 'some.thing'],
    ['r.example/app', 'r.example', 'app'],
    ['localhost/team/app', 'localhost', 'team/app'],
    ['r.example:5000/', 'r.example:5000', ''],
    ['r.example:5000', 'r.example:5000', ''],
    ['localhost:5000', 'localhost:5000', ''],
    ['[::1]:5000', '[::1]:5000', ''],
  ])('for %s asks %s for "%s"', async (term, domain, rest) => {
    asked.length = 0;
    await search(term);
    expect(asked).toEqual([[domain, rest]]);
  });

  it.each([
    [
      'https://r.example/app',
      25,
      'invalid repository name: repository name (https://r.example/app) should not have a scheme',
    ],
    ['app', 0, 'limit 0 is outside the range of [1, 100]'],
    ['app', 101, 'limit 101 is outside the range of [1, 100]'],
  ])('for %s, at most %i, is refused', async (term, limit, message) => {
    await expect(search(term, limit)).rejects.toThrow(message);
  });
});
