import type { Stats } from 'node:fs';
import { lstat, readdir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { InternalError, InvalidArgumentError } from '../../../base/errors.ts';
import { majorOf, minorOf } from '../../oci/device-number.ts';
import type { LinuxDevice, LinuxResources } from '../../oci/runtime-spec.ts';
import type { DeviceRequest } from '../spec-types.ts';
import type { DeviceGrant } from './input.ts';

type DeviceRule = NonNullable<LinuxResources['devices']>[number];

const S_IFMT = 0o170000;
const S_IFCHR = 0o020000;
const S_IFBLK = 0o060000;
const PERMISSION_BITS = 0o777;

/** What Docker lets every container touch besides the nodes the runtime makes. */
const DEFAULT_RULES: readonly DeviceRule[] = [
  { allow: true, type: 'c', access: 'm' },
  { allow: true, type: 'b', access: 'm' },
  { allow: true, type: 'c', major: 1, minor: 3, access: 'rwm' },
  { allow: true, type: 'c', major: 1, minor: 5, access: 'rwm' },
  { allow: true, type: 'c', major: 1, minor: 7, access: 'rwm' },
  { allow: true, type: 'c', major: 1, minor: 8, access: 'rwm' },
  { allow: true, type: 'c', major: 1, minor: 9, access: 'rwm' },
  { allow: true, type: 'c', major: 5, minor: 0, access: 'rwm' },
  { allow: true, type: 'c', major: 5, minor: 1, access: 'rwm' },
];

/** Device nodes of `/dev` that a runtime makes anew, or that belong to the host's own terminals and mounts. */
const NOT_HANDED_ON = new Set([
  'pts',
  'shm',
  'fd',
  'mqueue',
  'console',
  '.udev',
  '.lxc',
  '.lxd-mounts',
  'stdin',
  'stdout',
  'stderr',
]);

/** Cgroup rules: all denied, then what is allowed. */
export function deviceRules(
  privileged: boolean,
  grants: readonly DeviceGrant[],
  extraRules: readonly string[],
): readonly DeviceRule[] {
  if (privileged) return [{ allow: true, access: 'rwm' }];
  return [
    { allow: false, access: 'rwm' },
    ...DEFAULT_RULES,
    ...grants.map(({ device, permissions }) => ({
      allow: true,
      type: device.type,
      major: device.major,
      minor: device.minor,
      access: permissions,
    })),
    ...extraRules.map(parseDeviceRule),
  ];
}

/** Parses one `--device-cgroup-rule` (`c 1:3 mr`, `*` for any number). InvalidArgumentError in Docker's words. */
export function parseDeviceRule(rule: string): DeviceRule {
  const match = /^([acb]) ([0-9]+|\*):([0-9]+|\*) ([rwm]{1,3})$/.exec(rule);
  const [, type, major, minor, access] = match ?? [];
  if (type === undefined || major === undefined || minor === undefined || access === undefined) {
    throw new InvalidArgumentError(`invalid device cgroup rule format: '${rule}'`);
  }
  return {
    allow: true,
    type,
    access,
    ...(major === '*' ? {} : { major: Number(major) }),
    ...(minor === '*' ? {} : { minor: Number(minor) }),
  };
}

/**
 * Looks `--device` requests up on the host; a directory stands for the nodes in it and below. InternalError in Docker's
 * words for what is no device.
 */
export async function resolveDevices(requests: readonly DeviceRequest[]): Promise<readonly DeviceGrant[]> {
  const grants: DeviceGrant[] = [];
  for (const { pathOnHost, pathInContainer, permissions } of requests) {
    const resolved = await realpath(pathOnHost).catch(() => pathOnHost);
    const info = await stat(resolved).catch(() => null);
    const found = info?.isDirectory() === true ? await nodesBelow(resolved, pathInContainer) : [];
    const own = info === null ? null : nodeOf(info, pathInContainer);
    const devices = own === null ? found : [own];
    if (devices.length === 0) {
      const reason = info === null ? 'no such file or directory' : 'not a device node';
      throw new InternalError(
        `error gathering device information while adding custom device "${pathOnHost}": ${reason}`,
      );
    }
    grants.push(...devices.map((device) => ({ device, permissions: permissions === '' ? 'rwm' : permissions })));
  }
  return grants;
}

/** All device nodes of the host, for privileged containers. */
export async function hostDevices(): Promise<readonly DeviceGrant[]> {
  return (await nodesBelow('/dev', '/dev', NOT_HANDED_ON)).map((device) => ({ device, permissions: 'rwm' }));
}

/** A privileged container has every node of the host by its own name already; requests add other names. */
export async function devicesOf(
  privileged: boolean,
  requests: readonly DeviceRequest[],
): Promise<readonly DeviceGrant[]> {
  if (!privileged) return resolveDevices(requests);
  const renamed = requests.filter(({ pathOnHost, pathInContainer }) => pathOnHost !== pathInContainer);
  return [...(await hostDevices()), ...(await resolveDevices(renamed))];
}

/** Symbolic links are nodes that stand somewhere else too. */
async function nodesBelow(
  path: string,
  target: string,
  except: ReadonlySet<string> = new Set(),
): Promise<readonly LinuxDevice[]> {
  const names = await readdir(path).catch(() => []);
  const nested = await Promise.all(
    names
      .filter((name) => !except.has(name))
      .map(async (name) => {
        const inner = join(path, name);
        const info = await lstat(inner).catch(() => null);
        if (info === null) return [];
        if (info.isDirectory()) return nodesBelow(inner, join(target, name), except);
        const node = nodeOf(info, join(target, name));
        return node === null ? [] : [node];
      }),
  );
  return nested.flat();
}

function nodeOf(info: Stats, path: string): LinuxDevice | null {
  const kind = info.mode & S_IFMT;
  if (kind !== S_IFCHR && kind !== S_IFBLK) return null;
  return {
    type: kind === S_IFCHR ? 'c' : 'b',
    path,
    major: majorOf(info.rdev),
    minor: minorOf(info.rdev),
    fileMode: info.mode & PERMISSION_BITS,
    uid: info.uid,
    gid: info.gid,
  };
}
