/**
 * Seccomp filters of containers: which profile, what it means for this container, and the compiled program. What is not
 * here: which calls a profile names is data (default-profile.ts), and loading a filter is the OCI runtime's work.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { arch, release } from 'node:os';
import { join } from 'node:path';
import { errnoCodeOf } from '../../../base/errors.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import type { LinuxSeccomp } from '../../oci/runtime-spec.ts';
import type { SeccompDecision, SeccompRequest, SeccompService } from '../seccomp.ts';
import { DEFAULT_PROFILE } from './default-profile.ts';
import { parseProfile, resolve, type SeccompProfile, type SeccompSubject } from './profile.ts';

/** What the composition root hands in. */
export interface SeccompOptions {
  readonly kernel: Pick<Kernel, 'seccomp'>;
  /** Directory below the exec-root for compiled programs: they hold for this boot's kernel only. */
  readonly cachePath: string;
  /** `--seccomp-profile`: text of a profile, `unconfined`, or null for the built-in one. */
  readonly defaultProfile: string | null;
}

const COMPILED_ANNOTATION = 'run.oci.seccomp_bpf_data';
const UNCONFINED: SeccompDecision = { seccomp: null, annotations: {} };
/** Distinct profiles × capability sets kept in memory; a program is 8 KiB. */
const MAX_DECISIONS = 256;

/** The service of this engine. */
export function createSeccomp(options: SeccompOptions): SeccompService {
  return new SeccompProfiles(options);
}

/**
 * libseccomp needs 8 ms for a profile, half the time of a start: it is compiled
 * once for each profile and capability set, kept in memory and on disk, and handed to runtimes that take it compiled.
 */
class SeccompProfiles implements SeccompService {
  readonly #options: SeccompOptions;
  readonly #machine: Omit<SeccompSubject, 'capabilities'>;
  readonly #decisions = new Map<string, SeccompDecision>();

  constructor(options: SeccompOptions) {
    this.#options = options;
    this.#machine = { arch: arch() === 'arm64' ? 'arm64' : 'amd64', kernelRelease: release() };
  }

  seccompFor(request: SeccompRequest): SeccompDecision {
    const text = profileTextOf(request) ?? this.#options.defaultProfile;
    if (text === 'unconfined') return UNCONFINED;
    const compiled = request.runtime.acceptsCompiledSeccomp;
    const key = JSON.stringify([text, compiled, [...request.capabilities].sort()]);
    const known = this.#decisions.get(key);
    if (known !== undefined) return known;
    const profile = text === null || text === 'builtin' ? DEFAULT_PROFILE : parseProfile(text);
    const decision = this.#decide(profile, request.capabilities, compiled);
    if (this.#decisions.size >= MAX_DECISIONS) this.#decisions.clear();
    this.#decisions.set(key, decision);
    return decision;
  }

  #decide(profile: SeccompProfile, capabilities: readonly string[], compiled: boolean): SeccompDecision {
    const seccomp = resolve(profile, { ...this.#machine, capabilities });
    if (seccomp === null) return UNCONFINED;
    const program = compiled && isCompilable(seccomp) ? this.#programOf(seccomp) : null;
    return program === null
      ? { seccomp, annotations: {} }
      : { seccomp: null, annotations: { [COMPILED_ANNOTATION]: program.toString('base64') } };
  }

  #programOf(seccomp: LinuxSeccomp): Buffer | null {
    const hash = createHash('sha256').update(this.#machine.kernelRelease).update(JSON.stringify(seccomp)).digest('hex');
    const path = join(this.#options.cachePath, `${hash}.bpf`);
    const kept = readIfThere(path);
    if (kept !== null) return kept;
    const program = this.#options.kernel.seccomp.compile(seccomp);
    if (program !== null) keep(path, program);
    return program;
  }
}

/**
 * The profile that the container names: its text, `unconfined`, `builtin`, or null for the engine's default. The last
 * option wins. A privileged container is filtered only when it names a profile.
 */
function profileTextOf({ privileged, securityOptions }: SeccompRequest): string | null {
  const named = securityOptions.flatMap((option) => /^seccomp[=:](.*)$/s.exec(option)?.[1] ?? []).at(-1) ?? null;
  return named ?? (privileged ? 'unconfined' : null);
}

/** Flags and the handing over to another process are the runtime's to set up, from the JSON. */
function isCompilable(seccomp: LinuxSeccomp): boolean {
  const notifies = (seccomp.syscalls ?? []).some(({ action }) => action === 'SCMP_ACT_NOTIFY');
  return seccomp.flags === undefined && !notifies && seccomp.defaultAction !== 'SCMP_ACT_NOTIFY';
}

/** A BPF program is whole instructions of eight bytes; anything else is no program of ours. */
function readIfThere(path: string): Buffer | null {
  try {
    const program = readFileSync(path);
    return program.length > 0 && program.length % 8 === 0 ? program : null;
  } catch (error) {
    if (errnoCodeOf(error) === 'ENOENT') return null;
    throw error;
  }
}

/** Moved into place whole: a cut program would be another filter. */
function keep(path: string, program: Buffer): void {
  mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 });
  writeFileSync(`${path}.new`, program, { mode: 0o600 });
  renameSync(`${path}.new`, path);
}
