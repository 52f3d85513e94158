/**
 * The kernel, as an argument.
 *
 * Vocabulary: an *fd* is an open file descriptor of this process; a *netns path* is a file on which a network
 * namespace is bind-mounted; a *link* is a network interface (rtnetlink's word); a *process handle* holds a pidfd, so
 * a reused pid is never hit.
 *
 * Life cycle: one Kernel per process, made by the composition root. Everything here is either a system call that
 * returns at once (well under a millisecond) or a promise settled by readiness of an fd; a pool thread waits only where
 * the kernel knows no other way (a file system written out, a link that goes).
 *
 * Story 1, a container's network: `namespaces.createNetns(path)`; `route = openRoute(null)`;
 * `route.createVethPair({...peerNetns})`; `inside = openRoute(netnsFd)`; `inside.addAddress(...)`;
 * `inside.addRoute(...)`; later `namespaces.removeNetns(path)` alone takes the veth pair with it.
 *
 * Story 2, a monitor: `const p = processes.pipe()`; `processes.spawn({argv, fds: [[p.write, 3]]})`; close `p.write`;
 * read `p.read` to its end; the monitor daemonizes, so `processes.open(monitorPid)` gives a handle whose `exited`
 * settles although it is no child of ours.
 *
 * Every failing call throws {@link KernelError} with the call's name, errno and path. Fakes record calls and can fail
 * the n-th one.
 */
import type { Duplex } from 'node:stream';
import type { LinuxSeccomp } from '../oci/runtime-spec.ts';
import type { IdMapping } from '../oci/id-mapping.ts';
import type { Mount } from '../oci/mount.ts';
import type { Fd } from './fd.ts';
import type { InternetCalls } from './internet.ts';
import type { LinkNotice, RouteSocket } from './route.ts';

export type { Fd } from './fd.ts';
export type {
  IpvlanFlag,
  IpvlanMode,
  Link,
  LinkAddress,
  LinkChange,
  LinkNotice,
  LinkOptions,
  MacvlanMode,
  RateLimit,
  Route,
  RouteRequests,
  RouteSocket,
} from './route.ts';

/** A system call or library call failed. `code` is the symbolic errno (`ENOENT`), or the library's own word. */
export class KernelError extends Error {
  readonly call: string;
  readonly code: string;
  readonly path: string | null;

  constructor(call: string, code: string, path: string | null, detail?: string) {
    super(`${call}${path === null ? '' : ` ${path}`}: ${detail ?? code}`);
    this.name = 'KernelError';
    this.call = call;
    this.code = code;
    this.path = path;
  }
}

/** Everything the engine asks of the kernel and of system libraries. */
export interface Kernel {
  readonly mounts: MountCalls;
  readonly processes: ProcessCalls;
  readonly sockets: SocketCalls;
  readonly internet: InternetCalls;
  readonly namespaces: NamespaceCalls;
  readonly userNamespaces: UserNamespaceCalls;
  readonly nft: NftCalls;
  readonly flows: FlowCalls;
  readonly seccomp: SeccompCalls;
  /** Opens an rtnetlink socket in the network namespace behind `netns` (null: the daemon's own). */
  openRoute(netns: Fd | null): RouteSocket;
  /**
   * Calls `listener` with each link of the daemon's namespace that comes, changes or goes, and with null when the kernel
   * had more to tell than we could hear (ENOBUFS): then everything is to be looked at. Dispose to stop.
   */
  watchLinks(listener: (notice: LinkNotice | null) => void): Disposable;
}

/** mount(2) and its kin. */
export interface MountCalls {
  /**
   * Mounts `mount` on `target` (an existing file or directory). Option words (`ro`, `rbind`, `nosuid`, `rprivate` …)
   * become flags; all others are passed on as file-system data. A `bind` with `ro` is remounted read-only. Data longer
   * than a page (many overlay layers) goes through fsconfig(2) where the kernel can take it.
   */
  mount(mount: Mount, target: string): void;
  /**
   * As {@link mount}, for a `bind`, an `overlay` or a file system on a device: its files show the ids of the user namespace `userns` for those on
   * their disk, and are written the other way round. EINVAL, ENOSYS or EPERM where kernel or file system cannot.
   * An overlay's layers lie below one directory on one file system; `<target>.layers` and `<target>.plain` are free.
   */
  mountMapped(mount: Mount, target: string, userns: Fd): void;
  /** Unmounts the topmost mount of `target`; `lazy` detaches it even when busy. EINVAL when nothing is mounted there. */
  unmount(target: string, options?: { readonly lazy?: boolean }): void;
  /** As {@link mount} for a file system on a device, whose log is read meanwhile: no bind, no words of propagation. */
  mountInThread(mount: Mount, target: string): Promise<void>;
  /** As {@link unmount} for what waits for its disk. */
  unmountInThread(target: string, options?: { readonly lazy?: boolean }): Promise<void>;
  /** The mount points at or below `prefix`, deepest first, as /proc/self/mountinfo has them (unescaped). */
  listBelow(prefix: string): readonly string[];
  /**
   * Writes everything that the file system at `path` still holds in memory to its disk (syncfs(2)), on a thread of the
   * pool, for as long as the disk takes. ENOSPC or EIO for what could not be written since anybody last asked.
   */
  syncFilesystem(path: string): Promise<void>;
}

