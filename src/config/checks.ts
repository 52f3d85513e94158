/**
 * What a value must look like, in dockerd's words. Only what can be seen from the value alone: whether a group, a driver
 * or an address exists on this host is found out by whoever uses it.
 */
import { BlockList, isIP, isIPv4, isIPv6 } from 'node:net';
import { normalize } from 'node:path';
import { checkBuilderGc } from './builder-gc.ts';
import { checkCron } from './cron-text.ts';
import { maskedProxy } from './masked.ts';
import type { OptionDefinition, OptionFlag, OptionValue } from './options.ts';
import { checkAddedRegistry, checkBlockedRegistry, checkMirror, checkPrefixMirrors } from './registry-checks.ts';

/** dockerd checks these while it parses its flags, the others once all is merged; the texts differ. */
const CHECKED_AS_FLAG: ReadonlySet<string> = new Set<OptionFlag>([
  'add-runtime',
  'default-address-pool',
  'default-gateway',
  'default-gateway-v6',
  'default-ulimit',
  'dns',
  'dns-search',
  'host',
  'host-gateway-ip',
  'ip',
  'label',
  'registry-mirror',
]);

/** True when dockerd refuses the value right at the flag. */
export function isCheckedAsFlag(option: OptionDefinition): boolean {
  return CHECKED_AS_FLAG.has(option.flag);
}

/** Why the value cannot be; null when it can. */
export function checkValue(option: OptionDefinition, value: OptionValue): string | null {
  switch (option.type) {
    case 'boolean':
      return null;
    case 'integer':
    case 'bytes':
      return checkNumber(option, Number(value));
    case 'string':
      return value === '' ? null : checkText(option, value as string);
    case 'list':
      return (
        first(value as readonly string[], (entry) => checkText(option, entry)) ??
        (option.flag === 'host-gateway-ip' ? checkFamilies(value as readonly string[]) : null)
      );
    case 'map':
      return first(Object.entries(value as Readonly<Record<string, string>>), ([name, text]) =>
        checkEntry(option, name, text),
      );
  }
}

/** dockerd 28 takes one address of each family. */
function checkFamilies(addresses: readonly string[]): string | null {
  const family = [4, 6].find((one) => addresses.filter((address) => isIP(address.trim()) === one).length > 1);
  return family === undefined ? null : `only one IPv${String(family)} host gateway IP address can be specified`;
}

function first<Item>(items: readonly Item[], check: (item: Item) => string | null): string | null {
  for (const item of items) {
    const reason = check(item);
    if (reason !== null) return reason;
  }
  return null;
}

/** dockerd's names for numbers below their least value. */
const NUMBERS: Readonly<Record<string, readonly [name: string, minimum: number]>> = {
  'max-concurrent-downloads': ['max concurrent downloads', 0],
  'max-concurrent-uploads': ['max concurrent uploads', 0],
  'max-download-attempts': ['max download attempts', 0],
  mtu: ['default MTU', 0],
  'default-shm-size': ['default shm size', 0],
};

function checkNumber(option: OptionDefinition, value: number): string | null {
  const [name, least] = NUMBERS[option.flag] ?? [option.flag.replaceAll('-', ' '), -Infinity];
  const minimum = option.type === 'integer' ? (option.minimum ?? least) : least;
  const maximum = option.type === 'integer' ? (option.maximum ?? Infinity) : Infinity;
  return value < minimum || value > maximum ? `invalid ${name}: ${String(value)}` : null;
}

function checkText(option: OptionDefinition, text: string): string | null {
  const values = option.type === 'string' || option.type === 'list' ? option.values : undefined;
  if (values !== undefined && !values.includes(text)) return invalidChoice(option, text, values);
  return TEXT_CHECKS[option.flag as OptionFlag]?.(text) ?? null;
}

function invalidChoice(option: OptionDefinition, text: string, values: readonly string[]): string {
  switch (option.flag) {
    case 'log-level':
      return `invalid logging level: ${text}`;
    case 'log-format':
      return `invalid log format: ${text}`;
    case 'default-ipc-mode':
      return `default IPC mode setting (${text}) is invalid; use "shareable" or "private"`;
    case 'default-cgroupns-mode':
      return `default cgroup namespace mode (${text}) is invalid; use "host" or "private"`;
    default:
      return `invalid ${option.flag} "${text}": use ${values.map((value) => `"${value}"`).join(', ')}`;
  }
}

const isAddress = (text: string): string | null => (isIP(text.trim()) === 0 ? `${text} is not an ip address` : null);

