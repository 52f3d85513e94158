/** A worker that looks around in a jail and reports what it saw. */
import { readdirSync, readFileSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { LinuxFiles } from '../../src/engine/kernel/linux/files.ts';

const files = new LinuxFiles();
const seen: Record<string, unknown> = {};
{
  using _outer = files.jail(workerData as string);
  seen['outer'] = readdirSync('/');
  seen['absolute'] = readFileSync('/inner/link', 'utf8');
  seen['climbing'] = readdirSync('../../../..');
  {
    using _inner = files.jail('/inner');
    seen['inner'] = readdirSync('/');
  }
  seen['back'] = readdirSync('/');
}
seen['home'] = readdirSync('/');
parentPort?.postMessage(seen);
