/** What only the real kernel can show: effects on files, sockets, firewall and descriptors. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createLinuxKernel } from '../../src/engine/kernel/linux/index.ts';
import type { LinuxSeccomp } from '../../src/engine/oci/runtime-spec.ts';
import { thrownBy } from './kernel.contract.ts';
import { SeqpacketPeer } from '../support/seqpacket-peer.ts';

const isRoot = process.getuid?.() === 0;
const kernel = createLinuxKernel();
const root = mkdtempSync(join(tmpdir(), 'kernel-linux-'));
let directory = '';
let count = 0;

beforeEach(() => {
  directory = join(root, String(count++));
  mkdirSync(directory);
});
afterEach(() => {
  for (const target of kernel.mounts.listBelow(root)) kernel.mounts.unmount(target, { lazy: true });
});
afterAll(() => rmSync(root, { recursive: true }));

const title = (name: string): string => (isRoot ? name : `${name} (skipped: needs root)`);

describe.skipIf(!isRoot)(title('mounts'), () => {
  it('makes a bind mount read-only and keeps what the source forbids', () => {
    const [source, target] = [make('source'), make('target')];
    kernel.mounts.mount({ type: 'tmpfs', source: 'tmpfs', options: ['nodev', 'nosuid', 'mode=700', 'x-y.z'] }, source);
    writeFileSync(join(source, 'file'), 'x');
    kernel.mounts.mount({ type: 'bind', source, options: ['rbind', 'ro', 'rslave'] }, target);
    expect(() => writeFileSync(join(target, 'file'), 'y')).toThrow('EROFS');
    writeFileSync(join(source, 'file'), 'y');
    expect(mountOptions(target)).toEqual(expect.arrayContaining(['ro', 'nodev', 'nosuid']));
    expect(statSync(source).mode & 0o777).toBe(0o700);
  });

  it('mounts an overlay of more layers than a page of options can name', () => {
    const layers = Array.from({ length: 100 }, (_, index) => make(`layer:${String(index).padStart(90, 'x')}`));
    layers.forEach((layer, index) => writeFileSync(join(layer, `file${String(index)}`), ''));
    const [upper, work, merged] = [make('upper'), make('work'), make('merged')];
    const lowerdir = layers.map((layer) => layer.replaceAll(':', '\\:')).join(':');
    const options = [`lowerdir=${lowerdir}`, `upperdir=${upper}`, `workdir=${work}`, 'nodev'];
    kernel.mounts.mount({ type: 'overlay', source: 'overlay', options }, merged);
    expect(readdirSync(merged)).toHaveLength(100);
    writeFileSync(join(merged, 'new'), '');
    expect(readdirSync(upper)).toEqual(['new']);
    expect(mountOptions(merged)).toContain('nodev');
  });

  it('tells what the kernel found wrong with a long list', () => {
    const layers = Array.from({ length: 100 }, (_, index) =>
      join(directory, `missing${String(index).padStart(90, 'x')}`),
    );
    const error = thrownBy(() =>
      kernel.mounts.mount({ type: 'overlay', source: 'overlay', options: [`lowerdir=${layers.join(':')}`] }, make('m')),
    );
    expect(error).toMatchObject({ call: 'fsconfig', code: 'ENOENT' });
    expect(error.message).toContain(layers[0]);
    expect(kernel.mounts.listBelow(directory)).toEqual([]);
  });

  it('leaves nothing mounted when the second step fails', () => {
    const [source, target] = [make('source'), make('target')];
    const mount = { type: 'bind', source, options: ['bind', 'rprivate', 'unbindable', 'shared', 'runbindable', 'ro'] };
    kernel.mounts.mount(mount, target);
    kernel.mounts.unmount(target);
    expect(thrownBy(() => kernel.mounts.mount({ ...mount, source: join(source, 'no') }, target)).code).toBe('ENOENT');
    expect(kernel.mounts.listBelow(directory)).toEqual([]);
  });

  it('finds mount points whose names need escapes', () => {
    const target = make('a b\tc\\d');
    kernel.mounts.mount({ type: 'tmpfs', source: 'tmpfs', options: [] }, target);
    expect(kernel.mounts.listBelow(directory)).toEqual([target]);
  });

  it('finds mount points through a link on the way, as they were asked for', () => {
    const target = make('behind');
    kernel.mounts.mount({ type: 'tmpfs', source: 'tmpfs', options: [] }, target);
    symlinkSync(directory, `${directory}-link`);
    expect(kernel.mounts.listBelow(`${directory}-link/behind`)).toEqual([`${directory}-link/behind`]);
    expect(kernel.mounts.listBelow(`${directory}-link/nothing`)).toEqual([]);
  });
});

describe('processes', () => {
  it('gives the child its descriptors, directory, environment and session, and nothing else', async () => {
    const { processes } = kernel;
    const first = processes.pipe();
    const second = processes.pipe();
    const script =
      'ls /proc/self/fd; pwd; echo "$WORD"; echo $$ $(cut -d" " -f6 /proc/$$/stat); exec grep Sig[IB] /proc/self/status >&5';
    const pid = processes.spawn({
      argv: ['/bin/sh', '-c', script],
      env: { WORD: 'a b', PATH: '/usr/bin:/bin' },
      cwd: '/usr',
      newSession: true,
      // Each lands on the other's number: none may be overwritten before its turn.
      fds: [
        [first.write, 1],
        [second.write, 5],
      ],
    });
    closeSync(first.write);
    closeSync(second.write);
    const [output, signals] = await Promise.all([processes.readAll(first.read), processes.readAll(second.read)]);
    expect(await processes.wait(pid)).toEqual({ code: 0, signal: null });
    // 3 is the directory that ls itself reads.
    expect(output.split('\n')).toEqual(['0', '1', '2', '3', '5', '/usr', 'a b', `${String(pid)} ${String(pid)}`, '']);
    // dash ignores nothing by itself: Node's ignored SIGPIPE must not have come through. 32 and 33 are glibc's own.
    expect(signals.match(/[0-9a-f]{16}/g)).toEqual(['0000000000000000', '0000000180000000']);
  });

  it('says which program cannot be started, with no descriptor lost', async () => {
    const before = openFds();
    for (let round = 0; round < 20; round++) {
      const options = { argv: [join(directory, 'nothing')] as const, env: {} };
      expect(thrownBy(() => kernel.processes.spawn(options))).toMatchObject({ code: 'ENOENT', path: options.argv[0] });
      await expect(kernel.processes.capture(options, { stdin: 'x' })).rejects.toMatchObject({ code: 'ENOENT' });
    }
    expect(openFds()).toEqual(before);
  });

  it('does not wait for a daemon that the program left behind with its output', async () => {
    const script = 'sleep 60 & echo $!; echo err >&2; exit 3';
    const run = await kernel.processes.capture({ argv: ['/bin/sh', '-c', script], env: { PATH: '/usr/bin:/bin' } });
    using daemon = kernel.processes.open(Number(run.stdout));
    expect(daemon?.signal(9)).toBe(true);
    expect(run).toMatchObject({ code: 3, stderr: 'err\n' });
  });

  it('cuts endless output and takes long input', async () => {
    const stdin = 'x'.repeat(3 * 1024 * 1024);
    const run = await kernel.processes.capture({ argv: ['/bin/cat'], env: {} }, { stdin });
    expect(run.code).toBe(0);
    expect(run.stdout).toHaveLength(1024 * 1024);
  });

  it('loses no descriptor and no child in many runs', async () => {
    await kernel.processes.capture({ argv: ['/bin/true'], env: {} });
    const before = openFds();
    const runs = Array.from({ length: 40 }, () => kernel.processes.capture({ argv: ['/bin/true'], env: {} }));
    for (const run of await Promise.all(runs)) expect(run.code).toBe(0);
    expect(openFds()).toEqual(before);
    expect(kernel.processes.open(2 ** 22)).toBeNull();
    expect(kernel.processes.open(-1)).toBeNull();
  });
});

describe('sockets', () => {
  it('speaks SOCK_SEQPACKET: one packet an event, half-close reaches the peer and reading goes on', async () => {
    // Too long for sun_path.
    const path = join(make('d'.repeat(120)), 'attach');
    using peer = new SeqpacketPeer(path);
    const socket = await kernel.sockets.connectSeqpacket(path);
    const packets: string[] = [];
    socket.on('data', (packet: Buffer) => packets.push(packet.toString()));
    socket.resume();
    using connection = peer.accept();
    connection.send('one');
    connection.send('two');
    await expect.poll(() => packets).toEqual(['one', 'two']);
    socket.write('three');
    await expect.poll(() => connection.receive()).toBe('three');
    socket.end();
    await expect.poll(() => connection.receive()).toBe('');
    connection.send('four');
    await expect.poll(() => packets.at(-1)).toBe('four');
    const closed = new Promise((resolve) => socket.once('close', resolve));
    connection[Symbol.dispose]();
    await closed;
  });

  it('tells an absent socket from a dead one', async () => {
    const path = join(directory, 'absent');
    await expect(kernel.sockets.connectSeqpacket(path)).rejects.toMatchObject({ code: 'ENOENT', path });
    new SeqpacketPeer(path)[Symbol.dispose]();
    await expect(kernel.sockets.connectSeqpacket(path)).rejects.toMatchObject({ code: 'ECONNREFUSED' });
  });

  it('knows who is at the other end', async () => {
    const path = join(directory, 'socket');
    const { promise, resolve } = Promise.withResolvers<unknown>();
    const server = createServer((socket) => {
      const { _handle } = socket as unknown as { readonly _handle: { readonly fd: number } };
      resolve(kernel.sockets.peerCredentials(_handle.fd));
      socket.end('bye');
    }).listen(path);
    await new Promise((listening) => server.once('listening', listening));
    const script = `require('node:net').connect(process.argv[1]).resume().on('connect', () => console.log(process.pid))`;
    const run = kernel.processes.capture({ argv: [process.execPath, '-e', script, path], env: {} });
    const credentials = await promise;
    expect(credentials).toEqual({ pid: Number((await run).stdout), uid: process.getuid?.(), gid: process.getgid?.() });
    await new Promise((closed) => server.close(closed));
  });
});

describe.skipIf(!isRoot)(title('namespaces and nftables'), () => {
  it('is inside for the length of one call only', () => {
    const home = readlinkSync('/proc/thread-self/ns/net');
    using netns = ownNetns();
    expect(netns.inside(() => readlinkSync('/proc/thread-self/ns/net'))).not.toBe(home);
    expect(thrownBy(() => netns.inside(async () => undefined)).message).toContain('asynchronous');
    expect(readlinkSync('/proc/thread-self/ns/net')).toBe(home);
  });

  it('runs a script as a whole or not at all', () => {
    using netns = ownNetns();
    const { nft } = kernel;
    netns.inside(() => nft.run('add table inet kerntest; add chain inet kerntest forward'));
    const script = 'add rule inet kerntest forward accept\nadd rule inet kerntest nothing accept';
    const error = thrownBy(() => netns.inside(() => nft.run(script)));
    expect(error).toMatchObject({ call: 'nft', code: 'ENOENT' });
    expect(error.message).toContain(
      'line 2: Error: Could not process rule: No such file or directory\nadd rule inet kerntest nothing accept',
    );
    expect(thrownBy(() => netns.inside(() => nft.run('nonsense'))).code).toBe('EINVAL');
    const listed = netns.inside(() => nft.list('list table inet kerntest')) as { nftables: object[] };
    expect(listed.nftables.map((entry) => Object.keys(entry)[0])).toEqual(['metainfo', 'table', 'chain']);
    expect(thrownBy(() => nft.list('list table inet kerntest')).code).toBe('ENOENT');
  });

  it('reports the kernel’s own words about a link', () => {
    using netns = ownNetns();
    using route = netns.route();
    const lo = route.linkByName('lo')!;
    route.changeLink(lo.index, { up: true });
    const error = thrownBy(() => route.addRoute({ destination: '10.0.0.0/8', gateway: '192.0.2.1', linkIndex: null }));
    expect(error.message).toBe('RTM_NEWROUTE 10.0.0.0/8: Nexthop has invalid gateway (ENETUNREACH)');
    expect(thrownBy(() => route.createBridge('kb0', { macAddress: 'zz' })).code).toBe('EINVAL');
  });

  it('loses no descriptor', () => {
    ownNetns()[Symbol.dispose]();
    const before = openFds();
    for (let round = 0; round < 5; round++) {
      using netns = ownNetns();
      using route = netns.route();
      netns.inside(() => kernel.nft.list('list ruleset'));
      expect(route.links()).toHaveLength(1);
    }
    expect(openFds()).toEqual(before);
  });
});

const crun = spawnSync('crun', ['--version']).status === 0 && isRoot;

describe.skipIf(!isRoot)(title('watched links'), () => {
  it('say that something was missed when more happened than the kernel could keep for us', async () => {
    using route = kernel.openRoute(null);
    const { index } = route.createBridge(`kernl${String(process.pid)}`);
    const seen: boolean[] = [];
    using _watch = kernel.watchLinks((notice) => void seen.push(notice === null));
    // Nothing is read in between: the socket's buffer runs over.
    for (let change = 0; change < 1000; change++) route.changeLink(index, { mtu: 1400 + (change % 2) });
    await expect.poll(() => seen).toContain(true);
    await route.retireLink(index);
  });
});

describe.skipIf(!crun)(crun ? 'seccomp' : 'seccomp (skipped: needs root and crun)', () => {
  const profile: LinuxSeccomp = {
    defaultAction: 'SCMP_ACT_ERRNO',
    defaultErrnoRet: 38,
    architectures:
      process.arch === 'arm64'
        ? ['SCMP_ARCH_AARCH64', 'SCMP_ARCH_ARM']
        : ['SCMP_ARCH_X86_64', 'SCMP_ARCH_X86', 'SCMP_ARCH_X32'],
    syscalls: [
      { names: allowedNames(), action: 'SCMP_ACT_ALLOW' },
      { names: ['clone'], action: 'SCMP_ACT_ALLOW', args: [{ index: 0, value: 0x7e020000, op: 'SCMP_CMP_MASKED_EQ' }] },
      { names: ['personality'], action: 'SCMP_ACT_ALLOW', args: [arg(0), arg(8), arg(0xffffffff)] },
      { names: ['socket'], action: 'SCMP_ACT_ALLOW', args: [{ index: 0, value: 40, op: 'SCMP_CMP_NE' }] },
      { names: ['clone3', 'no_such_call'], action: 'SCMP_ACT_ERRNO', errnoRet: 38 },
      { names: ['mkdir', 'mkdirat'], action: 'SCMP_ACT_ERRNO', errnoRet: 30 },
    ],
  };

  it('compiles to the very bytes that crun makes of the profile', () => {
    using bundle = crunBundle({ seccomp: profile }, {}, ['true']);
    bundle.crun('create', 'kern');
    const made = readFileSync(join(bundle.path, 'state', 'kern', 'seccomp.bpf'));
    bundle.crun('delete', '--force', 'kern');
    expect(kernel.seccomp.compile(profile)?.equals(made)).toBe(true);
  });

  it('filters a container that gets only the program', () => {
    const program = kernel.seccomp.compile(profile)!;
    const script = 'grep Seccomp: /proc/self/status; mkdir /new';
    using bundle = crunBundle({}, { 'run.oci.seccomp_bpf_data': program.toString('base64') }, ['sh', '-c', script]);
    const run = bundle.crun('run', 'kern');
    expect(run.stdout).toBe('Seccomp:\t2\n');
    expect(run.stderr).toContain('Read-only file system');
  });

  it('leaves to the runtime what a program cannot carry, and refuses nonsense', () => {
    expect(kernel.seccomp.compile({ ...profile, flags: ['SECCOMP_FILTER_FLAG_LOG'] })).toBeNull();
    expect(kernel.seccomp.compile({ ...profile, defaultAction: 'SCMP_ACT_NOTIFY' })).toBeNull();
    expect(thrownBy(() => kernel.seccomp.compile({ ...profile, defaultAction: 'SCMP_ACT_NO' })).code).toBe('EINVAL');
    expect(thrownBy(() => kernel.seccomp.compile({ ...profile, architectures: ['SCMP_ARCH_Z80'] })).code).toBe(
      'EINVAL',
    );
  });
});

function arg(value: number) {
  return { index: 0, value, op: 'SCMP_CMP_EQ' };
}

/** All that busybox may need: every call but those the tests speak of. */
function allowedNames(): readonly string[] {
  const special = new Set(['clone', 'clone3', 'personality', 'socket', 'mkdir', 'mkdirat']);
  return (
    'access arch_prctl brk chdir clock_gettime close dup dup2 dup3 execve execveat exit exit_group faccessat faccessat2 fchdir ' +
    'fcntl fork fstat futex getcwd getdents64 getegid geteuid getgid getpgrp getpid getppid getrandom getuid ioctl kill lseek ' +
    'lstat mmap mprotect munmap newfstatat open openat openat2 pipe pipe2 poll ppoll prctl prlimit64 read readlink readlinkat ' +
    'rseq rt_sigaction rt_sigprocmask rt_sigreturn sendfile set_robust_list set_tid_address setgid setgroups setpgid setsid ' +
    'setuid sigaltstack stat statx sysinfo umask uname vfork wait4 write writev capset capget fstatfs fstatat64 close_range ' +
    'fsetxattr keyctl chroot pivot_root mount umount2 sethostname unshare fchown chown setresuid setresgid setgroups'
  )
    .split(' ')
    .filter((name) => !special.has(name));
}

