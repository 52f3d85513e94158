/**
 * Tests that run in an emulated machine and show up here one by one:
 *
 *   await describeInGuest('devicemapper', { files: ['test/contract/storage.test.ts'], only: 'devicemapper' });
 *
 * The files are those of another kind of test, unchanged; which of their cases are meant is told by `only`, a regular
 * expression on `file > suite > title`. One boot serves them all. In the guest (and while the cases are listed, here) the
 * environment says `MOORED_TEST_GUEST=1`.
 */
import { afterAll, beforeAll, describe, it } from 'vitest';
import { CaseBundle } from './guest-cases/bundle.ts';
import type { CaseReport } from './guest-cases/report.ts';
import { runInGuest } from './guest-cases/run.ts';
import { VmRig } from './vm-rig.ts';

export interface GuestCases {
  readonly files: readonly string[];
  readonly only?: string;
  readonly environment?: Readonly<Record<string, string>>;
  /** A shell line that the guest runs before them. */
  readonly setUp?: string;
}

const GUEST_VARIABLE = 'MOORED_TEST_GUEST';

/** To be awaited: the cases are listed before vitest can know of them. */
export async function describeInGuest(title: string, cases: GuestCases): Promise<void> {
  const obstacle = VmRig.obstacle();
  if (obstacle !== null) {
    describe(`${title} in an emulated machine`, () => {
      it('passes', (context) => context.skip(obstacle));
    });
    return;
  }
  const bundle = await CaseBundle.of(cases.files);
  const { only = null } = cases;
  const environment = { ...cases.environment, [GUEST_VARIABLE]: '1' };
  const names = bundle.names(only, environment);
  describe(`${title} in an emulated machine`, () => {
    const reports = new Map<number, PromiseWithResolvers<CaseReport>>();
    for (const { number } of names) {
      const waiting = Promise.withResolvers<CaseReport>();
      // Whoever is not asked for its report is no failure of its own.
      waiting.promise.catch(() => undefined);
      reports.set(number, waiting);
    }
    let rig: VmRig;
    let ran: Promise<void> = Promise.resolve();

    beforeAll(async () => {
      rig = await VmRig.boot();
      if (cases.setUp !== undefined) await rig.ok(cases.setUp);
      ran = runInGuest(rig, {
        bundle,
        only,
        environment,
        onReport: (report) => reports.get(report.number)?.resolve(report),
      }).then((end) => {
        for (const { reject } of reports.values()) reject(new Error(`the guest has not come to this case: ${end}`));
      });
    });
    afterAll(async () => {
      await rig[Symbol.asyncDispose]();
      await ran.catch(() => undefined);
      bundle[Symbol.dispose]();
    });

    for (const { number, name } of names) {
      it(name.join(' > '), async (context) => {
        const { state, text } = (await reports.get(number)?.promise)!;
        if (state === 'skipped') context.skip(text === '' ? /\(skipped: (.*?)\)/.exec(name.join(' '))?.[1] : text);
        if (state === 'failed') throw new Error(`in the guest: ${bundle.traced(text)}`);
      });
    }
  });
}
