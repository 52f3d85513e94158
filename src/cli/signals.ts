import type { ApiClient } from './client.ts';

/** What a terminal or a supervisor sends to us and means for the container. */
const PROXIED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2'] as const;

/** Passes our signals on to the container until disposed. */
export function proxySignals(client: ApiClient, id: string): Disposable {
  const onSignal = (signal: NodeJS.Signals): void => {
    // A container that has just ended takes no signal: its exit is on its way to us.
    client.post(`/containers/${id}/kill`, { signal }).catch(() => undefined);
  };
  for (const signal of PROXIED) process.on(signal, onSignal);
  return {
    [Symbol.dispose]: () => {
      for (const signal of PROXIED) process.off(signal, onSignal);
    },
  };
}
