/**
 * A kernel in memory that remembers what it was asked and fails on demand.
 *
 * ```ts
 * const kernel = new FakeKernel();
 * kernel.failOn('mounts.mount', 'ENOSPC');            // the next mount fails
 * kernel.failAt(3, 'EIO');                            // the third call from now fails, whatever it is
 * kernel.onSpawn('crun', (child) => { child.write(1, 'ok'); return 0; });
 * expect(kernel.names()).toEqual(['namespaces.createNetns', 'route.createVethPair']);
 * expect(kernel.leftovers()).toEqual([]);             // no mount, namespace, link or socket is left
 * ```
 *
 * For every n: `failAt(n, 'EIO')`, run the verb, stop when `pendingFailure` is still true afterwards: the verb made fewer
 * calls than n. Descriptors are real (of /dev/null), since callers close them with `fs.closeSync`.
 */
import { openSync } from 'node:fs';
import type { Duplex } from 'node:stream';
import { KernelError } from '../../src/engine/kernel/kernel.ts';
import type {
  Fd,
  FlowCalls,
  Kernel,
  MountCalls,
  NamespaceCalls,
  NftCalls,
  NftElement,
  NftElementChanges,
  NftField,
  NftNotice,
  NftTable,
  ProcessCalls,
  RouteSocket,
  SeccompCalls,
  SocketCalls,
  UserNamespaceCalls,
} from '../../src/engine/kernel/kernel.ts';
import type { InternetCalls } from '../../src/engine/kernel/internet.ts';
import type { IdMapping } from '../../src/engine/oci/id-mapping.ts';
import type { Mount } from '../../src/engine/oci/mount.ts';
import { FakeInternet } from './fake-internet.ts';
import { FakeNetns } from './fake-kernel-links.ts';
import { FakeProcesses } from './fake-kernel-processes.ts';
import type { ChildScript, FakeChild } from './fake-kernel-processes.ts';

export type { ChildScript, FakeChild } from './fake-kernel-processes.ts';

/** One call: `mounts.mount`, and what it was given. */
export type RecordedCall = readonly [name: string, args: readonly unknown[]];

interface Failure {
  /** Calls still to pass before this one fails; null: counts no calls. */
  after: number | null;
  readonly name: string | null;
  times: number;
  readonly errno: string;
}

/** File systems of the kernel's own that take no mapping. */
const UNMAPPABLE: ReadonlySet<string> = new Set(['proc', 'sysfs', 'cgroup2']);

/** Looks like a kernel, remembers everything, fails when told. */
export class FakeKernel implements Kernel {
  readonly calls: RecordedCall[] = [];
  readonly mounts: MountCalls;
  readonly processes: ProcessCalls;
  readonly sockets: SocketCalls;
  readonly internet: InternetCalls;
  readonly namespaces: NamespaceCalls;
  readonly userNamespaces: UserNamespaceCalls;
  readonly nft: NftCalls;
  readonly flows: FlowCalls;
  readonly seccomp: SeccompCalls;

  /** The daemon's own network namespace; add the host's links here. */
  readonly hostNetns = new FakeNetns();
  /** Network namespaces by path. */
  readonly netns = new Map<string, FakeNetns>();
  /** User namespaces by the file that keeps them. */
  readonly userns = new Map<string, IdMapping>();
  /** What is mounted, oldest first. */
  readonly mounted: { readonly target: string; readonly mount: Mount }[] = [];
  /** Who listens to changes of nftables. */
  readonly nftListeners = new Set<(notice: NftNotice | null) => void>();
  /** Answers of `nft.list`, by the namespace asked and the command. */
  answerNft: (netns: FakeNetns, command: string) => unknown = () => ({ nftables: [] });
  /** The program that `seccomp.compile` gives; null as where libseccomp is missing. */
  seccompProgram: Buffer | null = Buffer.alloc(8);
  /** Peers of seqpacket sockets by path; a missing one refuses with ENOENT. */
  readonly seqpacketPeers = new Map<string, () => Duplex>();
  /** Ports, and who else has some. */
  readonly host = new FakeInternet();
  peer = { pid: 1, uid: 0, gid: 0 };
  /** Datagrams sent, as address and text. */
  readonly datagrams: (readonly [address: string, text: string])[] = [];

  readonly #processes: FakeProcesses;
  readonly #netnsByFd = new Map<number, FakeNetns>();
  readonly #routeSockets = new Set<RouteSocket>();
  readonly #failures: Failure[] = [];
  #current = this.hostNetns;

