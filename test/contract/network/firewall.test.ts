import { execFileSync } from 'node:child_process';
import { describe } from 'vitest';
import { createLinuxKernel } from '../../../src/engine/kernel/linux/index.ts';
import { NftablesFirewall } from '../../../src/engine/network/firewall/nftables/driver.ts';
import { UntouchedFirewall } from '../../../src/engine/network/firewall/untouched.ts';
import { firewallContract } from './firewall-contract.ts';

const TABLE = `moored-nct${String(process.pid)}`;
const isRoot = process.getuid?.() === 0;

describe.skipIf(!isRoot)(`on the kernel${isRoot ? '' : ' (skipped: nftables needs root)'}`, () => {
  firewallContract('nftables', () => ({
    firewall: new NftablesFirewall(createLinuxKernel().nft, TABLE),
    inspect: () => {
      const tables = execFileSync('nft', ['list', 'tables'], { encoding: 'utf8' });
      if (!tables.includes(TABLE)) return '';
      // Without the name, in whose digits one of the words looked for may hide.
      return execFileSync('nft', ['list', 'table', 'ip', TABLE], { encoding: 'utf8' }).replaceAll(TABLE, '');
    },
    flush: () => void execFileSync('nft', ['delete', 'table', 'ip', TABLE]),
    [Symbol.dispose]: () => undefined,
  }));
});

firewallContract('none', () => ({
  firewall: new UntouchedFirewall(),
  inspect: () => '',
  flush: () => undefined,
  [Symbol.dispose]: () => undefined,
}));
