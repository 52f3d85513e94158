/**
 * Platforms by containerd's rules (github.com/containerd/platforms): how they are spelled in one way only, which ones a
 * machine also runs, and when an image fits.
 */
import type { Platform } from './image-spec.ts';

/** Other names of architectures; some bring their variant. */
const ARCHITECTURES: Readonly<Record<string, readonly [architecture: string, variant: string | null]>> = {
  i386: ['386', ''],
  x86_64: ['amd64', null],
  'x86-64': ['amd64', null],
  aarch64: ['arm64', null],
  armhf: ['arm', 'v7'],
  armel: ['arm', 'v6'],
};

/** ARM's v9.x has the instructions of v8.(x+5), up to v8.9. */
const ARM_V9_LEAD = 5;
const LAST_ARM_V8_MINOR = 9;
/** 32-bit ARM below this is run by nobody. */
const OLDEST_ARM = 5;

/** `os/architecture[/variant]`; `unknown` without an operating system. */
export function platformText({ os, architecture, variant, 'os.version': version }: Platform): string {
  if (os === '') return 'unknown';
  const system = version === undefined || version === '' ? os : `${os}(${version})`;
  return [system, architecture, variant ?? ''].filter((part) => part !== '').join('/');
}

/** The one spelling of a platform: lower case, Go's names, no variant where it is the architecture's plain one. */
export function normalizePlatform(platform: Platform): Platform {
  const os = platform.os === '' ? 'linux' : platform.os.toLowerCase();
  const given = platform.architecture.toLowerCase();
  const [architecture, implied] = ARCHITECTURES[given] ?? [given, null];
  const variant = normalVariant(architecture, implied ?? (platform.variant ?? '').toLowerCase());
  const version = platform['os.version'];
  return {
    os: os === 'macos' ? 'darwin' : os,
    architecture,
    ...(variant === '' ? {} : { variant }),
    ...(version === undefined || version === '' ? {} : { 'os.version': version }),
  };
}

/** What a machine of this platform runs, best first: itself, older variants, 32-bit kin. */
export function runnablePlatforms(platform: Platform): readonly Platform[] {
  const normal = normalizePlatform(platform);
  const { os, architecture, variant = '' } = normal;
  switch (architecture) {
    case 'amd64':
      return [normal, ...countDown(os, architecture, versionOf(variant) - 1, 1), { os, architecture: '386' }];
    case 'arm':
      return [normal, ...countDown(os, architecture, versionOf(variant) - 1, OLDEST_ARM)];
    case 'arm64':
      return arm64Platforms(os, variant);
    default:
      return [normal];
  }
}

/** How well `offered` suits: its place in what the machine runs, 0 for the very thing; null for not at all. */
export function suitability(offered: Platform, runnable: readonly Platform[]): number | null {
  const normal = normalizePlatform(offered);
  const place = runnable.findIndex((each) => isSame(normal, normalizePlatform(each)));
  return place < 0 ? null : place;
}

/**
 * Whether an image of this platform is what was asked for, or runs on it. Many images of machines with variants name
 * none: those are taken by their architecture.
 */
export function fits(image: Platform, wanted: Platform): boolean {
  if (suitability(image, runnablePlatforms(wanted)) !== null) return true;
  if (image.variant !== undefined && image.variant !== '') return false;
  const [offered, asked] = [normalizePlatform(image), normalizePlatform(wanted)];
  return offered.os === asked.os && offered.architecture === asked.architecture;
}

function isSame(a: Platform, b: Platform): boolean {
  return a.os === b.os && a.architecture === b.architecture && (a.variant ?? '') === (b.variant ?? '');
}

function normalVariant(architecture: string, variant: string): string {
  switch (architecture) {
    case 'amd64':
      return variant === 'v1' ? '' : variant;
    case 'arm64':
      if (['8', 'v8', 'v8.0'].includes(variant)) return '';
      return ['9', '9.0', 'v9.0'].includes(variant) ? 'v9' : variant;
    case 'arm':
      if (variant === '') return 'v7';
      return /^[5-8]$/.test(variant) ? `v${variant}` : variant;
    default:
      return variant;
  }
}

function arm64Platforms(os: string, variant: string): readonly Platform[] {
  const match = /^v([89])(?:\.(\d))?$/.exec(variant === '' ? 'v8' : variant);
  const arm32 = countDown(os, 'arm', 8, OLDEST_ARM);
  // Of a variant that nobody knows, nothing is known to run on it.
  if (match === null) return [];
  const [major, minor] = [Number(match[1]), Number(match[2] ?? 0)];
  const v8 = (highest: number): readonly Platform[] => minors(os, 8, Math.min(highest, LAST_ARM_V8_MINOR));
  return major === 8 ? [...v8(minor), ...arm32] : [...minors(os, 9, minor), ...v8(minor + ARM_V9_LEAD), ...arm32];
}

function minors(os: string, major: number, highest: number): readonly Platform[] {
  return Array.from({ length: highest + 1 }, (_, below) =>
    normalizePlatform({ os, architecture: 'arm64', variant: `v${String(major)}.${String(highest - below)}` }),
  );
}

/** `v<highest>` … `v<lowest>` of an architecture. */
function countDown(os: string, architecture: string, highest: number, lowest: number): readonly Platform[] {
  return Array.from({ length: Math.max(0, highest - lowest + 1) }, (_, below) =>
    normalizePlatform({ os, architecture, variant: `v${String(highest - below)}` }),
  );
}

/** 3 of `v3`; 0 when it says no number. */
function versionOf(variant: string): number {
  return Number(/^v?(\d+)$/.exec(variant)?.[1] ?? 0);
}