/** What to start. */
export interface SpawnOptions {
  /** Program path and arguments; no PATH look-up. */
  readonly argv: readonly [string, ...string[]];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Pairs of (our fd, the number it has in the child). 0–2 default to /dev/null; all else is closed. */
  readonly fds?: readonly (readonly [Fd, number])[];
  /** Starts a session of its own, so that a signal to our process group does not reach it. */
  readonly newSession?: boolean;
}

/** How a child ended. */
export interface ExitStatus {
  /** Exit code, or null when a signal ended it. */
  readonly code: number | null;
  /** Signal number, or null. */
  readonly signal: number | null;
}

/** Result of {@link ProcessCalls.capture}. Output beyond 1 MiB a stream is cut. */
export interface CapturedRun extends ExitStatus {
  readonly stdout: string;
  readonly stderr: string;
}

/** posix_spawn, pidfds, pipes. */
export interface ProcessCalls {
  /** Starts a program (posix_spawn: cheap however large we are) and returns its pid. */
  spawn(options: SpawnOptions): number;
  /** Settles when the child `pid` has ended, and reaps it. Only for children from `spawn`, once each. */
  wait(pid: number): Promise<ExitStatus>;
  /** Starts a program, feeds `stdin`, gathers its output and reaps it. Aborting kills it (SIGKILL) and rejects. */
  capture(
    options: Omit<SpawnOptions, 'fds'>,
    input?: { readonly stdin?: string; readonly signal?: AbortSignal },
  ): Promise<CapturedRun>;
  /** A handle on any process, child or not; null when it does not exist. */
  open(pid: number): ProcessHandle | null;
  /** A close-on-exec pipe. */
  pipe(): { readonly read: Fd; readonly write: Fd };
  /** Reads a pipe to its end as text, then closes it. Aborting closes it and rejects. */
  readAll(fd: Fd, signal?: AbortSignal): Promise<string>;
}

/** One process, held by pidfd. Dispose to close the pidfd. */
export interface ProcessHandle extends Disposable {
  readonly pid: number;
  /** Settles when the process has ended (also a zombie counts). Never rejects; stays pending when disposed before. */
  readonly exited: Promise<void>;
  /** Sends a signal by number; false when the process is gone. */
  signal(signal: number): boolean;
}

/** Sockets that Node cannot make. */
export interface SocketCalls {
  /**
   * Connects to a SOCK_SEQPACKET unix socket. One packet is one 'data' event, whose bytes may be looked at until it
   * returns; nothing comes before `resume()`. `end()` shuts down the writing side only and reading goes on. Paths longer than sun_path are reached through /proc/self/fd.
   */
  connectSeqpacket(path: string): Promise<Duplex>;
  /** pid, uid and gid of the peer of a connected unix socket (SO_PEERCRED). */
  peerCredentials(fd: number): { readonly pid: number; readonly uid: number; readonly gid: number };
  /** A socket for unix datagrams, unconnected. */
  openDatagrams(): DatagramSocket;
  /** Keeps an inherited descriptor (socket activation) from the programs that are started from here. */
  closeOnExec(fd: Fd): void;
}

/**
 * Sends unix datagrams. A call never waits: what cannot be sent now is an error (EAGAIN: the receiver's queue is full,
 * ECONNREFUSED and ENOENT: nobody is there, EMSGSIZE: too long for a datagram). Dispose closes it.
 */
export interface DatagramSocket extends Disposable {
  /** To a path, or to an abstract name, written with `@` for its NUL. */
  send(address: string, payload: Buffer): void;
  /** Sends `payload` as a sealed file in memory (SCM_RIGHTS, no bytes): what journald takes when a datagram is too small. */
  sendAsFile(address: string, payload: Buffer): void;
  /** Sends `payload` with a descriptor (SCM_RIGHTS), which stays the caller's, too. */
  sendWith(address: string, payload: Buffer, fd: Fd): void;
}

