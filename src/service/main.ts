import { writeFileSync } from 'node:fs';

const [verb, ...words] = process.argv.slice(2);
if (verb === 'sysconfig') {
  const { runSysconfigMerge } = await import('../config/sysconfig-editing.ts');
  const { createFileEffects } = await import('./compose/file-effects.ts');
  process.exitCode = runSysconfigMerge(words, { effects: createFileEffects() });
} else if (verb === 'check') {
  const { runCheck } = await import('./check-command.ts');
  process.exitCode = await runCheck(words, { stdout: process.stdout, stderr: process.stderr, env: process.env });
} else if (verb === 'migrate-storage') {
  const { runMigration } = await import('./migrate-command.ts');
  process.exitCode = await runMigration(words, { stdout: process.stdout, stderr: process.stderr, env: process.env });
} else {
  // The name that ps and systemctl show; Node calls its first thread MainThread. The command line stays as it is.
  writeFileSync('/proc/self/comm', 'moored');
  const { runDaemon } = await import('./daemon.ts');
  process.exitCode = await runDaemon(process.argv.slice(2));
}
