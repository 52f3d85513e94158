/** For vitest's `vi.waitFor`, whose own limit of a second is a matter of luck on a busy machine. */
export const PATIENCE = { timeout: 20_000, interval: 20 };
