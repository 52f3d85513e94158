import { Agent, request } from 'node:http';
import type { Side } from './side-by-side.ts';

const AGENTS = new Map<string, Agent>();

function agentOf({ socketPath }: Side): Agent {
  let agent = AGENTS.get(socketPath);
  if (agent === undefined) AGENTS.set(socketPath, (agent = new Agent({ keepAlive: true, maxSockets: 64 })));
  return agent;
}

/** One request over kept connections; the whole body. Throws at a status of 400 or more. */
export function api(side: Side, method: string, path: string, body?: unknown): Promise<string> {
  return new Promise((resolve, reject) => {
    const text = body === undefined ? '' : JSON.stringify(body);
    const headers = body === undefined ? {} : { 'content-type': 'application/json', 'content-length': text.length };
    const sent = request(
      { socketPath: side.socketPath, agent: agentOf(side), method, path: `/v1.41${path}`, headers },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () => {
          const answer = Buffer.concat(chunks).toString();
          if ((response.statusCode ?? 500) < 400) resolve(answer);
          else reject(new Error(`${side.name}: ${method} ${path}: ${String(response.statusCode)} ${answer}`));
        });
      },
    );
    sent.on('error', reject);
    sent.end(text);
  });
}

/** Creates a container; its id. */
export async function create(side: Side, name: string, body: Readonly<Record<string, unknown>>): Promise<string> {
  const made = await api(side, 'POST', `/containers/create?name=${name}`, { Image: 'busybox:latest', ...body });
  return (JSON.parse(made) as { Id: string }).Id;
}

/** Runs a job for each item, so many at a time. */
export async function inParallel<T>(
  items: readonly T[],
  width: number,
  job: (item: T) => Promise<unknown>,
): Promise<void> {
  const waiting = [...items];
  const lane = async (): Promise<void> => {
    for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await job(item);
  };
  await Promise.all(Array.from({ length: width }, lane));
}
