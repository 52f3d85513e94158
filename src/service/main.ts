import { writeFileSync } from 'node:fs';
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

// Before anything else is loaded: stripped and compiled sources are kept, which halves the start-up. Beside the packages
// and not in /tmp, where somebody else could lay code for root to run. The bundle has next to nothing to win, and lies
// where only a package manager writes.
if (import.meta.filename.endsWith('.ts')) {
  enableCompileCache(join(import.meta.dirname, '../../node_modules/.cache/compile'));
}
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
