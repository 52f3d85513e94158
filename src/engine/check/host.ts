import type { CheckRun } from './ground.ts';

/** What of the host is in the containers' way, as far as anything of it can be seen without packets. */
export async function checkHost(run: CheckRun): Promise<void> {
  for (const fault of run.needs.hostFaults?.() ?? []) await run.report({ kind: 'host', ...fault, mend: null });
}
