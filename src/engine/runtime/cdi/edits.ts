/** What CDI's container edits mean for a bundle's configuration (CDI's SPEC.md, "OCI Edits"). */
import { stat } from 'node:fs/promises';
import { InternalError } from '../../../base/errors.ts';
import { majorOf, minorOf } from '../../oci/device-number.ts';
import type { LinuxDevice, RuntimeSpec, SpecHook, SpecMount } from '../../oci/runtime-spec.ts';
import type { ContainerEdits, DeviceNode } from './spec-files.ts';

const S_IFMT = 0o170000;
const TYPES: Readonly<Record<number, string>> = { 0o020000: 'c', 0o060000: 'b', 0o010000: 'p' };

/** The configuration after the edits; the given one stays as it is. */
export async function applyEdits(spec: RuntimeSpec, edits: ContainerEdits): Promise<RuntimeSpec> {
  const withNodes = await (edits.deviceNodes ?? []).reduce(
    async (made, node) => withDevice(await made, node),
    Promise.resolve(spec),
  );
  const { process } = withNodes;
  const gids = (edits.additionalGids ?? []).filter((gid) => gid !== 0);
  return {
    ...withNodes,
    process: {
      ...process,
      env: withEnv(process.env, edits.env ?? []),
      user: { ...process.user, additionalGids: [...new Set([...(process.user.additionalGids ?? []), ...gids])] },
    },
    mounts: withMounts(withNodes.mounts, edits.mounts ?? []),
    ...hooksOf(withNodes, edits.hooks ?? []),
  };
}

async function withDevice(spec: RuntimeSpec, node: DeviceNode): Promise<RuntimeSpec> {
  const { process, linux } = spec;
  const { type, major, minor, ...facts } = await completed(node);
  const uid = node.uid ?? (process.user.uid > 0 ? process.user.uid : undefined);
  const gid = node.gid ?? (process.user.gid > 0 ? process.user.gid : undefined);
  const device: LinuxDevice = {
    type,
    path: node.path,
    major,
    minor,
    ...facts,
    ...(uid === undefined ? {} : { uid }),
    ...(gid === undefined ? {} : { gid }),
  };
  const rule = { allow: true, type, major, minor, access: node.permissions ?? 'rwm' };
  return {
    ...spec,
    linux: {
      ...linux,
      devices: [...(linux.devices ?? []).filter(({ path }) => path !== node.path), device],
      resources: {
        ...linux.resources,
        devices: [...(linux.resources?.devices ?? []), ...(type === 'p' ? [] : [rule])],
      },
    },
  };
}

async function completed(
  node: DeviceNode,
): Promise<{ readonly type: string; readonly major: number; readonly minor: number; readonly fileMode?: number }> {
  const { type, major, minor, fileMode } = node;
  const mode = fileMode === undefined ? {} : { fileMode };
  if (type !== undefined && (type === 'p' || (major !== undefined && minor !== undefined))) {
    return { type, major: major ?? 0, minor: minor ?? 0, ...mode };
  }
  const path = node.hostPath ?? node.path;
  const found = await stat(path).catch(() => null);
  const kind = found === null ? undefined : TYPES[found.mode & S_IFMT];
  if (found === null || kind === undefined) {
    const reason = found === null ? 'no such file or directory' : 'not a device node';
    throw new InternalError(`CDI device injection failed: failed to stat CDI host device "${path}": ${reason}`);
  }
  return {
    type: type ?? kind,
    major: major ?? majorOf(found.rdev),
    minor: minor ?? minorOf(found.rdev),
    ...mode,
  };
}

function withEnv(env: readonly string[], added: readonly string[]): readonly string[] {
  const nameOf = (line: string): string => line.split('=', 1)[0] ?? line;
  const names = new Set(added.map(nameOf));
  return [...env.filter((line) => !names.has(nameOf(line))), ...added];
}

/** Outer mounts first: an inner one would be covered. */
function withMounts(mounts: RuntimeSpec['mounts'], added: NonNullable<ContainerEdits['mounts']>): readonly SpecMount[] {
  const targets = new Set(added.map(({ containerPath }) => containerPath));
  const depthOf = (path: string): number => path.split('/').length;
  const made = [...added]
    .sort((a, b) => depthOf(a.containerPath) - depthOf(b.containerPath))
    .map(({ hostPath, containerPath, type, options }) => ({
      destination: containerPath,
      source: hostPath,
      // A runtime makes a bind of this by the option; without one it would be no mount at all.
      type: type ?? 'bind',
      options: options ?? ['rbind', 'nosuid', 'nodev'],
    }));
  return [...mounts.filter(({ destination }) => !targets.has(destination)), ...made];
}

function hooksOf(spec: RuntimeSpec, added: NonNullable<ContainerEdits['hooks']>): Pick<RuntimeSpec, 'hooks'> {
  if (added.length === 0) return spec.hooks === undefined ? {} : { hooks: spec.hooks };
  const hooks: Record<string, readonly SpecHook[]> = { ...spec.hooks };
  for (const { hookName, ...hook } of added) hooks[hookName] = [...(hooks[hookName] ?? []), hook];
  return { hooks };
}
