import { InvalidArgumentError } from '../../../base/errors.ts';
import type { NetworkRecord } from '../types.ts';

/** The names under which Docker's bridge options stand in `NetworkRecord.options`; users give them by `-o`. */
export const BRIDGE_OPTION = {
  defaultBridge: 'com.docker.network.bridge.default_bridge',
  interContainer: 'com.docker.network.bridge.enable_icc',
  masquerade: 'com.docker.network.bridge.enable_ip_masquerade',
  hostBinding: 'com.docker.network.bridge.host_binding_ipv4',
  bridgeName: 'com.docker.network.bridge.name',
  mtu: 'com.docker.network.driver.mtu',
} as const;

/** Docker's default. */
export const DEFAULT_MTU = 1500;

/** A bridge network's options, read. */
export interface BridgeSettings {
  readonly bridgeName: string;
  readonly interContainer: boolean;
  readonly masquerade: boolean;
  /** Host address for published ports that name none. */
  readonly hostBinding: string;
  readonly mtu: number;
}

/** IFNAMSIZ less its NUL, and no letter that the kernel, nft's language or a path in /proc/sys would trip over. */
const INTERFACE_NAME = /^(?!\.{1,2}$)[A-Za-z0-9_.-]{1,15}$/;

/** Reads the options; a network without a bridge name of its own gets Docker's `br-` and twelve digits of its id. */
export function bridgeSettings({ id, options }: Pick<NetworkRecord, 'id' | 'options'>): BridgeSettings {
  const bridgeName = options[BRIDGE_OPTION.bridgeName] ?? `br-${id.slice(0, 12)}`;
  if (!INTERFACE_NAME.test(bridgeName)) throw new InvalidArgumentError(`invalid bridge name: ${bridgeName}`);
  return {
    bridgeName,
    interContainer: booleanOf(options, BRIDGE_OPTION.interContainer),
    masquerade: booleanOf(options, BRIDGE_OPTION.masquerade),
    hostBinding: options[BRIDGE_OPTION.hostBinding] ?? '0.0.0.0',
    mtu: mtuOf(options[BRIDGE_OPTION.mtu]),
  };
}

/** Both are on unless said otherwise. The words are those of Go's ParseBool, which dockerd uses. */
function booleanOf(options: NetworkRecord['options'], key: string): boolean {
  const text = options[key];
  if (text === undefined || /^(1|t|true)$/i.test(text)) return true;
  if (/^(0|f|false)$/i.test(text)) return false;
  throw new InvalidArgumentError(`invalid value for ${key}: ${text}`);
}

/** 68 is the least that IPv4 can do with (RFC 791); 0 means the default. */
function mtuOf(text: string | undefined): number {
  if (text === undefined) return DEFAULT_MTU;
  const mtu = /^\d{1,5}$/.test(text) ? Number(text) : -1;
  if (mtu === 0) return DEFAULT_MTU;
  if (mtu < 68 || mtu > 65535) throw new InvalidArgumentError(`invalid value for ${BRIDGE_OPTION.mtu}: ${text}`);
  return mtu;
}
