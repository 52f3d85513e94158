import { existsSync, readFileSync } from 'node:fs';
import { InvalidArgumentError } from '../../base/errors.ts';
import type { Config } from '../../config/config.ts';

/** An address pool block as `--default-address-pool` names it. */
export interface AddressPool {
  readonly base: string;
  readonly prefixLength: number;
}

/** One default rlimit. */
export interface DefaultUlimit {
  readonly name: string;
  readonly soft: number;
  readonly hard: number;
}

/** `base=10.0.0.0/8,size=24` … InvalidArgumentError in Docker's words. */
export function addressPoolsOf(config: Config): readonly AddressPool[] {
  return config.get('default-address-pool').map((text) => {
    const fields = new Map(text.split(',').map((field) => field.split('=', 2) as [string, string]));
    const base = fields.get('base');
    const size = Number(fields.get('size'));
    if (base === undefined || !Number.isInteger(size)) {
      throw new InvalidArgumentError(`invalid default address pool: ${text}`);
    }
    return { base, prefixLength: size };
  });
}

/** `bridge=com.docker.network.driver.mtu` → `1400`, by driver. */
export function networkOptionsOf(config: Config): Readonly<Record<string, Readonly<Record<string, string>>>> {
  const byDriver: Record<string, Record<string, string>> = {};
  for (const [name, value] of Object.entries(config.get('default-network-opt'))) {
    const cut = name.indexOf('=');
    const options = (byDriver[name.slice(0, cut)] ??= {});
    options[name.slice(cut + 1)] = value;
  }
  return byDriver;
}

/** `nofile=1024:2048` … */
export function ulimitsOf(config: Config): readonly DefaultUlimit[] {
  return Object.entries(config.get('default-ulimit')).map(([name, limits]) => {
    const [soft, hard = soft] = limits.split(':').map(Number);
    if (soft === undefined || hard === undefined || Number.isNaN(soft) || Number.isNaN(hard) || soft > hard) {
      throw new InvalidArgumentError(`invalid ulimit: ${name}=${limits}`);
    }
    return { name, soft, hard };
  });
}

/** `name=path args` of `--add-runtime`. */
export function addedRuntimesOf(
  config: Config,
): ReadonlyMap<string, { readonly path: string; readonly arguments: readonly string[] }> {
  return new Map(
    Object.entries(config.get('add-runtime')).map(([name, command]) => {
      const [path = '', ...args] = command.split(' ');
      return [name, { path, arguments: args }];
    }),
  );
}

/**
 * The cgroup driver of `--exec-opt native.cgroupdriver`; by default, as dockerd, systemd's where it alone has the
 * (unified) tree. InvalidArgumentError in Docker's words.
 */
export function cgroupDriverOf(
  config: Config,
  cgroupVersion: '1' | '2',
  systemd: boolean = isBootedWithSystemd(),
): 'cgroupfs' | 'systemd' {
  for (const option of config.get('exec-opt')) {
    const [key, value = ''] = option.split('=', 2);
    if (key !== 'native.cgroupdriver') throw new InvalidArgumentError(`invalid option: ${option}`);
    if (value === 'cgroupfs') return value;
    if (value !== 'systemd') throw new InvalidArgumentError(`native.cgroupdriver option ${value} not supported`);
    if (!systemd) {
      throw new InvalidArgumentError(
        'native.cgroupdriver=systemd needs systemd as PID 1, and this host was not booted with it: use native.cgroupdriver=cgroupfs',
      );
    }
    return value;
  }
  return cgroupVersion === '2' && systemd ? 'systemd' : 'cgroupfs';
}

/** True when systemd is PID 1 (sd_booted(3)). */
export function isBootedWithSystemd(): boolean {
  return existsSync('/run/systemd/system');
}

/** `default-ipc-mode` and `default-cgroupns-mode`, checked. */
export function defaultModesOf(
  config: Config,
  cgroupVersion: '1' | '2',
): { readonly ipc: 'private' | 'shareable'; readonly cgroupns: 'private' | 'host' } {
  const ipc = config.get('default-ipc-mode');
  if (ipc !== 'private' && ipc !== 'shareable') throw new InvalidArgumentError(`IPC mode "${ipc}" is invalid`);
  const cgroupns = config.get('default-cgroupns-mode');
  switch (cgroupns) {
    case '':
      return { ipc, cgroupns: cgroupVersion === '2' ? 'private' : 'host' };
    case 'private':
    case 'host':
      return { ipc, cgroupns };
    default:
      throw new InvalidArgumentError(`default cgroup namespace mode (${cgroupns}) is invalid; use "host" or "private"`);
  }
}

/** The bounding set of this process: what it can hand on to containers. */
export function capabilityMask(): bigint {
  const bounding = /^CapBnd:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? '0';
  return BigInt(`0x${bounding}`);
}

/** Proxies for registry traffic. The environment's are the configuration's weakest layer, as in dockerd. */
export function proxiesOf(config: Config): { readonly http: string; readonly https: string; readonly none: string } {
  return { http: config.get('http-proxy'), https: config.get('https-proxy'), none: config.get('no-proxy') };
}
