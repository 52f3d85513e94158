import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { forwardAgent } from './ssh-agent.ts';
import type { SecretMount } from './secret-mounts.ts';

const NAME = 'agent';

/** A socket behind which the agent answers. Dispose to close it. */
export interface ForwardedAgent extends AsyncDisposable {
  readonly path: string;
}

/** Makes it in a directory, for the user that the mount says. */
export async function agentMount(
  agentPath: string,
  { mount, directory }: { readonly mount: SecretMount; readonly directory: string },
): Promise<ForwardedAgent> {
  // A socket's address has room for a hundred bytes, which a data root can be longer than.
  const fd = openSync(directory, 'r');
  try {
    const path = `/proc/self/fd/${String(fd)}/${NAME}`;
    const { uid, gid, mode } = mount;
    const agent = await forwardAgent(agentPath, { path, uid, gid, mode });
    return {
      path: join(directory, NAME),
      async [Symbol.asyncDispose]() {
        await agent[Symbol.asyncDispose]();
        closeSync(fd);
      },
    };
  } catch (error) {
    closeSync(fd);
    throw error;
  }
}
