import { enableCompileCache } from 'node:module';

// Before anything else is loaded: stripped and compiled sources are kept, which halves the start-up.
enableCompileCache();
const { runDaemon } = await import('./daemon.ts');
process.exitCode = await runDaemon(process.argv.slice(2));
