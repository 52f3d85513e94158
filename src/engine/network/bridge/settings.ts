import { isIP } from 'node:net';
import { InternalError, InvalidArgumentError } from '../../../base/errors.ts';
import type { GatewayMode } from '../driver.ts';
import { INTERFACE_NAME } from '../interface/names.ts';
import { parseAddress } from '../ipam/ip.ts';
import { booleanOption, integerOption, unreadable } from '../options.ts';
import type { NetworkRecord } from '../types.ts';

/** The names under which Docker's bridge options stand in `NetworkRecord.options`; users give them by `-o`. */
export const BRIDGE_OPTION = {
  defaultBridge: 'com.docker.network.bridge.default_bridge',
  interContainer: 'com.docker.network.bridge.enable_icc',
  masquerade: 'com.docker.network.bridge.enable_ip_masquerade',
  hostBinding: 'com.docker.network.bridge.host_binding_ipv4',
  bridgeName: 'com.docker.network.bridge.name',
  ipv4Mode: 'com.docker.network.bridge.gateway_mode_ipv4',
  ipv6Mode: 'com.docker.network.bridge.gateway_mode_ipv6',
  inhibitIpv4: 'com.docker.network.bridge.inhibit_ipv4',
  trustedInterfaces: 'com.docker.network.bridge.trusted_host_interfaces',
  ipv4Source: 'com.docker.network.host_ipv4',
  ipv6Source: 'com.docker.network.host_ipv6',
  mtu: 'com.docker.network.driver.mtu',
} as const;

/** Docker's default. */
export const DEFAULT_MTU = 1500;

/** 68 is the least that IPv4 can do with (RFC 791). */
const MIN_MTU = 68;
const MAX_MTU = 65_535;

/** A bridge network's options, read. */
export interface BridgeSettings {
  readonly bridgeName: string;
  readonly interContainer: boolean;
  readonly masquerade: boolean;
  /** Host address for published ports that name none. */
  readonly hostBinding: string;
  readonly mtu: number;
  readonly ipv4Mode: GatewayMode;
  readonly ipv6Mode: GatewayMode;
  /** The bridge has no IPv4 address: somebody else is the gateway. */
  readonly inhibitIpv4: boolean;
  readonly trustedInterfaces: readonly string[];
  /** Source address of what leaves the host, in place of masquerade. */
  readonly ipv4Source: string | null;
  readonly ipv6Source: string | null;
}

/** Reads the options; a network without a bridge name of its own gets Docker's `br-` and twelve digits of its id. */
export function bridgeSettings({ id, options }: Pick<NetworkRecord, 'id' | 'options'>): BridgeSettings {
  const bridgeName = options[BRIDGE_OPTION.bridgeName] ?? `br-${id.slice(0, 12)}`;
  if (!INTERFACE_NAME.test(bridgeName)) throw new InvalidArgumentError(`invalid bridge name: ${bridgeName}`);
  return {
    bridgeName,
    interContainer: booleanOption(options, BRIDGE_OPTION.interContainer, true),
    masquerade: booleanOption(options, BRIDGE_OPTION.masquerade, true),
    hostBinding: addressOption(options, BRIDGE_OPTION.hostBinding) ?? '0.0.0.0',
    mtu: mtuOf(options),
    ipv4Mode: modeOf(options, BRIDGE_OPTION.ipv4Mode),
    ipv6Mode: modeOf(options, BRIDGE_OPTION.ipv6Mode),
    inhibitIpv4: booleanOption(options, BRIDGE_OPTION.inhibitIpv4, false),
    trustedInterfaces: trustedOf(options),
    ipv4Source: sourceOf(options, 'ipv4'),
    ipv6Source: sourceOf(options, 'ipv6'),
  };
}

/** InternalError, as dockerd has it. */
export function checkModes({ ipv4Mode, ipv6Mode }: BridgeSettings, internal: boolean): void {
  if (!internal && (ipv4Mode === 'isolated' || ipv6Mode === 'isolated')) {
    throw new InternalError("gateway mode 'isolated' can only be used for an internal network");
  }
}

function modeOf(options: NetworkRecord['options'], key: string): GatewayMode {
  const text = options[key];
  switch (text) {
    case undefined:
      return 'nat';
    case 'nat':
    case 'nat-unprotected':
    case 'routed':
    case 'isolated':
      return text;
    default:
      throw unreadable(key, text, `unknown gateway mode ${text}`);
  }
}

function addressOption(options: NetworkRecord['options'], key: string): string | null {
  const text = options[key];
  if (text !== undefined && isIP(text) === 0) throw unreadable(key, text, 'nil ip');
  return text ?? null;
}

/** They go into rules as they are. */
function trustedOf(options: NetworkRecord['options']): readonly string[] {
  const text = options[BRIDGE_OPTION.trustedInterfaces] ?? '';
  const names = text.split(':').filter((name) => name !== '');
  for (const name of names) {
    if (!INTERFACE_NAME.test(name)) throw unreadable(BRIDGE_OPTION.trustedInterfaces, text, `invalid interface name`);
  }
  return names;
}

/** So do these; a zone, as in `fe80::1%eth0`, would be no address there. */
function sourceOf(options: NetworkRecord['options'], family: 'ipv4' | 'ipv6'): string | null {
  const key = family === 'ipv4' ? BRIDGE_OPTION.ipv4Source : BRIDGE_OPTION.ipv6Source;
  const text = addressOption(options, key);
  if (text !== null && parseAddress(text)?.family !== family) throw unreadable(key, text, `no ${family} address`);
  return text;
}

/** 0 means the default. */
function mtuOf(options: NetworkRecord['options']): number {
  const mtu = integerOption(options, BRIDGE_OPTION.mtu, DEFAULT_MTU);
  if (mtu === 0) return DEFAULT_MTU;
  if (mtu < MIN_MTU || mtu > MAX_MTU) throw new InvalidArgumentError(`invalid MTU number: ${String(mtu)}`);
  return mtu;
}
