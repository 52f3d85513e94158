import type { Networks, SandboxRequest, SandboxState } from '../../src/engine/network/types.ts';

/** Prepares a sandbox and completes it, as a container's start does with its process between. */
export async function setUp(networks: Networks, request: SandboxRequest): Promise<SandboxState> {
  await networks.prepare(request);
  return await networks.complete(request.containerId);
}
