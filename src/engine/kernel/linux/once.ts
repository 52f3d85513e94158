/** Runs `job` at the first call: a descriptor closed twice may be somebody else’s by then. */
export function once(job: () => void): () => void {
  let done = false;
  return () => {
    if (done) return;
    done = true;
    job();
  };
}
