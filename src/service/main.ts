import { enableCompileCache } from 'node:module';
import { join } from 'node:path';

// Before anything else is loaded: stripped and compiled sources are kept, which halves the start-up. Beside the packages
// and not in /tmp, where somebody else could lay code for root to run.
enableCompileCache(join(import.meta.dirname, '../../node_modules/.cache/compile'));
const { runDaemon } = await import('./daemon.ts');
process.exitCode = await runDaemon(process.argv.slice(2));
