/** This machine in the image-spec's words (GOARCH names). */
import { readFileSync } from 'node:fs';
import { arch, endianness } from 'node:os';
import type { Platform } from '../../engine/index.ts';

/** Node's names of architectures where Go has others. */
const GO_NAMES: Readonly<Record<string, string>> = {
  x64: 'amd64',
  ia32: '386',
  ppc64: endianness() === 'LE' ? 'ppc64le' : 'ppc64',
};

/** What each level of x86-64 asks of a CPU beyond the one before (psABI), as /proc/cpuinfo spells it. */
const AMD64_LEVELS: readonly (readonly [level: string, flags: readonly string[]])[] = [
  ['v2', ['cx16', 'lahf_lm', 'popcnt', 'pni', 'sse4_1', 'sse4_2', 'ssse3']],
  ['v3', ['avx', 'avx2', 'bmi1', 'bmi2', 'f16c', 'fma', 'abm', 'movbe', 'xsave']],
  ['v4', ['avx512f', 'avx512bw', 'avx512cd', 'avx512dq', 'avx512vl']],
];

/** As images name it. */
export function hostPlatform(): Platform {
  const architecture = GO_NAMES[arch()] ?? arch();
  return { os: 'linux', architecture, ...(architecture === 'arm64' ? { variant: 'v8' } : {}) };
}

/** With the highest level that the CPU has: an index may offer images for it. */
export function bestPlatform(): Platform {
  const platform = hostPlatform();
  if (platform.architecture !== 'amd64') return platform;
  const level = amd64Level(readFileSync('/proc/cpuinfo', 'utf8'));
  return level === null ? platform : { ...platform, variant: level };
}

/** The x86-64 level of the first CPU in /proc/cpuinfo; null for the first level, which goes without saying. */
export function amd64Level(cpuInfo: string): string | null {
  const flags = new Set(/^flags\s*:(.*)$/m.exec(cpuInfo)?.[1]?.trim().split(/\s+/));
  let level: string | null = null;
  for (const [name, needed] of AMD64_LEVELS) {
    if (!needed.every((flag) => flags.has(flag))) break;
    level = name;
  }
  return level;
}
