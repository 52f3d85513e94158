/** Kernel parameters of one interface: a driver option of its endpoint. */
import { InternalError, InvalidArgumentError } from '../../../base/errors.ts';
import { KernelError } from '../../kernel/kernel.ts';
import type { Sysctls } from '../sysctl.ts';

/** Endpoint option: `net.ipv4.conf.IFNAME.log_martians=1,…`. */
export const SYSCTLS_OPTION = 'com.docker.network.endpoint.sysctls';

/** One parameter, with the place of the interface's name still open. */
export interface InterfaceSysctl {
  /** As the user wrote it. */
  readonly text: string;
  /** `net`, `ipv4`, `conf` */
  readonly above: readonly [string, string, string];
  readonly parameter: string;
  readonly value: string;
}

/** Five parts, the fourth being IFNAME, in small letters too: the CLI makes them small. */
const NAME = /^(net)\.(ipv4|ipv6|mpls)\.([a-z0-9_]+)\.(IFNAME|ifname)\.([a-z0-9_]+)$/;

/** Reads the option. InvalidArgumentError in Docker's words. */
export function interfaceSysctls(
  driverOptions: Readonly<Record<string, string>> | undefined,
): readonly InterfaceSysctl[] {
  const option = driverOptions?.[SYSCTLS_OPTION] ?? '';
  return option === '' ? [] : option.split(',').map(parse);
}

/** Sets them, in the interface's namespace. */
export function writeInterfaceSysctls(sysctls: Sysctls, name: string, wanted: readonly InterfaceSysctl[]): void {
  for (const { text, above, parameter, value } of wanted) {
    try {
      sysctls.write([...above, name, parameter].join('/'), value);
    } catch (error) {
      if (!(error instanceof KernelError)) throw error;
      throw new InternalError(`unable to set network sysctl ${text} of interface ${name}: ${error.message}`, {
        cause: error,
      });
    }
  }
}

function parse(text: string): InterfaceSysctl {
  const equals = text.indexOf('=');
  if (equals < 0) throw new InvalidArgumentError(`expected sysctl '${text}' to have format name=value`);
  const [, net, family, kind, , parameter] = NAME.exec(text.slice(0, equals)) ?? [];
  if (net === undefined || family === undefined || kind === undefined || parameter === undefined) {
    throw new InvalidArgumentError(
      `unrecognised network interface sysctl '${text}', expected format is net.X.Y.IFNAME.Z`,
    );
  }
  return { text, above: [net, family, kind], parameter, value: text.slice(equals + 1) };
}
