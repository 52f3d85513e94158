import type { BuildMessage, BuildSink } from '../../engine/index.ts';
import { inBandError } from '../errors.ts';
import type { Reply, ReplyStream } from '../http/reply.ts';
import { jsonLine, progressLine } from './progress.ts';

/** Last words of a quiet build, told when it fails; far above any honest one's need. */
const MAX_QUIET_BYTES = 4 * 1024 * 1024;

export interface BuildStreamOptions {
  /** `q`: the image's id is all that is said, unless it fails. */
  readonly quiet: boolean;
  /** Records with the image's id; clients below 1.30 do not know them. */
  readonly withAux: boolean;
}

/**
 * The answer of a build. It begins with the first record: an error before that is an HTTP error, one after it goes into
 * the stream. Each record is one chunk, since there are clients that parse chunk by chunk. A client that reads slowly
 * slows the build down: no word of it is lost.
 */
export class BuildStream {
  readonly #reply: Reply;
  readonly #options: BuildStreamOptions;
  #stream: ReplyStream | null = null;
  #kept: Buffer[] = [];
  #keptBytes = 0;

  constructor(reply: Reply, options: BuildStreamOptions) {
    this.#reply = reply;
    this.#options = options;
  }

  /** Runs the build with a sink for what it says, and ends the answer. */
  async run(build: (sink: BuildSink) => Promise<{ readonly id: string }>): Promise<void> {
    try {
      const { id } = await build((message) => this.#take(message));
      if (this.#options.quiet) await this.#write(record({ stream: `${id}\n` }));
    } catch (error) {
      for (const line of this.#kept) await this.#write(line);
      if (this.#stream === null) throw error;
      await this.#write(record(inBandError(error)));
    }
    this.#open().end();
  }

  #take(message: BuildMessage): void | Promise<void> {
    const line = this.#lineOf(message);
    if (line === null) return undefined;
    if (this.#options.quiet) this.#keep(line);
    else return this.#write(line);
  }

  #lineOf(message: BuildMessage): Buffer | null {
    switch (message.kind) {
      case 'stream':
        return message.text === '' ? null : record({ stream: message.text });
      case 'image':
        return this.#options.withAux ? record({ aux: { ID: message.id } }) : null;
      case 'progress':
        return Buffer.from(progressLine(message.progress));
      case 'step':
        return null;
    }
  }

  #keep(line: Buffer): void {
    this.#kept.push(line);
    this.#keptBytes += line.length;
    while (this.#keptBytes > MAX_QUIET_BYTES) this.#keptBytes -= this.#kept.shift()?.length ?? 0;
  }

  #write(line: Buffer): void | Promise<void> {
    return this.#open().write(line);
  }

  #open(): ReplyStream {
    this.#stream ??= this.#reply.stream(200, 'application/json');
    return this.#stream;
  }
}

function record(value: object): Buffer {
  return Buffer.from(jsonLine(value));
}
