import { request } from 'node:http';
import { until, type TestEngine } from './engine.ts';

/** Sends a request and goes away without its answer as soon as `isTime`. */
export async function abandon(
  engine: TestEngine,
  method: string,
  path: string,
  isTime: () => boolean | Promise<boolean>,
): Promise<void> {
  const outgoing = request({ socketPath: engine.socketPath, method, path, agent: false }, (answer) => answer.resume());
  outgoing.on('error', () => undefined);
  outgoing.end();
  try {
    await until(isTime);
  } finally {
    outgoing.destroy();
  }
}
