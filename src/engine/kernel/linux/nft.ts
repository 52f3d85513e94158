/** nftables through libnftables, in process: 0.1 ms where starting `nft` costs 10. Loaded on first use. */
import { statSync } from 'node:fs';
import type { NftCalls, NftElementChanges, NftNotice, NftTable } from '../kernel.ts';
import { KernelError } from '../kernel.ts';
import type { Library } from './libc.ts';
import { loadLibrary, withFd } from './libc.ts';
import { memoryFile } from './memory-file.ts';
import { encodeBatch, NfnetlinkSocket } from './nfnetlink.ts';
import { ownNetfilterPorts, watchNftables } from './nft-watch.ts';

type Context = bigint & { readonly context: unique symbol };

/** NFT_CTX_OUTPUT_JSON */
const JSON_OUTPUT = 1 << 4;

/** The firewall of the network namespace that the calling thread is in. */
export function createNftCalls(): NftCalls {
  const home = ownNetns();
  let kept: Context | null = null;
  let socket: NfnetlinkSocket | null = null;
  const inContext = (command: string, outputFlags: number): string => {
    if (ownNetns() === home) return runIn((kept ??= openContext()), command, outputFlags);
    const context = openContext();
    try {
      return runIn(context, command, outputFlags);
    } finally {
      nftables().destroy(context);
    }
  };
  return {
    run(script: string): void {
      inContext(script, 0);
    },
    list(command: string): unknown {
      const output = inContext(command, JSON_OUTPUT);
      return output === '' ? null : (JSON.parse(output) as unknown);
    },
    changeElements(table: NftTable, changes: NftElementChanges): void {
      if (changes.remove.length === 0 && changes.add.length === 0) return;
      const transact = (one: NfnetlinkSocket): void => {
        one.transact('nft elements', encodeBatch(table, changes), `${table.family} ${table.name}`);
      };
      if (ownNetns() === home) {
        transact((socket ??= new NfnetlinkSocket()));
        return;
      }
      using other = new NfnetlinkSocket();
      transact(other);
    },
    watch(listener: (notice: NftNotice | null) => void): Disposable {
      // Both are there before it is asked which are ours: libnftables opens its socket with its first command.
      inContext('list tables ip', 0);
      socket ??= new NfnetlinkSocket();
      const ports = ownNetfilterPorts();
      return watchNftables((port) => ports.includes(port), ports, listener);
    },
  };
}

/**
 * Makes a context, with a netlink socket in the namespace the thread is in. The one of the daemon's own namespace is kept
 * for good: closing that socket after something was deleted waits for the kernel to free it (6 to 15 ms of RCU grace
 * period, measured; the deletion itself takes 0.15). Changes by others are no worry: libnftables compares the ruleset's
 * generation before it trusts its cache.
 */
function openContext(): Context {
  const nft = nftables();
  const context = nft.create(0);
  if (context === null) throw new KernelError('nft_ctx_new', 'ENOMEM', null, 'libnftables gives no context');
  nft.bufferOutput(context);
  nft.bufferError(context);
  return context;
}

function runIn(context: Context, command: string, outputFlags: number): string {
  const nft = nftables();
  nft.setOutputFlags(context, outputFlags);
  if (execute(nft, context, command) === 0) return nft.output(context) ?? '';
  throw failure(nft.error(context) ?? '');
}

/** Which namespace the thread is in, by its inode. */
function ownNetns(): number {
  return statSync('/proc/thread-self/ns/net').ino;
}

/** Of a buffer with many lines libnftables shows the first one in each complaint; of a file the right one. */
function execute(nft: Bindings, context: Context, command: string): number {
  if (!command.trimEnd().includes('\n')) return nft.run(context, command);
  return withFd(memoryFile('nft', `${command}\n`), (fd) => nft.runFile(context, `/proc/self/fd/${String(fd)}`));
}

/** libnftables ends each complaint with strerror's words: `…: Error: Could not process rule: File exists`. */
function failure(text: string): KernelError {
  const reason = /Error: (?:Could not process rule: )?([^;\n]+)|Operation not permitted/.exec(text);
  const code = (reason === null ? null : CODES[reason[1] ?? reason[0]]) ?? 'EINVAL';
  const words = text.trim().replaceAll(/^\/proc\/self\/fd\/\d+:(\d+):[\d-]+:/gm, 'line $1:');
  return new KernelError('nft', code, null, words === '' ? 'libnftables gave no reason' : words);
}

const CODES: Readonly<Record<string, string>> = {
  'No such file or directory': 'ENOENT',
  'File exists': 'EEXIST',
  'Device or resource busy': 'EBUSY',
  'Operation not permitted': 'EPERM',
  'Operation not permitted (you must be root)': 'EPERM',
  'Operation not supported': 'ENOTSUP',
  'Invalid argument': 'EINVAL',
};

function bindNftables(library: Library) {
  return {
    create: library.bind<(flags: number) => Context | null>('void *nft_ctx_new(uint32_t flags)'),
    destroy: library.bind<(context: Context) => void>('void nft_ctx_free(void *context)'),
    bufferOutput: library.bind<(context: Context) => number>('int nft_ctx_buffer_output(void *context)'),
    bufferError: library.bind<(context: Context) => number>('int nft_ctx_buffer_error(void *context)'),
    setOutputFlags: library.bind<(context: Context, flags: number) => void>(
      'void nft_ctx_output_set_flags(void *context, unsigned int flags)',
    ),
    run: library.bind<(context: Context, command: string) => number>(
      'int nft_run_cmd_from_buffer(void *context, const char *command)',
    ),
    runFile: library.bind<(context: Context, path: string) => number>(
      'int nft_run_cmd_from_filename(void *context, const char *path)',
    ),
    output: library.bind<(context: Context) => string | null>('const char *nft_ctx_get_output_buffer(void *context)'),
    error: library.bind<(context: Context) => string | null>('const char *nft_ctx_get_error_buffer(void *context)'),
  };
}

type Bindings = ReturnType<typeof bindNftables>;

let bound: Bindings | null = null;

function nftables(): Bindings {
  if (bound !== null) return bound;
  const library = loadLibrary('libnftables.so.1');
  if (library === null) {
    throw new KernelError('dlopen', 'ENOENT', 'libnftables.so.1', 'libnftables is not installed');
  }
  bound = bindNftables(library);
  return bound;
}
