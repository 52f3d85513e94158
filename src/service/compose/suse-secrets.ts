/** Whether containers get the host's SUSE credentials: what the configuration, SUSE's own switch and the host say. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { errnoCodeOf, messageOf } from '../../base/errors.ts';
import type { Config } from '../../config/config.ts';

/** SUSE's switch: `0` or `1`. */
const SWITCH = 'etc/docker/suse-secrets-enable';
const OS_RELEASES = ['etc/os-release', 'usr/lib/os-release'] as const;
/** SUSE Linux Enterprise with its kin, up to 15: from 16 on SUSE's own Docker injects nothing. */
const SLE_IDS: ReadonlySet<string> = new Set(['sles', 'sled', 'sle_hpc', 'sle-hpc', 'sles_sap', 'sle-micro']);
const FIRST_WITHOUT = 16;

export interface SuseSecretsPolicy {
  /** Where credentials are looked for; null: not at all. */
  readonly root: string | null;
  /** What decided, for the log. */
  readonly reason: string;
  /** What is wrong, or null. */
  readonly problem: string | null;
}

/** The option decides when it is `on` or `off`; then the switch; where that says nothing, the distribution. */
export function suseSecretsPolicy(config: Config): SuseSecretsPolicy {
  const root = config.get('suse-secrets-root');
  const wanted = config.get('suse-secrets');
  const policy = (enabled: boolean, reason: string, problem: string | null = null): SuseSecretsPolicy => ({
    root: enabled ? root : null,
    reason,
    problem,
  });
  if (wanted === 'on' || wanted === 'off') return policy(wanted === 'on', `suse-secrets=${wanted}`);
  const path = join(root, SWITCH);
  const word = read(path);
  if (word.problem !== null) return policy(false, path, word.problem);
  switch (word.text.trim()) {
    case '1':
      return policy(true, path);
    case '0':
      return policy(false, path);
    case '':
      break;
    default:
      return policy(false, path, `${path} must hold 0 or 1`);
  }
  const { id, version } = distribution(root);
  const enabled = SLE_IDS.has(id) && version < FIRST_WITHOUT;
  return policy(enabled, `the distribution ${id === '' ? 'is not known' : `is ${id}`}`);
}

function distribution(root: string): { readonly id: string; readonly version: number } {
  for (const name of OS_RELEASES) {
    const { text } = read(join(root, name));
    if (text === '') continue;
    const valueOf = (key: string): string =>
      new RegExp(`^${key}=["']?([^"'\\n]*)["']?\\s*$`, 'm').exec(text)?.[1] ?? '';
    const version = Number.parseFloat(valueOf('VERSION_ID'));
    return { id: valueOf('ID'), version: Number.isNaN(version) ? Infinity : version };
  }
  return { id: '', version: Infinity };
}

function read(path: string): { readonly text: string; readonly problem: string | null } {
  try {
    return { text: readFileSync(path, 'utf8'), problem: null };
  } catch (error) {
    const code = errnoCodeOf(error);
    return { text: '', problem: code === 'ENOENT' || code === 'ENOTDIR' ? null : messageOf(error) };
  }
}
