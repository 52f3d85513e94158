import { readFile } from 'node:fs/promises';
import { readFileSync } from 'node:fs';
import { InternalError } from '../../../base/errors.ts';
import type { Kernel } from '../../kernel/kernel.ts';
import type { AppArmor } from '../apparmor.ts';
import { DEFAULT_PROFILE_NAME, profileText } from './default-profile.ts';

/** What the composition root hands in. */
export interface AppArmorOptions {
  readonly kernel: Pick<Kernel, 'processes'>;
  /** apparmor_parser(8), or null where it is not installed. */
  readonly parserPath: string | null;
  readonly enabledPath?: string;
  readonly loadedPath?: string;
  /** Directory with the distribution's `tunables/global` and `abstractions/base`. */
  readonly policyPath?: string;
}

const ENABLED = '/sys/module/apparmor/parameters/enabled';
const LOADED = '/sys/kernel/security/apparmor/profiles';
const POLICY = '/etc/apparmor.d';
const UNCONFINED = 'unconfined';

/** AppArmor of this host. Without apparmor_parser the engine cannot load its profile, and counts it as not there. */
export function createAppArmor(options: AppArmorOptions): AppArmor {
  const { enabledPath = ENABLED, loadedPath = LOADED, parserPath } = options;
  const isSupported = parserPath !== null && textOf(enabledPath).startsWith('Y');
  return {
    isSupported,
    async profileFor({ privileged, named }) {
      if (!isSupported) return null;
      const profile = named ?? (privileged ? UNCONFINED : DEFAULT_PROFILE_NAME);
      if (profile === DEFAULT_PROFILE_NAME && !(await isLoaded(loadedPath))) await load(options, parserPath);
      return profile;
    },
  };
}

/** Looked at with each start: upgrades of a host's policy unload what is in none of its files. */
async function isLoaded(loadedPath: string): Promise<boolean> {
  const loaded = await readFile(loadedPath, 'utf8').catch(() => '');
  return loaded.split('\n').some((line) => line.startsWith(`${DEFAULT_PROFILE_NAME} (`));
}

async function load({ kernel, policyPath = POLICY }: AppArmorOptions, parserPath: string): Promise<void> {
  const has = (name: string): boolean => textOf(`${policyPath}/${name}`) !== '';
  const text = profileText({ hasTunables: has('tunables/global'), hasBase: has('abstractions/base') });
  const { code, stderr } = await kernel.processes.capture(
    // -K: no cache, -r: in place of an older one.
    { argv: [parserPath, '-Kr'], env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' } },
    { stdin: text },
  );
  if (code !== 0) {
    throw new InternalError(
      `AppArmor enabled on system but the ${DEFAULT_PROFILE_NAME} profile could not be loaded: ${stderr.trim()}`,
    );
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
