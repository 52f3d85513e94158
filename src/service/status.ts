import type { Clock } from '../base/clock.ts';
import type { Events } from '../engine/events/types.ts';
import type { Notifier } from './notify.ts';

/** A burst of starts and ends is told of once. */
const CALM_MS = 250;

/** Tells READY, and from then on what `systemctl status` shows: how many containers run. */
export function followStatus(options: {
  readonly events: Pick<Events, 'listen'>;
  readonly clock: Clock;
  readonly notifier: Notifier;
  readonly counts: () => { readonly live: number; readonly restarting: number };
}): Disposable {
  const { events, clock, notifier, counts } = options;
  let said = statusText(counts());
  let timer: Disposable | null = null;
  notifier.ready(said);
  const tell = (): void => {
    timer = null;
    const text = statusText(counts());
    if (text !== said) notifier.status(text);
    said = text;
  };
  const listening = events.listen(({ type }) => {
    if (type === 'container' && notifier.active) timer ??= clock.after(CALM_MS, tell);
  });
  return {
    [Symbol.dispose]: () => {
      listening[Symbol.dispose]();
      timer?.[Symbol.dispose]();
    },
  };
}

/** `1 container running, 2 restarting` */
export function statusText({ live, restarting }: { readonly live: number; readonly restarting: number }): string {
  const running = live === 0 ? 'No container running' : `${String(live)} container${live === 1 ? '' : 's'} running`;
  return restarting === 0 ? running : `${running}, ${String(restarting)} restarting`;
}
