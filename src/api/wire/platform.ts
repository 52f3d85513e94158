import { InvalidArgumentError } from '../../base/errors.ts';
import type { Platform } from '../../engine/index.ts';

/** uname's and Docker's names of machines in the image-spec's words. */
const ARCHITECTURES: Readonly<Record<string, string>> = {
  x86_64: 'amd64',
  'x86-64': 'amd64',
  aarch64: 'arm64',
  armhf: 'arm',
  armel: 'arm',
  i386: '386',
  i686: '386',
};

/** Single words that are platforms by themselves; any other must say its system and architecture. */
const KNOWN_ARCHITECTURES: ReadonlySet<string> = new Set([
  '386',
  'amd64',
  'arm',
  'arm64',
  'loong64',
  'mips64',
  'mips64le',
  'ppc64le',
  'riscv64',
  's390x',
]);

/** GOARCH for uname's machine. */
export function goArchitecture(machine: string): string {
  return ARCHITECTURES[machine] ?? machine;
}

/** `linux/arm64/v8`, `linux/amd64`, `amd64`; null for ''. InvalidArgumentError when it is no platform. */
export function parsePlatform(text: string): Platform | null {
  if (text === '') return null;
  const parts = text.toLowerCase().split('/');
  if (parts.length > 3 || parts.some((part) => !/^[a-z0-9_.-]+$/.test(part))) {
    throw new InvalidArgumentError(`${JSON.stringify(text)}: invalid platform`);
  }
  const [os = 'linux', architecture, variant] =
    parts.length === 1 && parts[0] !== 'linux' ? ['linux', ...parts] : parts;
  const isUnknownWord = parts.length === 1 && !KNOWN_ARCHITECTURES.has(goArchitecture(architecture ?? ''));
  if (architecture === undefined || isUnknownWord) {
    throw new InvalidArgumentError(
      `${JSON.stringify(text)}: unknown operating system or architecture: invalid argument`,
    );
  }
  const normal = { os, architecture: goArchitecture(architecture) };
  // arm64 is v8 unless said otherwise (image-spec, "Platform Variants").
  return variant === undefined || (normal.architecture === 'arm64' && variant === 'v8')
    ? normal
    : { ...normal, variant };
}
