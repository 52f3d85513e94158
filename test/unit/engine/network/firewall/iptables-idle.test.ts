import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import type { Logger } from '../../../../../src/base/logger.ts';
import type { CapturedRun, NftNotice, ProcessCalls } from '../../../../../src/engine/kernel/kernel.ts';
import type { FirewallNetwork } from '../../../../../src/engine/network/driver.ts';
import { IptablesFirewall } from '../../../../../src/engine/network/firewall/iptables/driver.ts';
import { IptablesProgram } from '../../../../../src/engine/network/firewall/iptables/program.ts';
import { IptablesMemory } from '../../../../../src/engine/network/firewall/iptables/remembered.ts';
import { FakeClock } from '../../../../support/fake-clock.ts';

const network: FirewallNetwork = {
  bridgeName: 'b0',
  ipv4Subnet: '10.0.0.0/24',
  ipv6Subnet: null,
  masquerade: true,
  interContainer: true,
  internal: false,
};

/** dockerd 20.10's jump, before ours. */
const OTHERS = [
  '*filter',
  ':FORWARD ACCEPT [0:0]',
  ':DOCKER-USER - [0:0]',
  ':DOCKER-FORWARD - [0:0]',
  '-A FORWARD -j DOCKER-ISOLATION-STAGE-1',
  '-A FORWARD -j DOCKER-USER',
  '-A FORWARD -j DOCKER-FORWARD',
  'COMMIT',
].join('\n');

const directory = mkdtempSync(join(tmpdir(), 'iptables-idle-'));
afterEach(() => rmSync(directory, { recursive: true, force: true }));

describe('iptables of an engine without a network', () => {
  it('leave it to another engine whose jumps come first, until there is a network', async () => {
    const scripts: string[] = [];
    const warnings: string[] = [];
    const clock = new FakeClock();
    let hear: (notice: NftNotice | null) => void = () => undefined;
    const capture: ProcessCalls['capture'] = ({ argv: [program, ...args] }, input) => {
      if (program === 'restore') scripts.push(input?.stdin ?? '');
      const isFilter = program === 'save' && args.includes('filter');
      const run: CapturedRun = { code: 0, signal: null, stdout: isFilter ? OTHERS : '', stderr: '' };
      return Promise.resolve(run);
    };
    const logger = { warn: (text: string) => warnings.push(text) } as unknown as Logger;
    const firewall = new IptablesFirewall({
      programs: [new IptablesProgram('ipv4', { restore: 'restore', save: 'save' }, { processes: { capture }, clock })],
      memory: new IptablesMemory(join(directory, 'remembered')),
      logger,
      options: { directRouting: false, acceptMark: null, publishPolicy: 'open', loopback: ['ipv4'] },
      clock,
      nft: {
        watch: (listener) => {
          hear = listener;
          return { [Symbol.dispose]: () => undefined };
        },
      },
    });
    const heard = async (): Promise<void> => {
      hear(null);
      await clock.advance(2_000);
      // Behind the look: families that are closed already, none, take no process.
      await firewall.closeForwarding([]);
    };

    await firewall.initialise({ networks: [], ports: [] });
    expect(scripts.splice(0)).toEqual([expect.stringContaining('-I FORWARD -j DOCKER-FORWARD')]);
    await heard();
    expect([scripts, warnings]).toEqual([[], []]);

    await firewall.addNetwork(network);
    const first = scripts.splice(0);
    expect(first).toEqual([expect.stringContaining('-I FORWARD -j DOCKER-FORWARD')]);
    expect(first[0]).toContain('-i b0');
    expect(warnings).toEqual([]);

    await heard();
    expect(scripts).toHaveLength(1);
    expect(warnings).toEqual([expect.stringContaining('another program changed the packet filter rules')]);
  });
});
