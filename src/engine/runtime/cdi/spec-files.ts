/** CDI specification files: `*.json` and `*.yaml` in some directories, each with the devices of one kind. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../../../base/errors.ts';

/** What a device, or all devices of a file, change in a container. */
export interface ContainerEdits {
  readonly env?: readonly string[];
  readonly deviceNodes?: readonly DeviceNode[];
  readonly mounts?: readonly {
    readonly hostPath: string;
    readonly containerPath: string;
    readonly options?: readonly string[];
    readonly type?: string;
  }[];
  readonly hooks?: readonly {
    readonly hookName: string;
    readonly path: string;
    readonly args?: readonly string[];
    readonly env?: readonly string[];
    readonly timeout?: number;
  }[];
  readonly additionalGids?: readonly number[];
}

/** A node of `deviceNodes`; what is left out is looked up on the host. */
export interface DeviceNode {
  readonly path: string;
  readonly hostPath?: string;
  readonly type?: string;
  readonly major?: number;
  readonly minor?: number;
  readonly fileMode?: number;
  readonly permissions?: string;
  readonly uid?: number;
  readonly gid?: number;
}

/** One device, with the edits that all of its file's devices share. */
export interface CdiDevice {
  readonly path: string;
  readonly edits: ContainerEdits;
  readonly common: ContainerEdits;
}

/** All devices by qualified name; those that several files of one directory define are nobody's. */
export interface CdiCatalog {
  readonly devices: ReadonlyMap<string, CdiDevice>;
  readonly faults: readonly { readonly path: string; readonly reason: string }[];
}

interface SpecFile {
  readonly cdiVersion?: unknown;
  readonly kind?: unknown;
  readonly devices?: unknown;
  readonly containerEdits?: ContainerEdits;
}

const VERSIONS = ['0.3.0', '0.4.0', '0.5.0', '0.6.0', '0.7.0', '0.8.0', '1.0.0', '1.1.0'];
const KIND = /^[A-Za-z][\w.-]*\/[A-Za-z][\w.-]*$/;
const NAME = /^[A-Za-z0-9]([\w.:-]*[A-Za-z0-9])?$/;

/** Reads all directories, the later the stronger. A file that cannot be used is a fault and hurts no other. */
export async function readCatalog(directories: readonly string[]): Promise<CdiCatalog> {
  const devices = new Map<string, CdiDevice>();
  const faults: { path: string; reason: string }[] = [];
  for (const directory of directories) {
    const here = new Map<string, CdiDevice>();
    const conflicting = new Set<string>();
    for (const path of await filesIn(directory)) {
      try {
        for (const [name, device] of devicesIn(path, await parse(path))) {
          const other = here.get(name);
          if (other !== undefined) {
            conflicting.add(name);
            faults.push({ path, reason: `conflicting device "${name}" (specs "${other.path}", "${path}")` });
          }
          here.set(name, device);
        }
      } catch (error) {
        faults.push({ path, reason: messageOf(error) });
      }
    }
    for (const [name, device] of here) if (!conflicting.has(name)) devices.set(name, device);
    for (const name of conflicting) devices.delete(name);
  }
  return { devices, faults };
}

async function filesIn(directory: string): Promise<readonly string[]> {
  const names = await readdir(directory).catch(() => []);
  return names
    .filter((name) => /\.(json|yaml)$/.test(name))
    .sort()
    .map((name) => join(directory, name));
}

async function parse(path: string): Promise<SpecFile> {
  const text = await readFile(path, 'utf8');
  // Loaded with the first such file: most hosts have none.
  const value: unknown = path.endsWith('.json') ? JSON.parse(text) : (await import('yaml')).parse(text);
  if (typeof value !== 'object' || value === null) throw new Error('invalid CDI Spec: not an object');
  return value;
}

function devicesIn(path: string, file: SpecFile): readonly (readonly [string, CdiDevice])[] {
  const { cdiVersion, kind, devices, containerEdits: common = {} } = file;
  if (typeof cdiVersion !== 'string' || !VERSIONS.includes(cdiVersion.replace(/^v/, ''))) {
    throw new Error(`invalid CDI Spec: invalid version "${String(cdiVersion)}"`);
  }
  if (typeof kind !== 'string' || !KIND.test(kind)) throw new Error(`invalid CDI Spec: invalid kind "${String(kind)}"`);
  if (!Array.isArray(devices) || devices.length === 0) throw new Error('invalid spec, no devices');
  const named = (devices as readonly { name?: unknown; containerEdits?: ContainerEdits }[]).map((device) => {
    const { name, containerEdits: edits = {} } = device;
    if (typeof name !== 'string' || !NAME.test(name)) throw new Error(`invalid device name "${String(name)}"`);
    return [`${kind}=${name}`, { path, edits, common }] as const;
  });
  const twice = named.find(([name], index) => named.findIndex(([other]) => other === name) !== index);
  if (twice !== undefined) throw new Error(`invalid spec, multiple device "${twice[0]}"`);
  return named;
}
