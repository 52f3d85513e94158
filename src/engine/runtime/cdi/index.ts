import { InternalError } from '../../../base/errors.ts';
import type { RuntimeSpec } from '../../oci/runtime-spec.ts';
import type { CdiDevices } from '../cdi.ts';
import { applyEdits } from './edits.ts';
import { readCatalog, type CdiDevice } from './spec-files.ts';

/** The devices described in these directories; read anew each time, since vendors' services write them at any time. */
export function createCdiDevices(directories: readonly string[]): CdiDevices {
  return {
    directories,
    inject: async (spec, names) => inject(directories, spec, names),
    async list() {
      const { devices, faults } = await readCatalog(directories);
      return {
        names: [...devices.keys()].sort(),
        warnings: faults.map(({ path, reason }) => `CDI: Error associated with spec file ${path}: ${reason}`),
      };
    },
  };
}

async function inject(
  directories: readonly string[],
  spec: RuntimeSpec,
  names: readonly string[],
): Promise<RuntimeSpec> {
  if (directories.length === 0) {
    throw new InternalError('CDI device injection failed: no CDI specification directories specified');
  }
  const { devices } = await readCatalog(directories);
  const found = names.map((name) => [name, devices.get(name)] as const);
  const missing = found.filter(([, device]) => device === undefined).map(([name]) => name);
  if (missing.length > 0) {
    throw new InternalError(`CDI device injection failed: unresolvable CDI devices ${missing.join(', ')}`);
  }
  const wanted = found.flatMap(([, device]) => (device === undefined ? [] : [device]));
  return editsOf(wanted).reduce(async (made, edits) => applyEdits(await made, edits), Promise.resolve(spec));
}

/** What all devices of a file share is done once, before the first of them. */
function editsOf(devices: readonly CdiDevice[]): readonly CdiDevice['edits'][] {
  const begun = new Set<string>();
  return devices.flatMap(({ path, common, edits }) => {
    if (begun.has(path)) return [edits];
    begun.add(path);
    return [common, edits];
  });
}
