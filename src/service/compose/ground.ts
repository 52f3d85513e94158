/** What a daemon stands on before it knows its configuration; see compose.ts. */
export { SystemClock } from '../../base/clock.ts';
export { createLinuxKernel } from '../../engine/kernel/linux/index.ts';
