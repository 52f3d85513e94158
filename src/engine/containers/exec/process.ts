import { readFileSync } from 'node:fs';
import type { ProcessSpec, RuntimeSpec } from '../../oci/runtime-spec.ts';
import type { Container } from '../container.ts';
import type { Room } from '../room.ts';
import { execProcessOf } from '../spec/runtime-spec.ts';
import type { ExecSpec } from '../types.ts';
import { resolveUser } from '../setup/user.ts';

/** The process of an exec, or of a health check's probe: the container's own with what `spec` says. */
export function execProcess(
  room: Room,
  container: Container,
  spec: ExecSpec,
  options: { readonly terminal: boolean; readonly consoleSize: readonly [number, number] | null },
): ProcessSpec {
  const own = container.document.spec;
  const user = resolveUser(
    room.files,
    container.paths.rootfs,
    spec.user === '' ? own.user : spec.user,
    own.host.groupAdd,
  );
  const consoleSize = options.consoleSize ?? spec.consoleSize;
  return execProcessOf(
    processOfContainer(container),
    { ...spec, terminal: options.terminal, consoleSize },
    user,
    room.options.capabilityMask,
  );
}

/** What execs inherit; after a restart of the daemon it is read back from the bundle. */
function processOfContainer(container: Container): ProcessSpec {
  container.process ??= (JSON.parse(readFileSync(container.paths.config, 'utf8')) as RuntimeSpec).process;
  return container.process;
}