/** An OCI bundle of busybox with crun's state beside it. */
function crunBundle(linux: object, annotations: Record<string, string>, args: readonly string[]) {
  const path = join(directory, 'bundle');
  for (const part of ['dev', 'proc', 'sys', 'bin']) mkdirSync(join(path, 'rootfs', part), { recursive: true });
  execFileSync('cp', ['/bin/busybox', join(path, 'rootfs/bin/busybox')]);
  for (const applet of ['true', 'sh', 'grep', 'mkdir']) {
    execFileSync('ln', ['-s', 'busybox', join(path, 'rootfs/bin', applet)]);
  }
  const namespaces = ['pid', 'mount', 'ipc', 'network'].map((type) => ({ type }));
  const process = { args, env: ['PATH=/bin'], cwd: '/', user: { uid: 0, gid: 0 }, noNewPrivileges: true };
  const mounts = [{ destination: '/proc', type: 'proc', source: 'proc' }];
  const spec = {
    ociVersion: '1.0.2',
    process,
    root: { path: 'rootfs' },
    mounts,
    linux: { namespaces, ...linux },
    annotations,
  };
  writeFileSync(join(path, 'config.json'), JSON.stringify(spec));
  const crun = (...words: string[]) => {
    const options = ['--root', join(path, 'state'), '--cgroup-manager=disabled', ...words];
    // A created container keeps crun's output open: it gets files, not pipes.
    const [stdout, stderr] = [join(path, 'stdout'), join(path, 'stderr')];
    const command = 'out=$1; err=$2; shift 2; exec crun "$@" >"$out" 2>"$err" </dev/null';
    spawnSync('sh', ['-c', command, 'sh', stdout, stderr, ...options], { cwd: path });
    return { stdout: readFileSync(stdout, 'utf8'), stderr: readFileSync(stderr, 'utf8') };
  };
  return {
    path,
    crun,
    [Symbol.dispose]: () => {
      if (existsSync(join(path, 'state', 'kern'))) crun('delete', '--force', 'kern');
    },
  };
}

function ownNetns() {
  const path = join(directory, 'netns');
  kernel.namespaces.createNetns(path);
  const fd = kernel.namespaces.openNetns(path);
  return {
    inside: <T>(job: () => T): T => kernel.namespaces.within(fd, job),
    route: () => kernel.openRoute(fd),
    [Symbol.dispose]: () => {
      closeSync(fd);
      kernel.namespaces.removeNetns(path);
    },
  };
}

function make(name: string): string {
  const path = join(directory, name);
  mkdirSync(path);
  return path;
}

/** Per-mount options of the topmost mount there. */
function mountOptions(target: string): readonly string[] {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return (
    lines
      .findLast((line) => line.split(' ')[4] === target)
      ?.split(' ')[5]
      ?.split(',') ?? []
  );
}

function openFds(): readonly string[] {
  return readdirSync('/proc/self/fd').filter((fd) => existsSync(join('/proc/self/fd', fd)) || isPseudo(fd));
}

/** Sockets and pipes are links to nowhere; the directory just read is gone by now. */
function isPseudo(fd: string): boolean {
  try {
    return readlinkSync(join('/proc/self/fd', fd)) !== dirname('/proc/self/fd/x');
  } catch {
    return false;
  }
}
