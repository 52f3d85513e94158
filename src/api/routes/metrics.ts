import type { Context } from '../context.ts';
import type { Route } from '../router.ts';

/** Also what a listener for metrics alone serves. */
export const METRICS_ROUTES: readonly Route[] = [{ method: 'GET', pattern: '/metrics', handle: metrics }];

async function metrics({ engine, reply, signal }: Context): Promise<void> {
  const stream = reply.stream(200, 'text/plain; version=0.0.4; charset=utf-8');
  for await (const text of engine.metrics.scrape(signal)) await stream.write(Buffer.from(text));
  stream.end();
}
