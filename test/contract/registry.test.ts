import { describe, it } from 'vitest';
import { MemoryRegistry } from '../support/memory-registry.ts';
import { makeRegistryClient } from '../support/registry-client.ts';
import { pushImage, pushManifest, registryAbsence, startRegistry } from '../support/registry.ts';
import { registryContract } from './registry.contract.ts';

describe('registry in memory', () => {
  registryContract(async () => {
    const client = new MemoryRegistry();
    return {
      client,
      domain: 'r.example',
      addImage: async (repository, tag, image) => client.add(repository, tag, image),
      addManifest: async (repository, tag, bytes, mediaType) => client.addManifest(repository, tag, bytes, mediaType),
      [Symbol.asyncDispose]: async () => undefined,
    };
  });
});

describe('distribution client with docker-registry', () => {
  if (registryAbsence !== null) {
    it.skip(registryAbsence);
    return;
  }
  registryContract(async () => {
    const registry = await startRegistry();
    const client = makeRegistryClient();
    return {
      client,
      domain: registry.host,
      addImage: async (repository, tag, image) => {
        await pushImage(registry.host, repository, tag, image);
      },
      addManifest: async (repository, tag, bytes, mediaType) => {
        await pushManifest(registry.host, repository, tag, bytes, mediaType);
      },
      async [Symbol.asyncDispose]() {
        await client[Symbol.asyncDispose]();
        await registry[Symbol.asyncDispose]();
      },
    };
  });
});