const TEXT_CHECKS: Partial<Record<OptionFlag, (text: string) => string | null>> = {
  'add-registry': checkAddedRegistry,
  'autostart-file': ownPath,
  bip: (text) => (isCidr4(text) ? null : `invalid CIDR address: ${text}`),
  bip6: (text) => (isCidr6(text) ? null : `invalid CIDR address: ${text}`),
  'block-registry': checkBlockedRegistry,
  'data-root': ownPath,
  'default-address-pool': checkPool,
  'default-gateway': isAddress,
  'default-gateway-v6': isAddress,
  dns: isAddress,
  'dns-search': checkDomain,
  'exec-opt': checkExecOption,
  'exec-root': ownPath,
  'fixed-cidr': (text) => (isCidr4(text) ? null : `invalid CIDR address: ${text}`),
  'fixed-cidr-v6': checkFixedCidr6,
  host: (text) =>
    /^(?:unix|tcp|fd):\/\//.test(text) || !text.includes('://') ? null : `Invalid bind address format: ${text}`,
  'host-gateway-ip': isAddress,
  'host-names': (text) =>
    /^[^._]/.test(text) && !text.endsWith('.') ? checkDomain(text) : `${text} is not a valid domain`,
  'http-proxy': checkProxy,
  'https-proxy': checkProxy,
  'image-gc-age': (text) =>
    text === 'never' || AGE.test(text) ? null : `invalid image-gc-age "${text}": use an age such as "720h", or "never"`,
  'image-gc-schedule': (text) => (text === 'never' ? null : checkCron(text)),
  'insecure-registry': checkRegistry,
  ip: isAddress,
  label: (text) => (/^[^=]+=/s.test(text) ? null : `bad attribute format: ${text}`),
  pidfile: kernelsPath,
  'prune-filter': checkPruneFilter,
  'prune-schedule': checkCron,
  registry: checkPrefixMirrors,
  'registry-auth-file': absolutePath,
  'registry-certs-dir': absolutePath,
  'registry-mirror': checkMirror,
  'storage-driver': checkStorageDriver,
  'storage-opt': (text) => (/^[^=]+=/s.test(text) ? null : `Unable to parse key/value option: ${text}`),
};

function absolutePath(text: string): string | null {
  return text.startsWith('/') ? null : `invalid path "${text}": it must be absolute`;
}

/** Nothing can be made below these; node, asked to make folders and their parents below /proc, never returns. */
function ownPath(text: string): string | null {
  return absolutePath(text) ?? kernelsPath(text);
}

function kernelsPath(text: string): string | null {
  const isKernels = /^\/(?:proc|sys)(?:\/|$)/.test(normalize(text));
  return isKernels ? `invalid path "${text}": it belongs to the kernel` : null;
}

function isCidr4(text: string): boolean {
  const [, address = '', length] = /^([\d.]+)\/(\d{1,2})$/.exec(text) ?? [];
  return isIPv4(address) && Number(length) <= 32;
}

function isCidr6(text: string): boolean {
  const [address = '', length = ''] = text.split('/', 2);
  return isIPv6(address) && isCidr(address, length);
}

/** The kernel gives every link an address of fe80::/64: another block there would make two of it. Go's and dockerd's words. */
function checkFixedCidr6(text: string): string | null {
  const invalid = (reason: string): string => `invalid fixed-cidr-v6: ${reason}`;
  const slash = text.lastIndexOf('/');
  const parsing = `netip.ParsePrefix(${JSON.stringify(text)}):`;
  if (slash === -1) return invalid(`${parsing} no '/'`);
  const [address, length] = [text.slice(0, slash), text.slice(slash + 1)];
  if (isIP(address) === 0) return invalid(`${parsing} ParseAddr(${JSON.stringify(address)}): unable to parse IP`);
  if (!isCidr(address, length)) return invalid(`${parsing} prefix length out of range`);
  if (!isIPv6(address)) return invalid(`'${text}' is not a valid IPv6 subnet`);
  if (/^ff/i.test(address)) return invalid(`multicast subnet '${text}' is not allowed`);
  return clashesWithLinkLocal(address, Number(length))
    ? invalid(`'${text}' clashes with the Link-Local prefix 'fe80::/64'`)
    : null;
}

function clashesWithLinkLocal(address: string, length: number): boolean {
  const [own, linkLocal] = [new BlockList(), new BlockList()];
  own.addSubnet(address, length, 'ipv6');
  linkLocal.addSubnet('fe80::', 64, 'ipv6');
  const overlaps = linkLocal.check(address, 'ipv6') || own.check('fe80::', 'ipv6');
  return overlaps && length !== 64;
}

function checkPool(text: string): string | null {
  const fields = new Map<string, string>();
  for (const field of text.split(',')) {
    const [key = '', value] = field.split('=', 2);
    if (value === undefined) return `invalid field '${field}' must be a key=value pair`;
    if (key !== 'base' && key !== 'size') return `unexpected key '${key}' in '${field}'`;
    fields.set(key, value);
  }
  const base = fields.get('base') ?? '';
  if (!isCidr4(base)) return `invalid base pool "${base}": invalid CIDR address: ${base}`;
  const size = fields.get('size') ?? '0';
  if (!/^\d+$/.test(size)) return `invalid size value: "${size}"`;
  const length = Number(base.split('/')[1]);
  return Number(size) > 0 && (Number(size) < length || Number(size) > 32)
    ? `invalid pool size "${size}": it must be from ${String(length)} to 32`
    : null;
}

