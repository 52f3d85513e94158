/** The seam by which the containers room asks for a container's system-call filter; seccomp/ decides and compiles. */
import type { LinuxSeccomp } from '../oci/runtime-spec.ts';
import type { OciRuntime } from './runtime.ts';

/** Decides the filter of each container. */
export interface SeccompService {
  /** InvalidArgumentError in Docker's words for a profile that cannot be read. */
  seccompFor(request: SeccompRequest): SeccompDecision;
}

/** How one container is to be filtered. */
export interface SeccompDecision {
  /** Goes into config.json; null where a compiled program is in `annotations`, or the container is unconfined. */
  readonly seccomp: LinuxSeccomp | null;
  readonly annotations: Readonly<Record<string, string>>;
}

/** What is asked for one container. */
export interface SeccompRequest {
  readonly privileged: boolean;
  /** The bounding set. */
  readonly capabilities: readonly string[];
  /** `--security-opt`; those that are not about seccomp are passed over. */
  readonly securityOptions: readonly string[];
  readonly runtime: Pick<OciRuntime, 'acceptsCompiledSeccomp'>;
}
