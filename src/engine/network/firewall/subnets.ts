import { BlockList, isIP } from 'node:net';

/** Tells whether an address lies in one of `subnets` (both families); false for what is no address. */
export function within(subnets: readonly string[]): (address: string) => boolean {
  const block = new BlockList();
  for (const subnet of subnets) {
    const [base = '', length = ''] = subnet.split('/');
    const version = isIP(base);
    if (version !== 0 && /^\d{1,3}$/.test(length)) block.addSubnet(base, Number(length), familyOf(version));
  }
  return (address) => {
    const version = isIP(address);
    return version !== 0 && block.check(address, familyOf(version));
  };
}

function familyOf(version: number): 'ipv4' | 'ipv6' {
  return version === 4 ? 'ipv4' : 'ipv6';
}
