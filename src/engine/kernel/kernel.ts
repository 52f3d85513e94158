/**
 * The kernel, as an argument.
 *
 * Vocabulary: an *fd* is an open file descriptor of this process; a *netns path* is a file on which a network
 * namespace is bind-mounted; a *link* is a network interface (rtnetlink's word); a *process handle* holds a pidfd, so
 * a reused pid is never hit.
 *
 * Life cycle: one Kernel per process, made by the composition root. Everything here is either a system call that
 * returns at once (well under a millisecond) or a promise settled by readiness of an fd; nothing blocks a pool thread.
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
import type { Brand } from '../../base/brand.ts';
import type { LinuxSeccomp } from '../oci/runtime-spec.ts';
import type { Mount } from '../oci/mount.ts';

/** An open file descriptor of this process. Who receives one owns it and closes it (`fs.closeSync`). */
export type Fd = Brand<number, 'Fd'>;

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
  readonly namespaces: NamespaceCalls;
  readonly nft: NftCalls;
  readonly seccomp: SeccompCalls;
  /** Opens an rtnetlink socket in the network namespace behind `netns` (null: the daemon's own). */
  openRoute(netns: Fd | null): RouteSocket;
}

/** mount(2) and its kin. */
export interface MountCalls {
  /**
   * Mounts `mount` on `target` (an existing file or directory). Option words (`ro`, `rbind`, `nosuid`, `rprivate` …)
   * become flags; all others are passed on as file-system data. A `bind` with `ro` is remounted read-only. Data longer
   * than a page (many overlay layers) goes through fsconfig(2) where the kernel can take it.
   */
  mount(mount: Mount, target: string): void;
  /** Unmounts the topmost mount of `target`; `lazy` detaches it even when busy. EINVAL when nothing is mounted there. */
  unmount(target: string, options?: { readonly lazy?: boolean }): void;
  /** The mount points at or below `prefix`, deepest first, as /proc/self/mountinfo has them (unescaped). */
  listBelow(prefix: string): readonly string[];
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
   * Connects to a SOCK_SEQPACKET unix socket. One packet is one 'data' event; `end()` shuts down the writing side only
   * and reading goes on. Paths longer than sun_path are reached through /proc/self/fd.
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

/** libnftables in process: no `nft` is started. Speaks to the network namespace the thread is in (see `within`). */
export interface NftCalls {
  /** Runs a script in nft syntax as one atomic transaction. Throws KernelError with libnftables' text. */
  run(script: string): void;
  /** Runs a list command and returns libnftables' JSON document. */
  list(command: string): unknown;
}

/** libseccomp in process. */
export interface SeccompCalls {
  /**
   * Compiles a profile for this machine to a BPF program, byte for byte what crun makes of it. Null where libseccomp is
   * missing, and for what no program can carry (flags, SCMP_ACT_NOTIFY). Costs ~12 ms: cache it.
   */
  compile(profile: LinuxSeccomp): Buffer | null;
}

/** A network interface. */
export interface Link {
  readonly index: number;
  readonly name: string;
  readonly mtu: number;
  /** `02:42:ac:11:00:02` */
  readonly macAddress: string;
  readonly up: boolean;
  /** Index of the bridge it belongs to, or null. */
  readonly masterIndex: number | null;
  /** `bridge`, `veth` …, or null for physical ones. */
  readonly type: string | null;
}

/** An address of a link, such as `172.17.0.1/16`. */
export interface LinkAddress {
  readonly linkIndex: number;
  readonly cidr: string;
}

/** One entry of the main routing table. */
export interface Route {
  /** CIDR; `0.0.0.0/0` or `::/0` is the default route. */
  readonly destination: string;
  readonly gateway: string | null;
  readonly linkIndex: number | null;
}

/** What can be changed of a link. */
export interface LinkChange {
  readonly up?: boolean;
  readonly name?: string;
  readonly mtu?: number;
  readonly macAddress?: string;
  /** Bridge to join; null leaves it. */
  readonly masterIndex?: number | null;
  /** Bridge port: may send a frame back out of the port it came in by. */
  readonly hairpin?: boolean;
}

/** rtnetlink in one network namespace; requests are answered before the call returns. Dispose closes the socket. */
export interface RouteSocket extends Disposable {
  links(): readonly Link[];
  /** Null when there is no such link. */
  linkByName(name: string): Link | null;
  createBridge(name: string, options?: { readonly mtu?: number; readonly macAddress?: string }): Link;
  /** Makes a veth pair, one end here (optionally in a bridge, up), its peer in `peerNetns` under `peerName`. */
  createVethPair(options: {
    readonly name: string;
    readonly masterIndex: number | null;
    readonly mtu: number;
    readonly peerName: string;
    readonly peerNetns: Fd;
    readonly peerMacAddress: string | null;
  }): Link;
  changeLink(index: number, change: LinkChange): void;
  /** Waits for the kernel (16 ms and more for a veth): not for the hot path. */
  deleteLink(index: number): void;
  /** Addresses of one link (0: of all). */
  addresses(linkIndex: number): readonly LinkAddress[];
  addAddress(linkIndex: number, cidr: string): void;
  routes(family: 'ipv4' | 'ipv6'): readonly Route[];
  addRoute(route: Route): void;
}