function checkDomain(text: string): string | null {
  if (text.trim() === '.') return null;
  const label = '[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?';
  return new RegExp(String.raw`^\.?${label}(?:\.${label})*\.?$`).test(text.trim())
    ? null
    : `${text} is not a valid domain`;
}

function checkExecOption(text: string): string | null {
  const [key = '', value] = text.split('=', 2);
  if (value === undefined) return `unable to parse exec-opt ${text}`;
  if (key !== 'native.cgroupdriver') return `invalid option: ${text}`;
  return value === 'cgroupfs' || value === 'systemd' ? null : `native.cgroupdriver option ${value} not supported`;
}

function checkProxy(text: string): string | null {
  const url = URL.parse(text.includes('://') ? text : `http://${text}`);
  if (url !== null && /^(?:https?|socks5):$/.test(url.protocol)) return null;
  return `invalid proxy URL (${maskedProxy(text)})`;
}

function checkRegistry(text: string): string | null {
  const bare = text.replace(/^https?:\/\//i, '');
  if (bare.includes('/')) {
    const [address = '', length = ''] = bare.split('/', 2);
    return isCidr(address, length) ? null : `insecure registry ${text} is not valid: invalid host or CIDR`;
  }
  return /^(?:\[[\da-f:.]+\]|[\w.-]+)(?::\d{1,5})?$/i.test(bare) || isIP(bare) !== 0
    ? null
    : `insecure registry ${text} is not valid: invalid host "${bare}"`;
}

function isCidr(address: string, length: string): boolean {
  const family = isIP(address);
  if (family === 0 || !/^\d+$/.test(length)) return false;
  try {
    new BlockList().addSubnet(address, Number(length), family === 4 ? 'ipv4' : 'ipv6');
    return true;
  } catch {
    return false;
  }
}

/** Go's durations; a date with or without a time, or seconds since 1970. */
const AGE = /^(?:(?:\d+(?:\.\d*)?|\.\d+)(?:h|ms|m|s|us|µs|ns))+$/;
const MOMENT = /^(?:\d{4}-\d\d-\d\d(?:T[\d:.]+)?(?:Z|[+-]\d\d:\d\d)?|\d{1,12}(?:\.\d{1,9})?)$/;

function checkPruneFilter(text: string): string | null {
  const [, key = '', operator = '', value = ''] = /^([a-z]+)(!?=)(.*)$/s.exec(text) ?? [];
  if (key === 'until' && operator === '=') {
    return AGE.test(value) || MOMENT.test(value)
      ? null
      : `invalid filter '${text}': failed to parse value as time or duration: "${value}"`;
  }
  if (key === 'label') return value === '' ? `invalid filter '${text}'` : null;
  return `invalid filter '${text}': use until=TIME, label=KEY[=VALUE] or label!=KEY[=VALUE]`;
}

const STORAGE_DRIVERS = ['btrfs', 'devicemapper', 'overlay2', 'vfs'];
const STORAGE_REFUSALS: Readonly<Record<string, string>> = {
  aufs: 'no kernel in support has it and Docker removed it; use overlay2',
  overlay: 'it was replaced by overlay2 and removed from Docker',
  zfs: 'its file system is not part of Linux; use overlay2',
  'fuse-overlayfs': 'it is for rootless engines; use overlay2',
};

function checkStorageDriver(text: string): string | null {
  if (STORAGE_DRIVERS.includes(text)) return null;
  const reason = STORAGE_REFUSALS[text] ?? `there is no such driver; use ${STORAGE_DRIVERS.join(', ')}`;
  return `error initializing graphdriver: storage driver ${text} is refused: ${reason}`;
}

function checkEntry(option: OptionDefinition, name: string, text: string): string | null {
  switch (option.flag as OptionFlag) {
    case 'add-runtime':
      if (name === 'runc') return "runtime name 'runc' is reserved";
      return text === '' ? `invalid runtime argument: ${name}=${text}` : null;
    case 'builder-gc':
      return checkBuilderGc(name, text);
    case 'default-ulimit':
      return checkUlimit(name, text);
    case 'feature':
      return text === 'true' || text === 'false' ? null : `invalid value for feature ${name}: ${text}`;
    default:
      return null;
  }
}

const ULIMITS = new Set(
  'core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio rttime sigpending stack'.split(' '),
);

function checkUlimit(name: string, text: string): string | null {
  if (!ULIMITS.has(name)) return `invalid ulimit type: ${name}`;
  const parts = text.split(':');
  if (parts.length > 2) return `too many limit value arguments - ${text}, can only have up to two, \`soft[:hard]\``;
  for (const part of parts) {
    if (!/^-?\d+$/.test(part)) return `strconv.ParseInt: parsing "${part}": invalid syntax`;
  }
  const [soft = 0, hard = soft] = parts.map(Number);
  if (hard === -1) return null;
  if (soft === -1)
    return `ulimit soft limit must be less than or equal to hard limit: soft: -1 (unlimited), hard: ${String(hard)}`;
  return soft > hard
    ? `ulimit soft limit must be less than or equal to hard limit: ${String(soft)} > ${String(hard)}`
    : null;
}
