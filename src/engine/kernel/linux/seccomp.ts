/** runtime-spec seccomp profiles to BPF through libseccomp, loaded on first use. Rules as crun and runc read them. */
import { fstatSync, readSync } from 'node:fs';
import { constants } from 'node:os';
import type { LinuxSeccomp } from '../../oci/runtime-spec.ts';
import type { SeccompCalls } from '../kernel.ts';
import { KernelError } from '../kernel.ts';
import type { Library, Pointer } from './libc.ts';
import { errnoError, loadLibrary, viaNode, withFd } from './libc.ts';
import { memoryFile } from './memory-file.ts';

type Filter = bigint & { readonly filter: unique symbol };
type SyscallRule = NonNullable<LinuxSeccomp['syscalls']>[number];
type ArgumentRule = NonNullable<SyscallRule['args']>[number];

const { EPERM, EEXIST } = constants.errno;
/** What seccomp_syscall_resolve_name says of names it does not know. */
const UNKNOWN_SYSCALL = -1;

/** Actions as libseccomp numbers them; those with a value in the lower half get it added. */
const ACTIONS: Readonly<Record<string, number>> = {
  SCMP_ACT_KILL: 0x00000000,
  SCMP_ACT_KILL_THREAD: 0x00000000,
  SCMP_ACT_KILL_PROCESS: 0x80000000,
  SCMP_ACT_TRAP: 0x00030000,
  SCMP_ACT_ERRNO: 0x00050000,
  SCMP_ACT_TRACE: 0x7ff00000,
  SCMP_ACT_LOG: 0x7ffc0000,
  SCMP_ACT_ALLOW: 0x7fff0000,
};
const VALUED_ACTIONS: readonly string[] = ['SCMP_ACT_ERRNO', 'SCMP_ACT_TRACE'];

const OPERATORS: Readonly<Record<string, number>> = {
  SCMP_CMP_NE: 1,
  SCMP_CMP_LT: 2,
  SCMP_CMP_LE: 3,
  SCMP_CMP_EQ: 4,
  SCMP_CMP_GE: 5,
  SCMP_CMP_GT: 6,
  SCMP_CMP_MASKED_EQ: 7,
};

/** Profiles for this machine. */
export function createSeccompCalls(): SeccompCalls {
  return {
    compile(profile: LinuxSeccomp): Buffer | null {
      const seccomp = libseccomp();
      // Flags are arguments of seccomp(2) and notifications need a listener: no BPF program can carry either.
      if (seccomp === null || (profile.flags ?? []).length > 0 || usesNotify(profile)) return null;
      return compileWith(seccomp, profile);
    },
  };
}

function usesNotify(profile: LinuxSeccomp): boolean {
  const actions = [profile.defaultAction, ...(profile.syscalls ?? []).map((rule) => rule.action)];
  return actions.includes('SCMP_ACT_NOTIFY');
}

function compileWith(seccomp: Bindings, profile: LinuxSeccomp): Buffer {
  const defaultAction = actionOf(profile.defaultAction, profile.defaultErrnoRet);
  const filter = seccomp.init(defaultAction);
  if (filter === null) throw new KernelError('seccomp_init', 'EINVAL', null, profile.defaultAction);
  try {
    for (const name of profile.architectures ?? []) addArchitecture(seccomp, filter, name);
    for (const rule of profile.syscalls ?? []) addRule(seccomp, filter, rule, defaultAction);
    return withFd(memoryFile('seccomp'), (fd) => {
      demand(seccomp.exportBpf(filter, fd), 'seccomp_export_bpf');
      return viaNode('read', null, () => {
        const program = Buffer.alloc(fstatSync(fd).size);
        readSync(fd, program, 0, program.length, 0);
        return program;
      });
    });
  } finally {
    seccomp.release(filter);
  }
}

function addArchitecture(seccomp: Bindings, filter: Filter, name: string): void {
  const token = seccomp.resolveArch(name.replace(/^SCMP_ARCH_/, '').toLowerCase());
  if (token === 0) throw new KernelError('seccomp_arch_add', 'EINVAL', null, `unknown architecture ${name}`);
  demand(seccomp.addArch(filter, token), 'seccomp_arch_add', [EEXIST]);
}

