import { describe, expect, it } from 'vitest';
import { Waiters } from '../../../../../src/engine/containers/life/waiters.ts';
import { settle } from '../../../../support/fake-clock.ts';

describe('waiters', () => {
  it('see the first of two exits close together', async () => {
    const waiters = new Waiters();
    const first = waiters.add('not-running', null);
    waiters.exited({ exitCode: 1, error: null });
    const second = waiters.add('next-exit', null);
    waiters.exited({ exitCode: 2, error: null });
    expect([await first, await second].map(({ exitCode }) => exitCode)).toEqual([1, 2]);
  });

  it('for removal wait on at an exit; removal ends every wait', async () => {
    const waiters = new Waiters();
    const gone = waiters.add('removed', null);
    const exit = waiters.add('next-exit', null);
    let isGone = false;
    void gone.then(() => {
      isGone = true;
    });
    waiters.exited({ exitCode: 1, error: null });
    await settle();
    expect(isGone).toBe(false);
    const late = waiters.add('not-running', null);
    waiters.removed({ exitCode: 1, error: 'busy' });
    expect(await gone).toEqual({ exitCode: 1, error: 'busy' });
    expect(await exit).toEqual({ exitCode: 1, error: null });
    expect(await late).toEqual({ exitCode: 1, error: 'busy' });
  });

  it('are let go by their signal, also one that was aborted before', async () => {
    const waiters = new Waiters();
    const client = new AbortController();
    const pending = waiters.add('next-exit', client.signal);
    client.abort(new Error('gone'));
    await expect(pending).rejects.toThrow('gone');
    await expect(waiters.add('removed', client.signal)).rejects.toThrow('gone');
    waiters.exited({ exitCode: 1, error: null });
  });

  it('that were told stay told when their signal is aborted later', async () => {
    const waiters = new Waiters();
    const client = new AbortController();
    const pending = waiters.add('next-exit', client.signal);
    waiters.exited({ exitCode: 1, error: null });
    client.abort();
    expect(await pending).toEqual({ exitCode: 1, error: null });
  });
});
