import type { RegistryClient } from '../../engine/registry/client.ts';

/**
 * A registry client that is loaded when it is first asked for something: HTTP client and validators take 120 ms and
 * 20 MB, which an engine that pulls nothing now should not pay at every start.
 */
export function lazyRegistryClient(
  load: () => Promise<RegistryClient & AsyncDisposable>,
): RegistryClient & AsyncDisposable {
  let loaded: Promise<RegistryClient & AsyncDisposable> | null = null;
  const client = (): Promise<RegistryClient & AsyncDisposable> => (loaded ??= load());
  return {
    resolve: async (...args) => (await client()).resolve(...args),
    tags: async (...args) => (await client()).tags(...args),
    fetchManifest: async (...args) => (await client()).fetchManifest(...args),
    fetchBlob: async (...args) => (await client()).fetchBlob(...args),
    authenticate: async (...args) => (await client()).authenticate(...args),
    [Symbol.asyncDispose]: async () => {
      if (loaded !== null) await (await loaded)[Symbol.asyncDispose]();
    },
  };
}
