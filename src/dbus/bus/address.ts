/** Addresses of a bus, as DBUS_SYSTEM_BUS_ADDRESS has them. */
import { InvalidArgumentError } from '../../base/errors.ts';

/** Where the system bus listens when the environment does not say. */
export const SYSTEM_BUS_ADDRESS = 'unix:path=/run/dbus/system_bus_socket';

/**
 * Socket addresses in the order to be tried: a path, or a NUL and an abstract name. Values are %-unescaped. Only unix
 * sockets are taken, since no other carries credentials and descriptors.
 */
export function socketAddresses(busAddress: string): readonly string[] {
  const sockets = busAddress
    .split(';')
    .filter((address) => address !== '')
    .map(socketAddress)
    .filter((socket) => socket !== null);
  if (sockets.length === 0) {
    throw new InvalidArgumentError(`D-Bus address "${busAddress}" has no unix:path= and no unix:abstract=`);
  }
  return sockets;
}

function socketAddress(address: string): string | null {
  const [, list] = /^unix:(.*)$/.exec(address) ?? [];
  const pairs = (list ?? '').split(',').map((pair) => pair.split('='));
  const valueOf = (key: string): string | null => {
    const value = pairs.find(([name]) => name === key)?.[1];
    return value === undefined || value === '' ? null : unescape(value);
  };
  const abstract = valueOf('abstract');
  return abstract === null ? valueOf('path') : `\0${abstract}`;
}

function unescape(value: string): string {
  const bytes = value.replace(/%([0-9a-fA-F]{2})/g, (_whole, hex: string) => String.fromCharCode(parseInt(hex, 16)));
  return Buffer.from(bytes, 'latin1').toString('utf8');
}
