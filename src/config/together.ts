import { ConfigError, errorProblem } from './config-error.ts';
import type { Setting } from './merge.ts';
import type { OptionFlag, OptionValue } from './options.ts';
import { registryConflict } from './registry-checks.ts';

/** What single values cannot tell: options that exclude or need one another. Throws ConfigError in dockerd's words. */
export function checkTogether(settings: readonly Setting[]): void {
  const byFlag = new Map(settings.map((setting) => [setting.option.flag, setting]));
  const get = (flag: OptionFlag): OptionValue | undefined => byFlag.get(flag)?.value;
  const refuse = (flag: OptionFlag, text: string, prefix = 'failed to start daemon: '): ConfigError => {
    const origin = byFlag.get(flag)?.origin;
    const file = origin?.file ?? null;
    const place = { ...(file === null ? {} : { file }), line: origin?.line ?? null, subject: flag };
    return new ConfigError(prefix + text, [errorProblem(text, place)]);
  };
  if (get('bridge') !== '' && get('bip') !== '') {
    throw refuse('bip', 'You specified -b & --bip, mutually exclusive options. Please specify only one');
  }
  if (get('iptables') === false && get('icc') === false) {
    throw refuse(
      'icc',
      'You specified --iptables=false with --icc=false. ICC=false uses iptables to function. Please set --icc or --iptables to true',
    );
  }
  const conflict = conflictingLabels(get('label') as readonly string[]);
  if (conflict !== null) throw refuse('label', conflict, '');
  if ((get('prune-filter') as readonly string[]).filter((filter) => filter.startsWith('until=')).length > 1) {
    throw refuse('prune-filter', 'prune-filter: more than one until filter specified', '');
  }
  const [high, low] = [get('image-gc-high-water') as number, get('image-gc-low-water') as number];
  if (high !== 0 && low >= high) {
    const text = `image-gc-low-water (${String(low)}) must be below image-gc-high-water (${String(high)})`;
    throw refuse('image-gc-low-water', text, '');
  }
  const registries = registryConflict(get);
  if (registries !== null) throw refuse(registries.flag, registries.text, '');
  const parent = get('cgroup-parent') as string;
  if ((get('exec-opt') as readonly string[]).includes('native.cgroupdriver=systemd') && parent !== '') {
    if (!parent.endsWith('.slice') || parent.includes('/')) {
      throw refuse('cgroup-parent', 'cgroup-parent for systemd cgroup should be a valid slice named as "xxx.slice"');
    }
  }
}

/** `conflict labels for a=2 and a=1`; the same label twice is none. */
function conflictingLabels(labels: readonly string[]): string | null {
  const seen = new Map<string, string>();
  for (const label of labels) {
    const key = label.slice(0, label.indexOf('='));
    const before = seen.get(key);
    if (before !== undefined && before !== label) return `conflict labels for ${label} and ${before}`;
    seen.set(key, label);
  }
  return null;
}