/** Network namespaces. The main thread is only ever inside another one within one synchronous call. */
export interface NamespaceCalls {
  /** Makes a fresh network namespace and bind-mounts it on `path` (created; parent must exist). */
  createNetns(path: string): void;
  /** Unmounts and removes `path`; the kernel drops the namespace and its links by itself. Idempotent. */
  removeNetns(path: string): void;
  /** Opens a namespace file for use with `openRoute`, `within` and link creation. */
  openNetns(path: string): Fd;
  /** Runs synchronous `job` inside the network namespace (for /proc/sys/net and socket creation). `job` must not await. */
  within<T>(netns: Fd, job: () => T): T;
}

/** User namespaces. None of ours is ever entered. */
export interface UserNamespaceCalls {
  /** A user namespace with these ids and nobody in it, for `mountMapped`; it ends with its last descriptor. */
  open(mapping: IdMapping): Fd;
  /**
   * Makes one and keeps it in the file `path` (created; parent must exist), and a network namespace that belongs to it
   * in `netnsPath`. EEXIST when a file is there. Leaves nothing behind on failure.
   */
  create(mapping: IdMapping, path: string, netnsPath: string | null): void;
  /** Makes a network namespace that belongs to the user namespace of the file `userns`, and keeps it in `path`. EEXIST. */
  createNetns(path: string, userns: string): Promise<void>;
  /** Unmounts and removes `path`; whoever is in the namespace stays in it. Idempotent. */
  remove(path: string): void;
}

/** libnftables in process: no `nft` is started. Speaks to the network namespace the thread is in (see `within`). */
export interface NftCalls {
  /** Runs a script in nft syntax as one atomic transaction. Throws KernelError with libnftables' text. */
  run(script: string): void;
  /** Runs a list command and returns libnftables' JSON document. */
  list(command: string): unknown;
  /**
   * Deletes and adds elements of the sets and maps of one table as one atomic transaction, without nft's language, whose
   * parsing takes several times as long. KernelError: ENOENT for a table, set or deleted element that is not there,
   * EEXIST or EBUSY for an added one that is there with other data; one that is there as it is, is no error.
   */
  changeElements(table: NftTable, changes: NftElementChanges): void;
  /**
   * Tells of each transaction of other processes, and with null when the kernel had more to tell than we could hear
   * (ENOBUFS): then everything is to be looked at. What this process does itself is not told. Dispose to stop; it does
   * not keep the process alive.
   */
  watch(listener: (notice: NftNotice | null) => void): Disposable;
}

/** A table of nftables by family and name. */
export interface NftTable {
  readonly family: 'ip' | 'ip6';
  readonly name: string;
}

/** Elements of sets and maps to be taken out, then put in. */
export interface NftElementChanges {
  readonly remove: readonly NftElement[];
  readonly add: readonly NftElement[];
}

/** A part of a key or of what a map leads to, by its nft type: `inet_proto`, `inet_service`, `ipv4_addr` or `ipv6_addr`. */
export type NftField =
  { readonly protocol: 'tcp' | 'udp' | 'sctp' } | { readonly port: number } | { readonly address: string };

/** One element. */
export interface NftElement {
  readonly set: string;
  /** Concatenated in this order. */
  readonly key: readonly NftField[];
  /** An interval of ports from the key's only field up to this one; for sets with `flags interval`. */
  readonly lastPort?: number;
  /** What a map leads to; absent in sets, and not needed to delete. */
  readonly data?: readonly NftField[];
}

/** Something of nftables changed. */
export interface NftNotice {
  /** The tables it happened in, as `ip filter`. */
  readonly tables: ReadonlySet<string>;
  /** Who did it, as far as the kernel told. */
  readonly process: { readonly pid: number; readonly name: string } | null;
}

/** A port of this host that somebody asks; `address` null: at any of its addresses. */
export interface FlowTarget {
  readonly family: 'ipv4' | 'ipv6';
  readonly address: string | null;
  readonly port: number;
}

/** Connection tracking, in the network namespace the thread is in. */
export interface FlowCalls {
  /**
   * Forgets whoever asks these ports by UDP, so that the next datagram is judged anew: a flow is one for as long as
   * its client goes on, and keeps the translation, or the want of one, that its first datagram met. A table of many flows
   * is read in turns of the event loop. Resolves with how many were forgotten; KernelError where the kernel has no
   * connection tracking to ask.
   */
  forgetUdp(targets: readonly FlowTarget[]): Promise<number>;
}

/** libseccomp in process. */
export interface SeccompCalls {
  /**
   * Compiles a profile for this machine to a BPF program, byte for byte what crun makes of it. Null where libseccomp is
   * missing, and for what no program can carry (flags, SCMP_ACT_NOTIFY). Costs ~12 ms: cache it.
   */
  compile(profile: LinuxSeccomp): Buffer | null;
}
