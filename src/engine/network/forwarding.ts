/** Whether the host passes packets on from one interface to another: no container reaches anything without it. */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '../../base/logger.ts';
import { KernelError } from '../kernel/kernel.ts';
import type { RouteSocket } from '../kernel/kernel.ts';
import type { Family } from './interface/pools.ts';
import type { Sysctls } from './sysctl.ts';

const FAMILIES = ['ipv4', 'ipv6'] as const;
const SWITCH = { ipv4: 'net/ipv4/ip_forward', ipv6: 'net/ipv6/conf/all/forwarding' } as const;
const WORD = { ipv4: 'IPv4', ipv6: 'IPv6' } as const;

/** Accept router advertisements unless forwarding, and even when forwarding. */
const UNLESS_FORWARDING = '1';
const IN_ANY_CASE = '2';

/** What forwarding is switched with. */
export interface ForwardingParts {
  readonly sysctls: Sysctls;
  readonly route: () => Pick<RouteSocket, 'links'>;
  readonly logger: Logger;
  /** `--ip-forward`; false: nothing is changed. */
  readonly allowed: boolean;
  /** `--ip-forward-no-drop`: what others forward by it is left alone. Absent: false. */
  readonly keepOpen?: boolean;
  /** Where it is noted until the host's next start what was switched; on a file system that forgets (/run). */
  readonly noteDirectory: string;
}

/** Switches forwarding on where it is needed; it is never switched off, others may have come to rely on it. */
export class Forwarding {
  readonly #parts: ForwardingParts;
  readonly #warned = new Set<Family>();

  constructor(parts: ForwardingParts) {
    this.#parts = parts;
  }

  /** Idempotent. Where the daemon must not (`--ip-forward=false`), a warning says once what that means. */
  allow(family: Family): void {
    const { sysctls, allowed, logger, noteDirectory } = this.#parts;
    const now = sysctls.read(SWITCH[family]);
    if (now === null || now === '1') return;
    if (!allowed) {
      if (!this.#warned.has(family)) {
        logger.warn(
          `${WORD[family]} forwarding is disabled: containers cannot reach other hosts, nor be reached from them`,
        );
      }
      this.#warned.add(family);
      return;
    }
    if (family === 'ipv6') this.#keepRouterAdvertisements();
    sysctls.write(SWITCH[family], '1');
    mkdirSync(noteDirectory, { recursive: true });
    writeFileSync(this.#note(family), '');
  }

  /** The families of which the host passes packets on because we had it do so, since the host's start. */
  ownDoing(): readonly Family[] {
    return FAMILIES.filter((family) => existsSync(this.#note(family)));
  }

  /** The families of which the packet filter drops what is none of ours: the host was no router before. */
  toClose(): readonly Family[] {
    return this.#parts.keepOpen === true ? [] : this.ownDoing();
  }

  #note(family: Family): string {
    return join(this.#parts.noteDirectory, `forwarding-${family}`);
  }

  /**
   * A router takes no default route from other routers: the moment the kernel forwards IPv6 it forgets the routes that
   * router advertisements brought and takes no more. Interfaces that did take them are told to go on.
   */
  #keepRouterAdvertisements(): void {
    const { sysctls, route } = this.#parts;
    // Interfaces to come take after `default`.
    for (const name of [
      'default',
      ...route()
        .links()
        .map((link) => link.name),
    ]) {
      const place = `net/ipv6/conf/${name}`;
      if (sysctls.read(`${place}/accept_ra`) !== UNLESS_FORWARDING || sysctls.read(`${place}/forwarding`) === '1')
        continue;
      try {
        sysctls.write(`${place}/accept_ra`, IN_ANY_CASE);
      } catch (error) {
        // Gone meanwhile.
        if (!(error instanceof KernelError) || error.code !== 'ENOENT') throw error;
      }
    }
  }
}
