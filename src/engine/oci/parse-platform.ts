/** Platforms as people write them: containerd's words, `linux/arm64/v8`. */
import { machine } from 'node:os';
import { InvalidArgumentError } from '../../base/errors.ts';
import type { Platform } from './image-spec.ts';
import { normalizePlatform } from './platform.ts';

/** What stands alone for an operating system, and what for an architecture (Go's list). */
const SYSTEMS: ReadonlySet<string> = new Set(
  'aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 solaris windows zos'.split(
    ' ',
  ),
);
const ARCHITECTURES: ReadonlySet<string> = new Set(
  (
    '386 amd64 amd64p32 arm armbe arm64 arm64be ppc64 ppc64le loong64 mips mipsle mips64 mips64le mips64p32 ' +
    'mips64p32le ppc riscv riscv64 s390 s390x sparc sparc64 wasm'
  ).split(' '),
);
const SYSTEM_PATTERN = '^([A-Za-z0-9_-]+)(?:\\(([A-Za-z0-9_.-]*)\\))?$';
const PART_PATTERN = '^[A-Za-z0-9_.-]+$';
const SYSTEM = new RegExp(SYSTEM_PATTERN);
const PART = new RegExp(PART_PATTERN);
/** Go splits off no more. */
const MAX_PARTS = 4;

/** GOARCH for uname's machine. */
export function goArchitecture(machine: string): string {
  return normalizePlatform({ os: 'linux', architecture: machine }).architecture;
}

/** `linux/arm64/v8`, `linux/amd64`, `amd64`; null for ''. InvalidArgumentError in containerd's words. */
export function parsePlatform(text: string): Platform | null {
  if (text === '') return null;
  const quoted = JSON.stringify(text);
  const invalid = (fault: string): InvalidArgumentError => new InvalidArgumentError(`${fault}: invalid argument`);
  if (text.includes('*')) throw invalid(`${quoted}: wildcards not yet supported`);
  const [first = '', ...others] = text.split('/').slice(0, MAX_PARTS);
  const [, system, version = ''] = SYSTEM.exec(first) ?? [];
  if (system === undefined) {
    throw invalid(
      `${JSON.stringify(first)} is an invalid OS component of ${quoted}: OSAndVersion specifier component must match ` +
        JSON.stringify(SYSTEM_PATTERN),
    );
  }
  const bad = others.find((part) => !PART.test(part));
  if (bad !== undefined) {
    throw invalid(
      `${JSON.stringify(bad)} is an invalid component of ${quoted}: platform specifier component must match ` +
        JSON.stringify(PART_PATTERN),
    );
  }
  const [architecture, variant] = others;
  if (others.length > 2) throw invalid(`${quoted}: cannot parse platform specifier`);
  const osVersion = version === '' ? {} : { 'os.version': version };
  if (architecture !== undefined) return specified({ os: system, architecture, ...osVersion }, variant);
  return (
    single(first, { os: system, ...osVersion }) ?? fail(invalid(`${quoted}: unknown operating system or architecture`))
  );
}

/** With two or three parts: taken as it is, known or not. */
function specified(platform: Platform, variant: string | undefined): Platform {
  if (variant === undefined) return plainArm(normalizePlatform(platform));
  const normal = normalizePlatform({ ...platform, variant });
  return normal.architecture === 'arm64' && normal.variant === undefined ? { ...normal, variant: 'v8' } : normal;
}

/** One word: a system or an architecture, the other is this machine's. Null for neither. */
function single(word: string, system: Omit<Platform, 'architecture'>): Platform | null {
  const host = goArchitecture(machine());
  const asSystem = normalizePlatform({ ...system, architecture: host });
  if (SYSTEMS.has(asSystem.os)) return asSystem;
  const asArchitecture = plainArm(normalizePlatform({ os: 'linux', architecture: word }));
  return ARCHITECTURES.has(asArchitecture.architecture) ? asArchitecture : null;
}

/** `arm` alone means v7 but does not say so. */
function plainArm(platform: Platform): Platform {
  if (platform.architecture !== 'arm' || platform.variant !== 'v7') return platform;
  const { variant: _variant, ...plain } = platform;
  return plain;
}

function fail(error: Error): never {
  throw error;
}
