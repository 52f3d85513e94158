import { writeFileSync } from 'node:fs';

const [verb, ...words] = process.argv.slice(2);
if (verb === 'sysconfig') {
  const { runSysconfigMerge } = await import('../config/sysconfig-editing.ts');
  const { createFileEffects } = await import('./compose/file-effects.ts');
  process.exitCode = runSysconfigMerge(words, { effects: createFileEffects() });
} else {
  // The name that ps and systemctl show; Node calls its first thread MainThread. The command line stays as it is.
  writeFileSync('/proc/self/comm', 'moored');
  const { runDaemon } = await import('./daemon.ts');
  process.exitCode = await runDaemon(process.argv.slice(2));
}
