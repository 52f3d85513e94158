/** vitest's `expect`, without vitest: its own package of matchers on chai, and `expect.poll`. */
import {
  ASYMMETRIC_MATCHERS_OBJECT,
  GLOBAL_EXPECT,
  JestAsymmetricMatchers,
  JestChaiExpect,
  JestExtend,
  setState,
  type ExpectStatic,
} from '@vitest/expect';
import * as chai from 'chai';

const POLL = { interval: 50, timeout: 20_000 };

type Poll = { readonly interval?: number; readonly timeout?: number };
type Matcher = (this: unknown, ...args: unknown[]) => unknown;

export const expect = made();

function made(): ExpectStatic {
  chai.use(JestExtend);
  chai.use(JestChaiExpect);
  chai.use(JestAsymmetricMatchers);
  const plain = (value: unknown, message?: string): unknown => chai.expect(value, message);
  const whole = Object.assign(plain, chai.expect, Reflect.get(globalThis, ASYMMETRIC_MATCHERS_OBJECT) as object, {
    poll,
  }) as unknown as ExpectStatic;
  Reflect.set(globalThis, GLOBAL_EXPECT, whole);
  setState({ assertionCalls: 0 }, whole);
  return whole;
}

/** `await expect.poll(job).matcher(…)`: again and again until the matcher is content. */
function poll(job: () => unknown, { interval = POLL.interval, timeout = POLL.timeout }: Poll = {}): unknown {
  const assertion = (negated: boolean): unknown =>
    new Proxy(
      {},
      {
        get: (_, name) =>
          name === 'not'
            ? assertion(!negated)
            : async (...args: readonly unknown[]): Promise<void> => {
                const deadline = performance.now() + timeout;
                for (;;) {
                  try {
                    const made = expect(await job());
                    const judged = negated ? made.not : made;
                    await (Reflect.get(judged, name) as Matcher).apply(judged, [...args]);
                    return;
                  } catch (error) {
                    if (performance.now() > deadline) throw error;
                  }
                  await new Promise((resolve) => setTimeout(resolve, interval));
                }
              },
      },
    );
  return assertion(false);
}
