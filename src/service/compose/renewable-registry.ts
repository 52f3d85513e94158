import type { RegistryClient } from '../../engine/registry/client.ts';

type Client = RegistryClient & AsyncDisposable;

/** Something whose options can change under those who hold it. */
export interface Renewable {
  /** What is asked from now on is asked by new options; what is under way ends as it began. */
  renew(): void;
}

/**
 * A registry client that is loaded when it is first asked for something: HTTP client and validators take 120 ms and
 * 20 MB, which an engine that pulls nothing now should not pay at every start.
 */
export function renewableRegistryClient(load: () => Promise<Client>): Client & Renewable {
  let loaded: Promise<Client> | null = null;
  // Blobs may still be on their way through these; idle, they hold nothing but a few objects.
  const retired: Promise<Client>[] = [];
  const client = (): Promise<Client> => (loaded ??= load());
  return {
    resolve: async (...args) => (await client()).resolve(...args),
    tags: async (...args) => (await client()).tags(...args),
    fetchManifest: async (...args) => (await client()).fetchManifest(...args),
    fetchBlob: async (...args) => (await client()).fetchBlob(...args),
    rejectBlob: async (...args) => (await client()).rejectBlob(...args),
    fetchFile: async (...args) => (await client()).fetchFile(...args),
    greet: async (...args) => (await client()).greet(...args),
    offerBlob: async (...args) => (await client()).offerBlob(...args),
    pushBlob: async (...args) => (await client()).pushBlob(...args),
    pushManifest: async (...args) => (await client()).pushManifest(...args),
    removeManifest: async (...args) => (await client()).removeManifest(...args),
    search: async (...args) => (await client()).search(...args),
    authenticate: async (...args) => (await client()).authenticate(...args),
    renew() {
      if (loaded !== null) retired.push(loaded);
      loaded = null;
    },
    [Symbol.asyncDispose]: async () => {
      for (const one of [...retired, ...(loaded === null ? [] : [loaded])]) await (await one)[Symbol.asyncDispose]();
    },
  };
}
