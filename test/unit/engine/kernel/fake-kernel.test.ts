import { closeSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { FakeKernel } from '../../../support/fake-kernel.ts';

const tmpfs = { type: 'tmpfs', source: 'tmpfs', options: [] };

describe('FakeKernel', () => {
  it('writes every call down', () => {
    const kernel = new FakeKernel();
    kernel.mounts.mount(tmpfs, '/a');
    using route = kernel.openRoute(null);
    route.createBridge('br0');
    expect(kernel.names()).toEqual(['mounts.mount', 'openRoute', 'route.createBridge']);
    expect(kernel.argsOf('mounts.mount')).toEqual([[tmpfs, '/a']]);
    expect(kernel.leftovers()).toEqual(['mount /a', 'link br0', '1 rtnetlink sockets']);
  });

  it('fails the n-th call once, and changes nothing then', () => {
    const kernel = new FakeKernel();
    kernel.failAt(2, 'EIO');
    kernel.mounts.mount(tmpfs, '/a');
    expect(() => kernel.mounts.mount(tmpfs, '/b')).toThrow('EIO');
    expect(kernel.pendingFailure).toBe(false);
    kernel.mounts.mount(tmpfs, '/c');
    expect(kernel.mounted.map(({ target }) => target)).toEqual(['/a', '/c']);
  });

  it('fails calls by name, rejecting where the real one rejects', async () => {
    const kernel = new FakeKernel();
    kernel.failOn('processes.capture', 'ENOMEM', 2);
    const run = () => kernel.processes.capture({ argv: ['/bin/true'], env: {} });
    await expect(run()).rejects.toMatchObject({ call: 'processes.capture', code: 'ENOMEM' });
    expect(kernel.pendingFailure).toBe(true);
    await expect(run()).rejects.toMatchObject({ code: 'ENOMEM' });
    expect(await run()).toMatchObject({ code: 0 });
  });

  it('runs scripts in place of programs', async () => {
    const kernel = new FakeKernel();
    kernel.onSpawn('conmon', (child) => {
      child.write(3, `{"pid":${String(kernel.addProcess(77).pid)}}`);
      return 0;
    });
    const { read, write } = kernel.processes.pipe();
    const pid = kernel.processes.spawn({ argv: ['/usr/bin/conmon', '-c', 'id'], env: {}, fds: [[write, 3]] });
    closeSync(write);
    expect(await kernel.processes.readAll(read)).toBe('{"pid":77}');
    closeSync(read);
    expect(await kernel.processes.wait(pid)).toEqual({ code: 0, signal: null });
    expect(kernel.running().map((child) => child.pid)).toEqual([77]);
    using handle = kernel.processes.open(77)!;
    kernel.running()[0]!.exit(5);
    await handle.exited;
    expect(kernel.leftovers()).toEqual([]);
  });

  it('takes the veth away with its namespace', () => {
    const kernel = new FakeKernel();
    kernel.namespaces.createNetns('/run/ns');
    const fd = kernel.namespaces.openNetns('/run/ns');
    using route = kernel.openRoute(null);
    const peer = { peerName: 'eth0', peerNetns: fd, peerMacAddress: null };
    route.createVethPair({ name: 'veth0', masterIndex: null, mtu: 1500, ...peer });
    closeSync(fd);
    kernel.namespaces.within(fd, () => kernel.nft.run('add table ip t'));
    expect(kernel.netns.get('/run/ns')?.nftScripts).toEqual(['add table ip t']);
    kernel.namespaces.removeNetns('/run/ns');
    expect(route.linkByName('veth0')).toBeNull();
  });
});
