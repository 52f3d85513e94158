import type { ThreadCalls } from '../threads.ts';
import { check, libc } from './libc.ts';

const setpriority = libc.bind<(which: number, who: number, nice: number) => number>(
  'int setpriority(int which, uint32_t who, int nice)',
);

/** On Linux, "process 0" means the calling thread. */
const PRIO_PROCESS = 0;

/** Of the thread that calls. */
export const linuxThreads: ThreadCalls = {
  setNice: (nice) => void check(setpriority(PRIO_PROCESS, 0, nice), 'setpriority'),
};
