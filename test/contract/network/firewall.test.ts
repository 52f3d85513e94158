import { execFileSync } from 'node:child_process';
import { describe } from 'vitest';
import { SystemClock } from '../../../src/base/clock.ts';
import { silentLogger } from '../../../src/base/logger.ts';
import { createLinuxKernel } from '../../../src/engine/kernel/linux/index.ts';
import { NftablesFirewall } from '../../../src/engine/network/firewall/nftables/driver.ts';
import { linkTurnstile } from '../../../src/engine/network/firewall/nftables/turnstile.ts';
import { procSysctls } from '../../../src/engine/network/sysctl.ts';
import { UntouchedFirewall } from '../../../src/engine/network/firewall/untouched.ts';
import { firewallContract } from './firewall-contract.ts';

const TABLE = `moored-nct${String(process.pid)}`;
const isRoot = process.getuid?.() === 0;

describe.skipIf(!isRoot)(`on the kernel${isRoot ? '' : ' (skipped: nftables needs root)'}`, () => {
  const kernel = createLinuxKernel();
  const parts = {
    nft: kernel.nft,
    clock: new SystemClock(),
    logger: silentLogger,
    turnstile: linkTurnstile(kernel, procSysctls),
  };
  const nft = (...words: readonly string[]): string => execFileSync('nft', words, { encoding: 'utf8' });
  const ownTables = (): readonly string[] =>
    nft('list', 'tables')
      .split('\n')
      .filter((line) => line.endsWith(` ${TABLE}`))
      .map((line) => line.replace('table ', ''));
  firewallContract('nftables', () => ({
    firewall: new NftablesFirewall(parts, { table: TABLE }),
    // Without the name, in whose digits one of the words looked for may hide.
    inspect: () =>
      ownTables()
        .map((table) => nft('list', 'table', ...table.split(' ')))
        .join('')
        .replaceAll(TABLE, ''),
    flush: () => {
      for (const table of ownTables()) nft('delete', 'table', ...table.split(' '));
    },
    [Symbol.dispose]: () => undefined,
  }));
});

firewallContract('none', () => ({
  firewall: new UntouchedFirewall(),
  inspect: () => '',
  flush: () => undefined,
  [Symbol.dispose]: () => undefined,
}));
