/**
 * Docker's seccomp profile format: the runtime-spec's, with rules that hold only for some capabilities, machines and
 * kernels. `resolve` works those out for one container. Error texts are Docker's.
 */
import { InvalidArgumentError, messageOf } from '../../../base/errors.ts';
import type { LinuxSeccomp } from '../../oci/runtime-spec.ts';

/** When a rule holds. `arches` in Go's names (`amd64`, `arm64`). */
export interface SeccompCondition {
  readonly caps?: readonly string[] | null;
  readonly arches?: readonly string[] | null;
  /** `4.8` */
  readonly minKernel?: string;
}

/** One rule of a profile. */
export interface SeccompRule {
  /** The old form of `names`. */
  readonly name?: string;
  readonly names?: readonly string[] | null;
  readonly action: string;
  readonly errnoRet?: number;
  readonly args?: readonly SyscallArgument[] | null;
  readonly includes?: SeccompCondition | null;
  readonly excludes?: SeccompCondition | null;
}

type SyscallArgument = NonNullable<NonNullable<LinuxSeccomp['syscalls']>[number]['args']>[number];

/** A whole profile. */
export interface SeccompProfile {
  readonly defaultAction?: string;
  readonly defaultErrnoRet?: number;
  readonly architectures?: readonly string[] | null;
  readonly archMap?:
    | readonly {
        readonly architecture: string;
        readonly subArchitectures?: readonly string[] | null;
      }[]
    | null;
  readonly flags?: readonly string[] | null;
  readonly listenerPath?: string;
  readonly listenerMetadata?: string;
  readonly syscalls?: readonly SeccompRule[] | null;
}

/** The machine and container a profile is resolved for. */
export interface SeccompSubject {
  /** Go's name of the machine. */
  readonly arch: 'amd64' | 'arm64';
  /** `6.1.0-13-amd64` */
  readonly kernelRelease: string;
  /** The bounding set. */
  readonly capabilities: readonly string[];
}

const NATIVE: Readonly<Record<SeccompSubject['arch'], string>> = {
  amd64: 'SCMP_ARCH_X86_64',
  arm64: 'SCMP_ARCH_AARCH64',
};

/** Reads a profile as `--security-opt seccomp=` carries it. InvalidArgumentError when it is none. */
export function parseProfile(text: string): SeccompProfile {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new InvalidArgumentError(`Decoding seccomp profile failed: ${messageOf(error)}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new InvalidArgumentError('Decoding seccomp profile failed: not a JSON object');
  }
  return value;
}

/** What the profile means for one container; null when it names no default action, which restricts nothing. */
export function resolve(profile: SeccompProfile, subject: SeccompSubject): LinuxSeccomp | null {
  if (profile.defaultAction === undefined || profile.defaultAction === '') return null;
  const syscalls = (profile.syscalls ?? []).filter((rule) => holds(rule, subject)).map(toSpec);
  return {
    defaultAction: profile.defaultAction,
    ...(profile.defaultErrnoRet === undefined ? {} : { defaultErrnoRet: profile.defaultErrnoRet }),
    architectures: architecturesOf(profile, subject),
    ...((profile.flags ?? []).length === 0 ? {} : { flags: profile.flags ?? [] }),
    ...listenerOf(profile),
    syscalls,
  };
}

function architecturesOf(profile: SeccompProfile, { arch }: SeccompSubject): readonly string[] {
  const map = profile.archMap ?? [];
  const listed = profile.architectures ?? [];
  if (map.length > 0 && listed.length > 0) {
    throw new InvalidArgumentError(
      "both 'architectures' and 'archMap' are specified in the seccomp profile, use either 'architectures' or 'archMap'",
    );
  }
  if (map.length === 0) return listed;
  const native = map.find(({ architecture }) => architecture === NATIVE[arch]);
  return native === undefined ? [] : [native.architecture, ...(native.subArchitectures ?? [])];
}

/** For profiles that hand decisions to another process; the runtime understands these words. */
function listenerOf({ listenerPath, listenerMetadata }: SeccompProfile): object {
  return listenerPath === undefined || listenerPath === '' ? {} : { listenerPath, listenerMetadata };
}

function holds({ includes, excludes }: SeccompRule, subject: SeccompSubject): boolean {
  const has = (capability: string): boolean => subject.capabilities.includes(capability);
  if (excludes?.arches?.includes(subject.arch) === true) return false;
  if (excludes?.caps?.some(has) === true) return false;
  if (excludes?.minKernel !== undefined && isAtLeast(subject.kernelRelease, excludes.minKernel)) return false;
  const arches = includes?.arches ?? [];
  if (arches.length > 0 && !arches.includes(subject.arch)) return false;
  if (includes?.caps?.every(has) === false) return false;
  return includes?.minKernel === undefined || isAtLeast(subject.kernelRelease, includes.minKernel);
}

function toSpec(rule: SeccompRule): NonNullable<LinuxSeccomp['syscalls']>[number] {
  const names = rule.names ?? [];
  if (rule.name !== undefined && rule.name !== '' && names.length > 0) {
    throw new InvalidArgumentError(
      "both 'name' and 'names' are specified in the seccomp profile, use either 'name' or 'names'",
    );
  }
  return {
    names: names.length > 0 ? names : [rule.name ?? ''],
    action: rule.action,
    ...(rule.errnoRet === undefined ? {} : { errnoRet: rule.errnoRet }),
    ...((rule.args ?? []).length === 0 ? {} : { args: rule.args ?? [] }),
  };
}

/** Compares the first two numbers: `6.1.0-13` is at least `4.8`. */
function isAtLeast(release: string, minimum: string): boolean {
  const [major = 0, minor = 0] = numbersIn(release);
  const [minMajor = 0, minMinor = 0] = numbersIn(minimum);
  return major > minMajor || (major === minMajor && minor >= minMinor);
}

function numbersIn(text: string): readonly number[] {
  return (/^\d+(\.\d+)?/.exec(text)?.[0] ?? '').split('.').map(Number);
}
