/**
 * What the runtime room knows of control groups: which hierarchies this host has, where a container's cgroup lies, how
 * to take one away, and whether the kernel killed something in it for want of memory. Limits are the OCI runtime's
 * business (cgroups(7), kernel docs "cgroup-v1" and "cgroup-v2").
 */
import { readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { errnoCodeOf } from '../../base/errors.ts';
import type { ContainerId } from '../../base/ids.ts';

/** The control groups of this host. */
export interface CgroupHost {
  /** `2` only where there is nothing but the unified hierarchy: Docker's `CgroupVersion`. */
  readonly version: '1' | '2';
  /** `hybrid`: controllers on v1 hierarchies, and an (empty) unified one beside them. */
  readonly layout: 'legacy' | 'hybrid' | 'unified';
  /** Mount point of each hierarchy, by its controllers (`memory`, `cpu,cpuacct`, `name=systemd`, '' for unified). */
  readonly mountPoints: ReadonlyMap<string, string>;
  /** v1 controllers that have a hierarchy which is mounted nowhere here. crun stumbles over these. */
  readonly unmounted: readonly string[];
}

/** Reads the host's set-up from /proc; the texts are arguments so that other hosts can be tried. */
export function detectCgroups(
  texts: { readonly mountinfo: string; readonly cgroups: string } = {
    mountinfo: readFileSync('/proc/self/mountinfo', 'utf8'),
    cgroups: readTextIfThere('/proc/cgroups'),
  },
): CgroupHost {
  const mountPoints = new Map<string, string>();
  for (const line of texts.mountinfo.split('\n')) {
    // 31 23 0:26 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
    const [before, after] = line.split(' - ');
    const path = before?.split(' ')[4];
    const [type, , options] = after?.split(' ') ?? [];
    if (path?.startsWith('/sys/fs/cgroup') !== true) continue;
    if (type === 'cgroup2') mountPoints.set('', path);
    if (type === 'cgroup') mountPoints.set(controllersIn(options ?? ''), path);
  }
  const unified = mountPoints.get('');
  if (unified !== undefined && mountPoints.size === 1) {
    return { version: '2', layout: 'unified', mountPoints, unmounted: [] };
  }
  const mounted = new Set([...mountPoints.keys()].flatMap((names) => names.split(',')));
  const unmounted = attachedControllers(texts.cgroups).filter((name) => !mounted.has(name));
  return { version: '1', layout: unified === undefined ? 'legacy' : 'hybrid', mountPoints, unmounted };
}

/**
 * `cgroupsPath` of a container's config.json. With the cgroupfs driver a path (`/docker/<id>`); with systemd's
 * `slice:prefix:name`, which makes the unit `docker-<id>.scope`.
 */
export function cgroupsPathOf(
  id: ContainerId,
  options: { readonly driver: 'cgroupfs' | 'systemd'; readonly parent: string },
): string {
  if (options.driver === 'systemd') return `${options.parent}:docker:${id}`;
  const parent = options.parent.startsWith('/') ? options.parent : `/${options.parent}`;
  return `${parent.replace(/\/+$/, '')}/${id}`;
}

/**
 * Where the kernel has a cgroup that the runtime was given as `cgroupsPath`, and which systemd unit it is. A slice's
 * name is its path: `a-b.slice` lies in `a.slice` (systemd.slice(5)).
 */
export function placeOfCgroup(cgroupsPath: string): { readonly path: string; readonly unit: string | null } {
  const [slice = '', prefix, name] = cgroupsPath.split(':');
  if (prefix === undefined || name === undefined) return { path: cgroupsPath, unit: null };
  const unit = name.endsWith('.slice') ? name : `${prefix === '' ? '' : `${prefix}-`}${name}.scope`;
  const words = slice
    .replace(/\.slice$/, '')
    .split('-')
    .filter((word) => word !== '');
  const slices = words.map((_, last) => `/${words.slice(0, last + 1).join('-')}.slice`);
  return { path: `${slices.join('')}/${unit}`, unit };
}

/** Removes a cgroup from every hierarchy, with those that were made inside. False when something still lives there. */
export function removeCgroup(host: CgroupHost, path: string): boolean {
  if (path === '' || path === '/' || path.split('/').includes('..')) return false;
  for (const mountPoint of host.mountPoints.values()) {
    if (!removeTree(`${mountPoint}${path}`)) return false;
  }
  return true;
}

/** True when the kernel's OOM killer struck in this cgroup. False when the cgroup has gone. */
export function wasOomKilled(host: CgroupHost, path: string): boolean {
  const unified = host.mountPoints.get('');
  const legacy = [...host.mountPoints].find(([names]) => names.split(',').includes('memory'))?.[1];
  const text =
    legacy === undefined
      ? readTextIfThere(`${unified ?? ''}${path}/memory.events`)
      : readTextIfThere(`${legacy}${path}/memory.oom_control`);
  return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0) > 0;
}

/** The cgroup of a process as its memory (v1) or unified (v2) hierarchy has it, or null when it has gone. */
export function cgroupOfProcess(host: CgroupHost, pid: number): string | null {
  const lines = readTextIfThere(`/proc/${String(pid)}/cgroup`).split('\n');
  for (const line of lines) {
    const [, controllers = '', path = ''] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    const wanted = host.version === '2' ? controllers === '' : controllers.split(',').includes('memory');
    if (wanted && path !== '') return path;
  }
  return null;
}

/** Super-block options of a v1 mount less the words that are no controllers. */
function controllersIn(options: string): string {
  const words = options
    .split(',')
    .filter((word) => !/^(ro|rw|xattr|clone_children|noprefix|release_agent=.*)$/.test(word));
  return words.find((word) => word.startsWith('name=')) ?? words.join(',');
}

/** Names in /proc/cgroups that are enabled and belong to a v1 hierarchy (hierarchy 0 is the unified one). */
function attachedControllers(text: string): readonly string[] {
  return text.split('\n').flatMap((line) => {
    const [, name, hierarchy] = /^([a-z_]+)\t(\d+)\t\d+\t1$/.exec(line) ?? [];
    return name === undefined || hierarchy === '0' ? [] : [name];
  });
}

/** A cgroup with children cannot be removed: innermost first. The files in it go with it. */
function removeTree(path: string): boolean {
  try {
    rmdirSync(path);
    return true;
  } catch (error) {
    const code = errnoCodeOf(error);
    if (code === 'ENOENT') return true;
    if (code !== 'EBUSY' && code !== 'ENOTEMPTY') return false;
  }
  const children = childrenOf(path);
  if (children.length === 0 || !children.every((name) => removeTree(`${path}/${name}`))) return false;
  try {
    rmdirSync(path);
    return true;
  } catch (error) {
    return errnoCodeOf(error) === 'ENOENT';
  }
}

function childrenOf(path: string): readonly string[] {
  try {
    return readdirSync(path, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  } catch {
    return [];
  }
}

function readTextIfThere(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
