/** Sockets in steps behind which an agent of the host answers. */
import { chownSync, chmodSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { once } from 'node:events';
import { pipeline } from 'node:stream';

/** The agent as seen at a path of its own, so that it can belong to the step's user. Dispose to close it. */
export async function forwardAgent(
  agentPath: string,
  {
    path,
    uid,
    gid,
    mode,
  }: { readonly path: string; readonly uid: number; readonly gid: number; readonly mode: number },
): Promise<AsyncDisposable> {
  const connections = new Set<Socket>();
  const server = createServer((client) => {
    const agent = createConnection(agentPath);
    for (const end of [client, agent]) {
      connections.add(end);
      end.on('close', () => connections.delete(end));
    }
    // An agent that has gone is an end of the connection to the client.
    pipeline(client, agent, client, () => undefined);
  });
  server.listen(path);
  await once(server, 'listening');
  chownSync(path, uid, gid);
  chmodSync(path, mode);
  return {
    async [Symbol.asyncDispose]() {
      const closed = once(server, 'close');
      server.close();
      for (const end of connections) end.destroy();
      await closed;
      rmSync(path, { force: true });
    },
  };
}
