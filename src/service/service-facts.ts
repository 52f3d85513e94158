/** What the D-Bus front tells of the service around the engine; see dbus/service-port.ts. */
import { existsSync, readFileSync, statfsSync } from 'node:fs';
import { MAX_API_VERSION, MIN_API_VERSION } from '../api/compat/version.ts';
import type { Clock } from '../base/clock.ts';
import type { ConfigProblem } from '../config/config.ts';
import type { ConfigFinding, ListenerFact, ServiceChange, ServiceFacts, ServiceState } from '../dbus/service-port.ts';
import type { FirewallFacts } from '../engine/system/types.ts';
import type { LiveConfig } from './live-config.ts';
import type { Reload, ReloadOutcome } from './reload.ts';

/** By which the bus starts polkit when it is asked something. */
const POLKIT_SERVICE = '/usr/share/dbus-1/system-services/org.freedesktop.PolicyKit1.service';

/** The facts, and the doors by which the daemon keeps them right. */
export interface KeptFacts extends ServiceFacts {
  enter(state: ServiceState): void;
  listensOn(listeners: readonly ListenerFact[]): void;
  /** The same reload with its beginning and end made known; SIGHUP goes through it as well. */
  readonly reloadAll: Reload;
}

export function keepServiceFacts(options: {
  readonly version: string;
  readonly clock: Clock;
  readonly config: LiveConfig;
  readonly reload: Reload;
  readonly firewall: () => FirewallFacts;
}): KeptFacts {
  const { version, clock, config, reload, firewall } = options;
  const watchers = new Set<(change: ServiceChange) => void>();
  const tell = (change: ServiceChange): void => {
    for (const watcher of [...watchers]) watcher(change);
  };
  let state: ServiceState = 'starting';
  let listeners: readonly ListenerFact[] = [];
  let pending: readonly string[] = [];
  const enter = (next: ServiceState): void => {
    state = next;
    tell({ kind: 'changed' });
  };
  const reloadAll = async (): Promise<ReloadOutcome> => {
    tell({ kind: 'reloading', active: true });
    enter('reloading');
    try {
      const outcome = await reload();
      pending = outcome.needsRestart;
      return outcome;
    } finally {
      if (state === 'reloading') enter('running');
      tell({ kind: 'reloading', active: false });
    }
  };
  return {
    version,
    apiVersion: MAX_API_VERSION,
    minApiVersion: MIN_API_VERSION,
    startedAt: clock.now(),
    state: () => state,
    listeners: () => listeners,
    pendingRestart: () => pending,
    configFindings: () => config.problems.map(findingOf),
    firewallBackend: () => {
      const { backend, hasFirewalld } = firewall();
      return hasFirewalld ? `firewalld+${backend}` : backend;
    },
    hasPolkit: () => existsSync(POLKIT_SERVICE),
    dataSpace: () => spaceOf(config.get('data-root')),
    cgroupPathsOf,
    reload: async () => (await reloadAll()).changed,
    watch: (listener) => {
      watchers.add(listener);
      return { [Symbol.dispose]: () => void watchers.delete(listener) };
    },
    enter,
    listensOn: (addresses) => {
      listeners = addresses;
    },
    reloadAll,
  };
}

function findingOf({ severity, code, file, line, subject, text, cure }: ConfigProblem): ConfigFinding {
  const place = file === null ? '' : line === null ? file : `${file}:${String(line)}`;
  return {
    severity,
    code: code ?? 'config-problem',
    object: [place, subject].filter((part) => part !== '').join(' '),
    hint: cure === '' ? text : `${text}. ${cure}`,
  };
}

function spaceOf(path: string): { readonly availableBytes: number; readonly totalBytes: number } {
  const { bavail, blocks, bsize } = statfsSync(path);
  return { availableBytes: bavail * bsize, totalBytes: blocks * bsize };
}

/** `hierarchy:controllers:path` a line. */
function cgroupPathsOf(pid: number): readonly string[] {
  try {
    const lines = readFileSync(`/proc/${String(pid)}/cgroup`, 'utf8').split('\n');
    return lines.flatMap((line) => /^\d+:[^:]*:(.*)$/.exec(line)?.[1] ?? []);
  } catch {
    return [];
  }
}
