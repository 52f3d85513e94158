import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { InvalidArgumentError } from '../../../base/errors.ts';
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

/** Looks `--device` requests up on the host; a directory stands for the nodes in it. */
export async function resolveDevices(requests: readonly DeviceRequest[]): Promise<readonly DeviceGrant[]> {
  const grants: DeviceGrant[] = [];
  for (const request of requests) {
    const found = await nodesAt(request.pathOnHost, request.pathInContainer);
    if (found.length === 0) {
      throw new InvalidArgumentError(
        `error gathering device information while adding custom device "${request.pathOnHost}": no such file or directory`,
      );
    }
    const permissions = request.permissions === '' ? 'rwm' : request.permissions;
    grants.push(...found.map((device) => ({ device, permissions })));
  }
  return grants;
}

/** All device nodes of the host, for privileged containers. */
export async function hostDevices(): Promise<readonly DeviceGrant[]> {
  return (await nodesAt('/dev', '/dev')).map((device) => ({ device, permissions: 'rwm' }));
}

async function nodesAt(path: string, target: string): Promise<readonly LinuxDevice[]> {
  const info = await stat(path).catch(() => null);
  if (info === null) return [];
  if (info.isDirectory()) {
    const names = (await readdir(path)).filter((name) => !NOT_HANDED_ON.has(name));
    const nested = await Promise.all(names.map((name) => nodesAt(join(path, name), join(target, name))));
    return nested.flat();
  }
  const kind = info.mode & S_IFMT;
  if (kind !== S_IFCHR && kind !== S_IFBLK) return [];
  return [
    {
      type: kind === S_IFCHR ? 'c' : 'b',
      path: target,
      major: majorOf(info.rdev),
      minor: minorOf(info.rdev),
      fileMode: info.mode & PERMISSION_BITS,
      uid: info.uid,
      gid: info.gid,
    },
  ];
}

/** Linux's packing of a device number (glibc gnu_dev_major): 12 bits major, 20 bits minor. */
function majorOf(device: number): number {
  return Math.floor(device / 256) & 0xfff;
}

function minorOf(device: number): number {
  return (device & 0xff) + ((Math.floor(device / 2 ** 12) >>> 0) & 0xfff00);
}
