import { Writable } from 'node:stream';
import type { Socket } from 'node:net';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ApiClient } from './client.ts';
import { FrameReader } from './frames.ts';

/** The three streams of the caller, as arguments so that tests own them. */
export interface Stdio {
  readonly stdin: Readable & { readonly isTTY?: boolean; setRawMode?(raw: boolean): unknown };
  readonly stdout: Writable & { readonly isTTY?: boolean; readonly rows?: number; readonly columns?: number };
  readonly stderr: Writable;
}

export interface SessionOptions {
  readonly tty: boolean;
  readonly interactive: boolean;
}

/** `detached`: the caller typed Docker's ctrl-p ctrl-q and left the container running. */
export type SessionEnd = 'ended' | 'detached';

const DETACH_KEYS = Buffer.from([0x10, 0x11]);

/** Carries the caller's stdin to the container and its output back until the container's side ends. */
export async function converse(socket: Socket, stdio: Stdio, options: SessionOptions): Promise<SessionEnd> {
  const raw = options.tty && options.interactive && stdio.stdin.isTTY === true;
  let end: SessionEnd = 'ended';
  let lastByte = -1;
  const onInput = (chunk: Buffer): void => {
    const typed = Buffer.concat([lastByte < 0 ? Buffer.alloc(0) : Buffer.from([lastByte]), chunk]);
    lastByte = chunk.at(-1) ?? lastByte;
    if (options.tty && typed.includes(DETACH_KEYS)) end = 'detached';
    if (!socket.write(chunk)) {
      stdio.stdin.pause();
      socket.once('drain', () => stdio.stdin.resume());
    }
  };
  // Only our half ends: the container reads its end of file and may still have much to say.
  const onInputEnd = (): void => void socket.end();
  if (raw) stdio.stdin.setRawMode?.(true);
  if (options.interactive) stdio.stdin.on('data', onInput).once('end', onInputEnd);
  try {
    await copyOutput(socket, stdio, options.tty);
  } finally {
    stdio.stdin.off('data', onInput).off('end', onInputEnd).pause();
    if (raw) stdio.stdin.setRawMode?.(false);
    socket.destroy();
  }
  return end;
}

/** Copies a container's output, framed unless it has a terminal, to the caller's stdout and stderr. */
export async function copyOutput(source: Readable, stdio: Stdio, tty: boolean): Promise<void> {
  if (!tty) {
    const frames = new FrameReader(stdio.stdout, stdio.stderr);
    frames.resume();
    await pipeline(source, frames);
    return;
  }
  // Our stdout stays open for what comes after.
  const sink = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      if (stdio.stdout.write(chunk)) done();
      else stdio.stdout.once('drain', () => done());
    },
  });
  await pipeline(source, sink);
}

/** Tells the daemon our terminal's size, now and on each change, until disposed. `path` is the resize route. */
export function followTerminalSize(client: ApiClient, path: string, { stdout }: Stdio): Disposable {
  const tell = (): void => {
    if (stdout.rows === undefined || stdout.columns === undefined) return;
    // A container that has just ended has no terminal to resize: nothing is lost.
    client.post(path, { h: stdout.rows, w: stdout.columns }).catch(() => undefined);
  };
  tell();
  stdout.on('resize', tell);
  return { [Symbol.dispose]: () => void stdout.off('resize', tell) };
}
