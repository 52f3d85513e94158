/** Asks the daemon to check its store: `POST /system/check`, one JSON object a line. */
import { once } from 'node:events';
import { request, type IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import { InternalError, messageOf, UnavailableError } from '../base/errors.ts';
import type { CheckProgress, StoreCheckOptions, StoreFinding, StoreReport } from '../engine/check/types.ts';

type Line =
  | { readonly progress: CheckProgress }
  | { readonly finding: StoreFinding }
  | { readonly report: Pick<StoreReport, 'checked' | 'problems'> }
  | { readonly error: string };

/** The daemon's report. UnavailableError with `reason` when none answers at the socket. */
export async function askDaemon(
  socketPath: string,
  { repair, deep, signal, onFinding = () => undefined }: StoreCheckOptions,
  reason: string,
): Promise<Pick<StoreReport, 'checked' | 'problems'>> {
  const path = `/system/check?repair=${repair ? '1' : '0'}&deep=${deep ? '1' : '0'}`;
  const outgoing = request({ socketPath, method: 'POST', path, headers: { Host: 'docker' }, agent: false, signal });
  outgoing.end();
  let answer: IncomingMessage;
  try {
    [answer] = (await once(outgoing, 'response')) as [IncomingMessage];
  } catch (error) {
    signal.throwIfAborted();
    throw new UnavailableError(`${reason}, and no daemon answers at ${socketPath}: ${messageOf(error)}`);
  }
  if (answer.statusCode !== 200) throw new InternalError(`the daemon answers ${String(answer.statusCode)}`);
  for await (const text of createInterface({ input: answer })) {
    const line = JSON.parse(text) as Line;
    if ('finding' in line) onFinding(line.finding);
    if ('error' in line) throw new InternalError(line.error);
    if ('report' in line) return line.report;
  }
  throw new InternalError('the daemon ended before the check did');
}
