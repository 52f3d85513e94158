/**
 * What the fake engine's containers run: a word of a command line as a small program in memory.
 *
 *   true · echo WORDS · exit N · cat (until stdin ends) · sleep (until killed) · spray N (N lines, both streams)
 */
import type { Readable } from 'node:stream';
import type { OutputSink } from '../../src/engine/index.ts';

/** One running fake program. */
export interface FakeProcess {
  /** Settles with the exit code. */
  readonly exited: Promise<number>;
  kill(code: number): void;
  /** Gives it a client's stdin. */
  feed(stdin: Readable): void;
}

export function startFakeProcess(argv: readonly string[], output: OutputSink): FakeProcess {
  const { promise: killed, resolve: kill } = Promise.withResolvers<number>();
  const { promise: stdin, resolve: feed } = Promise.withResolvers<Readable>();
  return { exited: Promise.race([killed, run(argv, output, stdin)]), kill, feed };
}

async function run(argv: readonly string[], output: OutputSink, stdin: Promise<Readable>): Promise<number> {
  const [program, ...args] = argv[0] === 'sh' && argv[1] === '-c' ? (argv[2] ?? '').split(' ') : argv;
  switch (program) {
    case 'echo':
      await output.write('stdout', Buffer.from(`${args.join(' ')}\n`));
      return 0;
    case 'exit':
      return Number(args[0] ?? '0');
    case 'cat':
      for await (const chunk of (await stdin) as AsyncIterable<Buffer>) await output.write('stdout', chunk);
      // What comes after the client's half-close must reach it too.
      await output.write('stderr', Buffer.from('cat: end of stdin\n'));
      return 0;
    case 'spray':
      for (let i = 0; i < Number(args[0]); i += 1) {
        await output.write(i % 10 === 9 ? 'stderr' : 'stdout', Buffer.from(`line ${String(i)}\n`));
      }
      return 0;
    case 'sleep':
      return new Promise<number>(() => undefined);
    default:
      return 0;
  }
}
