import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { suseSecretsPolicy } from '../../../src/service/compose/suse-secrets.ts';

const SLE15 = 'NAME="SLES"\nVERSION_ID="15.7"\nID="sles"\nID_LIKE="suse"\n';
const SWITCH = 'etc/docker/suse-secrets-enable';

describe('whether containers get SUSE credentials', () => {
  let root = '';
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'moored-policy-'));
  });
  afterEach(() => rmSync(root, { recursive: true, force: true }));

  const put = (path: string, text: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  const policy = (wanted = 'auto') => {
    const values: Readonly<Record<string, string>> = { 'suse-secrets': wanted, 'suse-secrets-root': root };
    return suseSecretsPolicy({ get: (flag: string) => values[flag] } as Parameters<typeof suseSecretsPolicy>[0]);
  };

  it.each([
    [SLE15, true, 'the distribution is sles'],
    ['ID=sle-micro\nVERSION_ID=5.5\n', true, 'the distribution is sle-micro'],
    ['ID="sles"\nVERSION_ID="16.0"\n', false, 'the distribution is sles'],
    ['ID="sl-micro"\nVERSION_ID="6.1"\n', false, 'the distribution is sl-micro'],
    ['ID="opensuse-leap"\nVERSION_ID="15.6"\n', false, 'the distribution is opensuse-leap'],
    ['ID=debian\nVERSION_ID="12"\n', false, 'the distribution is debian'],
    ['ID=sles\n', false, 'the distribution is sles'],
    ['', false, 'the distribution is not known'],
  ])('by distribution %j', (release, enabled, reason) => {
    if (release !== '') put('etc/os-release', release);
    expect(policy()).toEqual({ root: enabled ? root : null, reason, problem: null });
  });

  it('reads /usr/lib/os-release where /etc has none', () => {
    put('usr/lib/os-release', SLE15);
    expect(policy().root).toBe(root);
  });

  it.each([
    ['1', true],
    ['0\n', false],
    ['\n', true],
  ])('by SUSE’s switch %j before the distribution', (text, enabled) => {
    put('etc/os-release', SLE15);
    put(SWITCH, text);
    expect(policy()).toMatchObject({ root: enabled ? root : null, problem: null });
  });

  it('is off when the switch says something else, or cannot be read', () => {
    put('etc/os-release', SLE15);
    put(SWITCH, 'yes');
    expect(policy()).toMatchObject({ root: null, problem: `${join(root, SWITCH)} must hold 0 or 1` });
    rmSync(join(root, SWITCH));
    mkdirSync(join(root, SWITCH));
    expect(policy()).toMatchObject({ root: null, problem: expect.stringContaining('EISDIR') as string });
  });

  it('by the option before all else', () => {
    put(SWITCH, '1');
    expect(policy('off')).toEqual({ root: null, reason: 'suse-secrets=off', problem: null });
    put(SWITCH, '0');
    expect(policy('on')).toEqual({ root, reason: 'suse-secrets=on', problem: null });
  });
});