function addRule(seccomp: Bindings, filter: Filter, rule: SyscallRule, defaultAction: number): void {
  const action = actionOf(rule.action, rule.errnoRet);
  // libseccomp refuses a rule that says what happens anyway.
  if (action === defaultAction) return;
  const args = (rule.args ?? []).map(encodeArgument);
  // Conditions on one argument cannot stand together in a rule: then each is a rule of its own, and any may match.
  const indexes = new Set((rule.args ?? []).map((arg) => arg.index));
  const alternatives = indexes.size === args.length ? [args] : args.map((arg) => [arg]);
  for (const name of rule.names) {
    const number = seccomp.resolveSyscall(name);
    // Profiles name calls of newer kernels and of other machines; this one has no such call to forbid or allow.
    if (number === UNKNOWN_SYSCALL) continue;
    for (const conditions of alternatives) {
      const bytes = conditions.length === 0 ? null : Buffer.concat(conditions);
      demand(seccomp.addRule(filter, action, number, conditions.length, bytes), `seccomp_rule_add ${name}`);
    }
  }
}

function actionOf(name: string, value: number | undefined): number {
  const action = ACTIONS[name];
  if (action === undefined) throw new KernelError('seccomp', 'EINVAL', null, `unknown action ${name}`);
  return VALUED_ACTIONS.includes(name) ? action + ((value ?? EPERM) & 0xffff) : action;
}

/** struct scmp_arg_cmp: argument u32 · operator u32 · datum a u64 (value, or mask) · datum b u64 (masked value). */
function encodeArgument(arg: ArgumentRule): Buffer {
  const operator = OPERATORS[arg.op];
  if (operator === undefined) throw new KernelError('seccomp', 'EINVAL', null, `unknown operator ${arg.op}`);
  const bytes = Buffer.alloc(24);
  bytes.writeUInt32LE(arg.index, 0);
  bytes.writeUInt32LE(operator, 4);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(arg.value)), 8);
  bytes.writeBigUInt64LE(BigInt.asUintN(64, BigInt(arg.valueTwo ?? 0)), 16);
  return bytes;
}

/** These functions return a negative errno. */
function demand(result: number, call: string, accepted: readonly number[] = []): void {
  if (result < 0 && !accepted.includes(-result)) throw errnoError(call, -result);
}

interface Bindings {
  readonly init: (action: number) => Filter | null;
  readonly release: (filter: Filter) => void;
  readonly resolveArch: (name: string) => number;
  readonly addArch: (filter: Filter, token: number) => number;
  readonly resolveSyscall: (name: string) => number;
  readonly addRule: (filter: Filter, action: number, syscall: number, count: number, args: Pointer) => number;
  readonly exportBpf: (filter: Filter, fd: number) => number;
}

function bindLibseccomp(library: Library): Bindings {
  return {
    init: library.bind('void *seccomp_init(uint32_t action)'),
    release: library.bind('void seccomp_release(void *filter)'),
    resolveArch: library.bind('uint32_t seccomp_arch_resolve_name(const char *name)'),
    addArch: library.bind('int seccomp_arch_add(void *filter, uint32_t token)'),
    resolveSyscall: library.bind('int seccomp_syscall_resolve_name(const char *name)'),
    addRule: library.bind(
      'int seccomp_rule_add_array(void *filter, uint32_t action, int syscall, unsigned int count, void *args)',
    ),
    exportBpf: library.bind('int seccomp_export_bpf(void *filter, int fd)'),
  };
}

/** Undefined until first asked for; null where the machine has no libseccomp. */
let bound: Bindings | null | undefined;

function libseccomp(): Bindings | null {
  if (bound === undefined) {
    const library = loadLibrary('libseccomp.so.2');
    bound = library === null ? null : bindLibseccomp(library);
  }
  return bound;
}
