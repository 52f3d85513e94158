/** The host's part of a run in a guest. */
import type { VmRig } from '../vm-rig.ts';
import { CaseBundle, NODE } from './bundle.ts';
import { valuesIn, type CaseReport } from './report.ts';

export interface GuestRun {
  readonly bundle: CaseBundle;
  readonly only: string | null;
  readonly environment: Readonly<Record<string, string>>;
  readonly onReport: (report: CaseReport) => void;
}

/** Runs the cases; how the run ended, in words. */
export async function runInGuest(rig: VmRig, { bundle, only, environment, onReport }: GuestRun): Promise<string> {
  const { here, there } = rig.exchangeFolder('cases');
  bundle.copyTo(here);
  const words = [NODE, '--wasm-wrapper-tiering-budget=2147483647', ...CaseBundle.wordsIn(there, only)];
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  const line = ['env', ...variables, ...words].map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
  let rest = '';
  const { code, stderr, stdout } = await rig.run(`cd ${there} && exec ${line}`, {
    onOutput: (text) => {
      const read = valuesIn(rest + text);
      rest = read.rest;
      for (const value of read.values) onReport(value as CaseReport);
    },
  });
  return `status ${String(code)}\n${stdout
    .split('\n')
    .filter((one) => !one.includes('\u001e'))
    .slice(-20)
    .join('\n')}${bundle.traced(stderr)}`;
}
