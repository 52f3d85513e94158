import { describe } from 'vitest';
import { createLinuxKernel } from '../../../src/engine/kernel/linux/index.ts';
import type { RouteSocket } from '../../../src/engine/kernel/kernel.ts';
import { BridgeDriver } from '../../../src/engine/network/bridge/driver.ts';
import { BRIDGE_OPTION } from '../../../src/engine/network/bridge/settings.ts';
import { UntouchedFirewall } from '../../../src/engine/network/firewall/untouched.ts';
import { HostDriver } from '../../../src/engine/network/host/driver.ts';
import { NoneDriver } from '../../../src/engine/network/none/driver.ts';
import { procSysctls } from '../../../src/engine/network/sysctl.ts';
import type { NetworkRecord } from '../../../src/engine/network/types.ts';
import { networkDriverContract } from './driver-contract.ts';

const isRoot = process.getuid?.() === 0;

describe.skipIf(!isRoot)(`on the kernel${isRoot ? '' : ' (skipped: links and namespaces need root)'}`, () => {
  const kernel = createLinuxKernel();
  const bridgeName = `ntc${String(process.pid)}`;

  networkDriverContract('bridge', kernel, () => {
    const owned = new Set<string>();
    let route: RouteSocket | null = null;
    const driver = new BridgeDriver({
      route: () => (route ??= kernel.openRoute(null)),
      sysctls: procSysctls,
      firewall: new UntouchedFirewall(),
      ownership: {
        owns: ({ id }: NetworkRecord) => owned.has(id),
        claim: ({ id }: NetworkRecord) => void owned.add(id),
      },
    });
    return { driver, options: { [BRIDGE_OPTION.bridgeName]: bridgeName }, linkName: bridgeName };
  });
  networkDriverContract('host', kernel, () => ({ driver: new HostDriver(), options: {}, linkName: null }));
  networkDriverContract('null', kernel, () => ({ driver: new NoneDriver(), options: {}, linkName: null }));
});
