import { describe, it } from 'vitest';
import { MemoryRegistry } from '../support/memory-registry.ts';
import { makeRegistryClient } from '../support/registry-client.ts';
import { registryAbsence, startRegistry } from '../support/registry.ts';
import { registryPushContract } from './registry-push.contract.ts';

describe('pushing to a registry in memory', () => {
  registryPushContract(async () => ({
    client: new MemoryRegistry(),
    domain: 'r.example',
    [Symbol.asyncDispose]: async () => undefined,
  }));
});

describe('pushing to docker-registry', () => {
  if (registryAbsence !== null) {
    it.skip(registryAbsence);
    return;
  }
  registryPushContract(async () => {
    const registry = await startRegistry();
    const client = makeRegistryClient();
    return {
      client,
      domain: registry.host,
      async [Symbol.asyncDispose]() {
        await client[Symbol.asyncDispose]();
        await registry[Symbol.asyncDispose]();
      },
    };
  });
});
