/** What every {@link Kernel} does alike, the real one and the fake. */
import { closeSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { KernelError } from '../../src/engine/kernel/kernel.ts';
import type { Fd, Kernel, RouteSocket } from '../../src/engine/kernel/kernel.ts';

/** A kernel, and a directory in which it can make mount points and namespaces; both are gone after disposal. */
export interface KernelGround extends Disposable {
  readonly kernel: Kernel;
  /** Makes an empty directory and returns its path. */
  directory(): string;
}

/** Two namespaces with a socket in each. */
class TwoNetns implements Disposable {
  readonly paths: readonly [string, string];
  readonly fds: readonly [Fd, Fd];
  readonly outside: RouteSocket;
  readonly inside: RouteSocket;
  readonly #kernel: Kernel;

  constructor({ kernel, directory }: { readonly kernel: Kernel; readonly directory: string }) {
    this.#kernel = kernel;
    this.paths = [`${directory}/outside`, `${directory}/inside`];
    for (const path of this.paths) kernel.namespaces.createNetns(path);
    this.fds = [kernel.namespaces.openNetns(this.paths[0]), kernel.namespaces.openNetns(this.paths[1])];
    this.outside = kernel.openRoute(this.fds[0]);
    this.inside = kernel.openRoute(this.fds[1]);
  }

  /** A bridge with a veth port, its other end inside. */
  bridgeAndVeth() {
    const bridge = this.outside.createBridge('kernbr0');
    this.outside.changeLink(bridge.index, { up: true });
    this.outside.addAddress(bridge.index, '10.249.0.1/24');
    const veth = this.outside.createVethPair({
      name: 'kernve0',
      masterIndex: bridge.index,
      mtu: 1400,
      peerName: 'eth0',
      peerNetns: this.fds[1],
      peerMacAddress: '02:42:0a:f9:00:02',
    });
    const eth0 = this.inside.linkByName('eth0')!;
    return { bridge, veth, eth0 };
  }

  [Symbol.dispose](): void {
    this.outside[Symbol.dispose]();
    this.inside[Symbol.dispose]();
    for (const fd of this.fds) closeSync(fd);
    for (const path of this.paths) this.#kernel.namespaces.removeNetns(path);
  }
}

/** Runs the suite; `skip` says why it cannot run here. */
export function kernelContract(name: string, open: () => KernelGround, skip: string | null): void {
  describe.skipIf(skip !== null)(skip === null ? name : `${name} (skipped: ${skip})`, () => {
    describe('mounts', () => mountContract(open));
    describe('processes', () => processContract(open));
    describe('namespaces', () => namespaceContract(open));
    describe('user namespaces', () => userNamespaceContract(open));
    describe('links', () => linkContract(open));
    describe('addresses and routes', () => routeContract(open));
  });
}

function mountContract(open: () => KernelGround): void {
  it('lists mount points deepest first and forgets them when unmounted', () => {
    using ground = open();
    const { mounts } = ground.kernel;
    const [outer, other] = [ground.directory(), ground.directory()];
    const tmpfs = { type: 'tmpfs', source: 'tmpfs', options: ['nodev', 'size=1m'] };
    mounts.mount(tmpfs, outer);
    mounts.mount(tmpfs, outer);
    mounts.mount({ type: 'bind', source: outer, options: ['rbind', 'ro', 'rprivate'] }, other);
    expect(mounts.listBelow(outer)).toEqual([outer, outer]);
    expect(mounts.listBelow(outer.slice(0, -1))).toEqual([]);
    mounts.unmount(other);
    mounts.unmount(outer);
    mounts.unmount(outer, { lazy: true });
    expect(mounts.listBelow(outer)).toEqual([]);
    expect(mounts.listBelow(other)).toEqual([]);
  });

  it('writes a file system out', async () => {
    using ground = open();
    await expect(ground.kernel.mounts.syncFilesystem('/proc')).resolves.toBeUndefined();
  });

  it('refuses to unmount what is not mounted', () => {
    using ground = open();
    const target = ground.directory();
    expect(thrownBy(() => ground.kernel.mounts.unmount(target))).toMatchObject({ code: 'EINVAL', path: target });
  });
}

function processContract(open: () => KernelGround): void {
  it('runs a program to its end', async () => {
    using ground = open();
    const { processes } = ground.kernel;
    const pid = processes.spawn({ argv: ['/bin/true'], env: {} });
    expect(await processes.wait(pid)).toEqual({ code: 0, signal: null });
  });

  it('says by a handle when a process has ended', async () => {
    using ground = open();
    const { processes } = ground.kernel;
    const pid = processes.spawn({ argv: ['/bin/sleep', '60'], env: {} });
    using handle = processes.open(pid)!;
    expect(handle.pid).toBe(pid);
    expect(handle.signal(9)).toBe(true);
    await handle.exited;
    expect(await processes.wait(pid)).toEqual({ code: null, signal: 9 });
    expect(handle.signal(9)).toBe(false);
    expect(processes.open(pid)).toBeNull();
  });

  it('gathers output and feeds input', async () => {
    using ground = open();
    const run = await ground.kernel.processes.capture({ argv: ['/bin/cat'], env: {} }, { stdin: 'words\n' });
    expect(run).toEqual({ code: 0, signal: null, stdout: 'words\n', stderr: '' });
  });

  it('kills on abort and rejects with the reason', async () => {
    using ground = open();
    const abort = new AbortController();
    const options = { argv: ['/bin/sleep', '60'] as const, env: {} };
    const run = ground.kernel.processes.capture(options, { signal: abort.signal });
    abort.abort(new Error('enough'));
    await expect(run).rejects.toThrow('enough');
    await expect(ground.kernel.processes.capture(options, { signal: abort.signal })).rejects.toThrow('enough');
  });

  it('reads a pipe that a child writes to', async () => {
    using ground = open();
    const { processes } = ground.kernel;
    const { read, write } = processes.pipe();
    const pid = processes.spawn({ argv: ['/bin/cat', '/proc/sys/kernel/ostype'], env: {}, fds: [[write, 1]] });
    closeSync(write);
    expect(await processes.readAll(read)).toBe('Linux\n');
    await processes.wait(pid);
  });

  it('stops reading a pipe on abort', async () => {
    using ground = open();
    const { processes } = ground.kernel;
    const { read, write } = processes.pipe();
    const pid = processes.spawn({ argv: ['/bin/sleep', '60'], env: {}, fds: [[write, 1]] });
    closeSync(write);
    const abort = new AbortController();
    const text = processes.readAll(read, abort.signal);
    abort.abort(new Error('enough'));
    await expect(text).rejects.toThrow('enough');
    using handle = processes.open(pid)!;
    handle.signal(9);
    await processes.wait(pid);
  });
}

function namespaceContract(open: () => KernelGround): void {
  it('makes a namespace once and removes it as often as asked', () => {
    using ground = open();
    const { namespaces } = ground.kernel;
    const path = `${ground.directory()}/netns`;
    namespaces.createNetns(path);
    try {
      expect(thrownBy(() => namespaces.createNetns(path))).toMatchObject({ code: 'EEXIST', path });
    } finally {
      namespaces.removeNetns(path);
      namespaces.removeNetns(path);
    }
    expect(thrownBy(() => namespaces.openNetns(path))).toMatchObject({ code: 'ENOENT', path });
  });

  it('starts with lo alone', () => {
    using ground = open();
    using two = new TwoNetns({ kernel: ground.kernel, directory: ground.directory() });
    expect(two.inside.links()).toMatchObject([{ name: 'lo', up: false, masterIndex: null, type: null }]);
  });

  it('returns what the job returns and throws what it throws', () => {
    using ground = open();
    using two = new TwoNetns({ kernel: ground.kernel, directory: ground.directory() });
    const { namespaces } = ground.kernel;
    expect(namespaces.within(two.fds[0], () => namespaces.within(two.fds[1], () => 7))).toBe(7);
    expect(() =>
      namespaces.within(two.fds[0], () => {
        throw new RangeError('job');
      }),
    ).toThrow(RangeError);
  });
}

function userNamespaceContract(open: () => KernelGround): void {
  const runs = [{ containerID: 0, hostID: 200_000, size: 1000 }];
  const mapping = { uids: runs, gids: runs };

  it('keeps one in a file, with a network namespace of its own, until it is removed', () => {
    using ground = open();
    const { kernel } = ground;
    const directory = ground.directory();
    const [path, netnsPath] = [`${directory}/user`, `${directory}/net`];
    kernel.userNamespaces.create(mapping, path, netnsPath);
    const netns = kernel.namespaces.openNetns(netnsPath);
    using route = kernel.openRoute(netns);
    expect(route.linkByName('lo')).not.toBeNull();
    closeSync(netns);
    expect(thrownBy(() => kernel.userNamespaces.create(mapping, path, null))).toMatchObject({ code: 'EEXIST', path });
    for (let time = 0; time < 2; time += 1) {
      kernel.userNamespaces.remove(path);
      kernel.namespaces.removeNetns(netnsPath);
    }
  });

  it('leaves no user namespace where the place of the network namespace is taken', () => {
    using ground = open();
    const { kernel } = ground;
    const directory = ground.directory();
    const [path, netnsPath] = [`${directory}/user`, `${directory}/net`];
    kernel.namespaces.createNetns(netnsPath);
    const create = (): void => kernel.userNamespaces.create(mapping, path, netnsPath);
    expect(thrownBy(create)).toMatchObject({ code: 'EEXIST', path: netnsPath });
    kernel.namespaces.removeNetns(netnsPath);
    create();
    kernel.userNamespaces.remove(path);
    kernel.namespaces.removeNetns(netnsPath);
  });

  it('refuses to map a file system that knows no mapping', () => {
    using ground = open();
    const { kernel } = ground;
    const userns = kernel.userNamespaces.open(mapping);
    const target = ground.directory();
    const proc = { type: 'proc', source: 'proc', options: [] };
    expect(thrownBy(() => kernel.mounts.mountMapped(proc, target, userns))).toMatchObject({ code: 'EINVAL' });
    closeSync(userns);
    expect(kernel.mounts.listBelow(target)).toEqual([]);
  });
}

function linkContract(open: () => KernelGround): void {
  it('puts a veth pair into a bridge and a namespace', () => {
    using ground = open();
    using two = new TwoNetns({ kernel: ground.kernel, directory: ground.directory() });
    const { bridge, veth, eth0 } = two.bridgeAndVeth();
    expect(bridge).toMatchObject({ name: 'kernbr0', type: 'bridge' });
    expect(veth).toMatchObject({ name: 'kernve0', type: 'veth', masterIndex: bridge.index, mtu: 1400, up: true });
    expect(eth0).toMatchObject({ type: 'veth', mtu: 1400, macAddress: '02:42:0a:f9:00:02', masterIndex: null });
    two.outside.changeLink(veth.index, { hairpin: true });
    two.inside.changeLink(eth0.index, { name: 'net1', mtu: 1300, macAddress: '02:42:0a:f9:00:03' });
    expect(two.inside.linkByName('net1')).toMatchObject({ mtu: 1300, macAddress: '02:42:0a:f9:00:03' });
    expect(two.outside.portsOf(bridge.index)).toMatchObject([{ name: 'kernve0', masterIndex: bridge.index }]);
    two.outside.changeLink(veth.index, { masterIndex: null, up: false });
    expect(two.outside.linkByName('kernve0')).toMatchObject({ masterIndex: null, up: false });
    expect(two.outside.linkIndex('kernve0')).toBe(veth.index);
    expect(two.outside.portsOf(bridge.index)).toEqual([]);
    expect(two.inside.linkIndex('kernve0')).toBeNull();
    expect(two.inside.linkIndex('a-name-too-long-for-links')).toBeNull();
    two.outside.deleteLink(veth.index);
    expect(two.outside.linkByName('kernve0')).toBeNull();
    expect(two.inside.linkByName('net1')).toBeNull();
  });

  it('takes a link away without waiting for it, the socket being closed meanwhile', async () => {
    using ground = open();
    using two = new TwoNetns({ kernel: ground.kernel, directory: ground.directory() });
    const { eth0 } = two.bridgeAndVeth();
    const going = two.inside.retireLink(eth0.index);
    const refused = two.inside.retireLink(4242);
    two.inside[Symbol.dispose]();
    await going;
    expect(two.outside.linkByName('kernve0')).toBeNull();
    await expect(refused).rejects.toMatchObject({ code: 'ENODEV' });
  });

  it('does several things in one breath, and tells the first that failed', () => {
    using ground = open();
    using two = new TwoNetns({ kernel: ground.kernel, directory: ground.directory() });
    const { eth0 } = two.bridgeAndVeth();
    two.inside.batch((requests) => {
      requests.changeLink(eth0.index, { up: true });
      requests.addAddress(eth0.index, '10.249.0.2/24');
      requests.addAddress(eth0.index, 'fd00:249::2/64');
      requests.addRoute({ destination: '0.0.0.0/0', gateway: '10.249.0.1', linkIndex: eth0.index });
    });
    expect(two.inside.linkByName('eth0')).toMatchObject({ up: true });
    expect(two.inside.routes('ipv4')).toContainEqual({
      destination: '0.0.0.0/0',
      gateway: '10.249.0.1',
      linkIndex: eth0.index,
    });
    const twice = (): void =>
      two.inside.batch((requests) => {
        requests.addAddress(eth0.index, '10.249.0.3/24');
        requests.addAddress(eth0.index, '10.249.0.2/24');
      });
    expect(thrownBy(twice)).toMatchObject({ code: 'EEXIST', path: '10.249.0.2/24' });
    two.inside.batch(() => undefined);
  });

  it('makes macvlan links on a parent, born inside', ({ skip }) => {
    using ground = open();
    using two = new TwoNetns({ kernel: ground.kernel, directory: ground.directory() });
    const { veth } = two.bridgeAndVeth();
    // A bridge's port cannot be a parent.
    two.outside.changeLink(veth.index, { masterIndex: null });
    try {
      two.outside.createLink({
        kind: 'macvlan',
        name: 'mac0',
        parentIndex: veth.index,
        mode: 'bridge',
        netns: two.fds[1],
        mtu: 1300,
        macAddress: '02:42:0a:f9:00:09',
      });
    } catch (error) {
      if (error instanceof KernelError && error.code === 'ENOTSUP') skip('this kernel has no macvlan links');
      throw error;
    }
    expect(two.inside.linkByName('mac0')).toMatchObject({
      type: 'macvlan',
      mtu: 1300,
      macAddress: '02:42:0a:f9:00:09',
      parentIndex: veth.index,
    });
    expect(two.outside.linkByName('mac0')).toBeNull();
  });

  it('tells of links that come and go', async () => {
    using ground = open();
    const seen: string[] = [];
    const name = `kernw${String(process.pid)}`;
    using _watch = ground.kernel.watchLinks((notice) => {
      if (notice?.link.name === name) seen.push(notice.gone ? 'gone' : 'there');
    });
    using route = ground.kernel.openRoute(null);
    const { index } = route.createBridge(name);
    await expect.poll(() => seen.at(-1)).toBe('there');
    await route.retireLink(index);
    await expect.poll(() => seen.at(-1)).toBe('gone');
  });

  it('refuses names that are taken or too long, and links that are not there', () => {
    using ground = open();
    using two = new TwoNetns({ kernel: ground.kernel, directory: ground.directory() });
    two.outside.createBridge('kernbr0');
    expect(thrownBy(() => two.outside.createBridge('kernbr0'))).toMatchObject({ code: 'EEXIST' });
    expect(thrownBy(() => two.outside.createBridge('a-name-of-16-byt'))).toMatchObject({ code: 'ERANGE' });
    expect(thrownBy(() => two.outside.changeLink(4242, { up: true }))).toMatchObject({ code: 'ENODEV' });
  });
}

function routeContract(open: () => KernelGround): void {
  it('has the addresses and routes that were added', () => {
    using ground = open();
    using two = new TwoNetns({ kernel: ground.kernel, directory: ground.directory() });
    const { eth0 } = two.bridgeAndVeth();
    two.inside.addAddress(eth0.index, '10.249.0.2/24');
    two.inside.addAddress(eth0.index, 'fd00:249:0:0::2/64');
    two.inside.changeLink(eth0.index, { up: true });
    two.inside.addRoute({ destination: '0.0.0.0/0', gateway: '10.249.0.1', linkIndex: eth0.index });
    two.inside.addRoute({ destination: '192.0.2.0/24', gateway: null, linkIndex: eth0.index });
    const addresses = two.inside.addresses(eth0.index).map(({ cidr }) => cidr);
    expect(addresses).toEqual(expect.arrayContaining(['10.249.0.2/24', 'fd00:249::2/64']));
    expect(two.inside.routes('ipv4')).toEqual(
      expect.arrayContaining([
        { destination: '0.0.0.0/0', gateway: '10.249.0.1', linkIndex: eth0.index },
        { destination: '10.249.0.0/24', gateway: null, linkIndex: eth0.index },
        { destination: '192.0.2.0/24', gateway: null, linkIndex: eth0.index },
      ]),
    );
    two.inside.addRoute({ destination: '::/0', gateway: 'fd00:249::1', linkIndex: null });
    expect(two.inside.routes('ipv6')).toContainEqual({
      destination: '::/0',
      gateway: 'fd00:249::1',
      linkIndex: eth0.index,
    });
  });

  it('takes addresses and routes away, and puts one route in another’s place', () => {
    using ground = open();
    using two = new TwoNetns({ kernel: ground.kernel, directory: ground.directory() });
    const { eth0 } = two.bridgeAndVeth();
    for (const cidr of ['10.249.0.2/24', 'fd00:249::2/64']) two.inside.addAddress(eth0.index, cidr);
    two.inside.changeLink(eth0.index, { up: true });
    for (const [destination, first, second] of [
      ['0.0.0.0/0', '10.249.0.1', '10.249.0.9'],
      ['::/0', 'fd00:249::1', 'fd00:249::9'],
    ] as const) {
      const family = destination === '::/0' ? 'ipv6' : 'ipv4';
      const route = { destination, gateway: first, linkIndex: eth0.index };
      two.inside.addRoute(route);
      expect(thrownBy(() => two.inside.addRoute(route))).toMatchObject({ code: 'EEXIST' });
      two.inside.replaceRoute({ ...route, gateway: second });
      const gateways = two.inside.routes(family).filter((known) => known.destination === destination);
      expect(gateways).toEqual([{ ...route, gateway: second }]);
      two.inside.removeRoute({ ...route, gateway: second });
      expect(thrownBy(() => two.inside.removeRoute(route))).toMatchObject({ code: 'ESRCH' });
    }
    two.inside.removeAddress(eth0.index, 'fd00:249::2/64');
    expect(two.inside.addresses(eth0.index).map(({ cidr }) => cidr)).not.toContain('fd00:249::2/64');
    expect(thrownBy(() => two.inside.removeAddress(eth0.index, 'fd00:249::2/64'))).toMatchObject({
      code: 'EADDRNOTAVAIL',
    });
  });

  it('refuses what is there already and gateways out of reach', () => {
    using ground = open();
    using two = new TwoNetns({ kernel: ground.kernel, directory: ground.directory() });
    const { eth0 } = two.bridgeAndVeth();
    two.inside.addAddress(eth0.index, '10.249.0.2/24');
    expect(thrownBy(() => two.inside.addAddress(eth0.index, '10.249.0.2/24'))).toMatchObject({ code: 'EEXIST' });
    const route = { destination: '0.0.0.0/0', gateway: '10.1.2.3', linkIndex: null };
    expect(thrownBy(() => two.inside.addRoute(route))).toMatchObject({ code: 'ENETUNREACH' });
    expect(thrownBy(() => two.inside.addAddress(eth0.index, '10.249.0.300/24'))).toMatchObject({ code: 'EINVAL' });
  });
}

/** The KernelError that `job` throws. */
export function thrownBy(job: () => unknown): KernelError {
  try {
    job();
  } catch (error) {
    if (error instanceof KernelError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
}