  constructor() {
    this.#processes = new FakeProcesses(openNull);
    this.mounts = this.#recorded('mounts', this.#mountCalls());
    this.processes = this.#recorded('processes', this.#processes);
    this.sockets = this.#recorded('sockets', this.#socketCalls());
    this.internet = this.#recorded('internet', this.host);
    this.namespaces = this.#recorded('namespaces', this.#namespaceCalls());
    this.userNamespaces = this.#recorded('userNamespaces', this.#userNamespaceCalls());
    this.nft = this.#recorded('nft', {
      run: (script: string) => void this.#current.nftScripts.push(script),
      list: (command: string) => this.answerNft(this.#current, command),
      changeElements: (table: NftTable, { remove, add }: NftElementChanges) =>
        void this.#current.nftScripts.push(
          [
            ...remove.map((element) => elementText('delete', table, element)),
            ...add.map((element) => elementText('add', table, element)),
          ].join('\n'),
        ),
      watch: (listener: (notice: NftNotice | null) => void) => {
        this.nftListeners.add(listener);
        return { [Symbol.dispose]: () => void this.nftListeners.delete(listener) };
      },
    });
    this.flows = this.#recorded('flows', { forgetUdp: async () => 0 });
    this.seccomp = this.#recorded('seccomp', { compile: () => this.seccompProgram });
  }

  openRoute(netns: Fd | null): RouteSocket {
    const failure = this.#note('openRoute', [netns]);
    if (failure !== null) throw failure;
    const socket = (netns === null ? this.hostNetns : this.#netnsOf(netns)).open(
      (fd) => this.#netnsOf(fd),
      () => void this.#routeSockets.delete(socket),
    );
    this.#routeSockets.add(socket);
    return this.#recorded('route', socket);
  }

  watchLinks(listener: Parameters<Kernel['watchLinks']>[0]): Disposable {
    const { listeners } = this.hostNetns;
    listeners.add(listener);
    return { [Symbol.dispose]: () => void listeners.delete(listener) };
  }

  /** Lets the n-th call from now fail (1: the next one), once. */
  failAt(n: number, errno: string): void {
    this.#failures.push({ after: n, name: null, times: 1, errno });
  }

  /** Lets the next `times` calls of one name fail, such as `route.addAddress`. */
  failOn(name: string, errno: string, times = 1): void {
    this.#failures.push({ after: null, name, times, errno });
  }

  /** True while a failure that was asked for has not come to pass. */
  get pendingFailure(): boolean {
    return this.#failures.length > 0;
  }

  /** Forgets calls and failures; what was made stays. */
  forget(): void {
    this.calls.length = 0;
    this.#failures.length = 0;
  }

  /** Names of the calls so far. */
  names(): readonly string[] {
    return this.calls.map(([name]) => name);
  }

  /** Arguments of all calls of one name. */
  argsOf(name: string): readonly (readonly unknown[])[] {
    return this.calls.filter(([called]) => called === name).map(([, args]) => args);
  }

  /** How programs of this base name behave; without one they exit with 0 at once. The last script given wins. */
  onSpawn(program: string, script: ChildScript): void {
    this.#processes.scripts.set(program, script);
  }

  /** Children and added processes that have not ended. */
  running(): readonly FakeChild[] {
    return this.#processes.running();
  }

  /** Adds a process that is no child, such as a monitor that daemonized. */
  addProcess(pid?: number): FakeChild {
    return this.#processes.add(pid);
  }

  /** What is still there that somebody made: mounts, namespaces, links, sockets, processes; readable in a test's output. */
  leftovers(): readonly string[] {
    return [
      ...this.mounted.map(({ target }) => `mount ${target}`),
      ...[...this.netns.keys()].map((path) => `netns ${path}`),
      ...[...this.userns.keys()].map((path) => `userns ${path}`),
      ...this.host.held().map((port) => `port ${port}`),
      ...this.hostNetns.madeLinks().map((name) => `link ${name}`),
      ...(this.#routeSockets.size === 0 ? [] : [`${String(this.#routeSockets.size)} rtnetlink sockets`]),
      ...this.running().map(({ pid, argv }) => `process ${String(pid)} ${argv.join(' ')}`),
    ];
  }

  #mountCalls(): MountCalls {
    return {
      mount: (mount, target) => {
        if (mount.options.some((word) => word === 'remount')) return;
        this.mounted.push({ target, mount });
      },
      mountMapped: (mount, target) => {
        if (UNMAPPABLE.has(mount.type)) throw new KernelError('mount_setattr', 'EINVAL', target);
        this.mounted.push({ target, mount });
      },
      unmount: (target) => {
        const index = this.mounted.findLastIndex((entry) => entry.target === target);
        if (index === -1) throw new KernelError('umount', 'EINVAL', target);
        this.mounted.splice(index, 1);
      },
      listBelow: (prefix) => {
        const directory = prefix.endsWith('/') ? prefix : `${prefix}/`;
        const depth = (path: string): number => path.split('/').length;
        return this.mounted
          .map(({ target }) => target)
          .filter((target) => target === prefix || target.startsWith(directory))
          .reverse()
          .sort((a, b) => depth(b) - depth(a));
      },
      syncFilesystem: async () => {},
      mountInThread: async (mount, target) => {
        this.mounts.mount(mount, target);
      },
      unmountInThread: async (target) => {
        this.mounts.unmount(target);
      },
    };
  }

  #socketCalls(): SocketCalls {
    return {
      connectSeqpacket: async (path) => {
        const peer = this.seqpacketPeers.get(path);
        if (peer === undefined) throw new KernelError('connect', 'ENOENT', path);
        return peer();
      },
      peerCredentials: () => this.peer,
      openDatagrams: () =>
        this.#recorded('datagrams', {
          send: (address: string, payload: Buffer) => void this.datagrams.push([address, payload.toString()]),
          sendAsFile: (address: string, payload: Buffer) => void this.datagrams.push([address, payload.toString()]),
          sendWith: (address: string, payload: Buffer) => void this.datagrams.push([address, payload.toString()]),
          [Symbol.dispose]: () => undefined,
        }),
      closeOnExec: () => undefined,
    };
  }

  #namespaceCalls(): NamespaceCalls {
    return {
      createNetns: (path) => {
        if (this.netns.has(path)) throw new KernelError('open', 'EEXIST', path);
        this.netns.set(path, new FakeNetns());
      },
      removeNetns: (path) => {
        this.netns.get(path)?.destroy();
        this.netns.delete(path);
      },
      openNetns: (path) => {
        const netns = this.netns.get(path);
        if (netns === undefined) throw new KernelError('open', 'ENOENT', path);
        const fd = openNull();
        this.#netnsByFd.set(fd, netns);
        return fd;
      },
      within: (netns, job) => {
        const home = this.#current;
        this.#current = this.#netnsOf(netns);
        try {
          return job();
        } finally {
          this.#current = home;
        }
      },
    };
  }

  #userNamespaceCalls(): UserNamespaceCalls {
    return {
      open: () => openNull(),
      create: (mapping, path, netnsPath) => {
        for (const taken of [path, netnsPath]) {
          if (taken !== null && (this.userns.has(taken) || this.netns.has(taken))) {
            throw new KernelError('open', 'EEXIST', taken);
          }
        }
        this.userns.set(path, mapping);
        if (netnsPath !== null) this.netns.set(netnsPath, new FakeNetns());
      },
      createNetns: async (path) => {
        if (this.netns.has(path)) throw new KernelError('open', 'EEXIST', path);
        this.netns.set(path, new FakeNetns());
      },
      remove: (path) => void this.userns.delete(path),
    };
  }

  #netnsOf(fd: Fd): FakeNetns {
    const netns = this.#netnsByFd.get(fd);
    if (netns === undefined) throw new KernelError('setns', 'EBADF', null);
    return netns;
  }

  /** The same object, each of whose methods is noted before it runs, and may fail instead. */
  #recorded<T extends object>(room: string, calls: T): T {
    return new Proxy(calls, {
      get: (target, key): unknown => {
        const member: unknown = Reflect.get(target, key, target);
        if (typeof member !== 'function') return member;
        return (...args: unknown[]): unknown => {
          // Symbols: closing is part of every clean-up and cannot fail.
          const failure = typeof key === 'string' ? this.#note(`${room}.${key}`, args) : null;
          if (failure !== null && ASYNC.has(String(key))) return Promise.reject(failure);
          if (failure !== null) throw failure;
          return Reflect.apply(member, target, args);
        };
      },
    });
  }

  /** Writes the call down; what it returns is to be thrown. */
  #note(name: string, args: readonly unknown[]): KernelError | null {
    this.calls.push([name, args]);
    for (const failure of this.#failures) if (failure.after !== null) failure.after--;
    const due = this.#failures.findIndex((failure) => failure.after === 0 || failure.name === name);
    const failure = this.#failures[due];
    if (failure === undefined) return null;
    failure.times--;
    if (failure.times <= 0) this.#failures.splice(due, 1);
    return new KernelError(name, failure.errno, null, `made to fail with ${failure.errno}`);
  }
}

/** Calls that reject where others throw. */
const ASYNC: ReadonlySet<string> = new Set(['wait', 'capture', 'readAll', 'connectSeqpacket']);

/** As nft's language would say it. */
function elementText(verb: string, { family, name }: NftTable, { set, key, lastPort, data }: NftElement): string {
  const text = (fields: readonly NftField[]): string =>
    fields.map((field) => String(Object.values(field)[0])).join(' . ');
  const range = lastPort === undefined ? '' : `-${String(lastPort)}`;
  const target = data === undefined || verb === 'delete' ? '' : ` : ${text(data)}`;
  return `${verb} element ${family} ${name} ${set} { ${text(key)}${range}${target} }`;
}

function openNull(): Fd {
  return openSync('/dev/null', 'r+') as Fd;
}
