/** What a thread may ask for itself. */
export interface ThreadCalls {
  /** Sets the calling thread's nice value (setpriority(2)): 19 is the least there is. KernelError where that is forbidden. */
  setNice(nice: number): void;
}
