/**
 * What stages that go at the same time say, in the order of the file: the first stage that has not ended speaks at once,
 * those after it are written down until it is their turn.
 */
import type { BuildMessage, BuildSink } from '../types.ts';

/** Most of one stage's output that waits for its turn, and of all stages'. */
const MAX_WAITING_CHARACTERS = 8 * 1024 * 1024;
const MAX_WAITING_IN_ALL = 64 * 1024 * 1024;
/** Of one record: short pieces are put together, since each of its own takes a hundred times its size. */
const MAX_PIECE_CHARACTERS = 32 * 1024;

/** Where one stage speaks. */
export interface StageVoice {
  say(message: BuildMessage): Promise<void>;
  /** Docker's line, with its end. */
  line(text: string): Promise<void>;
  /** The stage says nothing any more. Idempotent. */
  end(): Promise<void>;
}

export class Transcript {
  readonly #sink: BuildSink;
  readonly #voices: Voice[];
  /** Place of the voice that speaks at once. */
  #turn = 0;
  /** Characters that wait for their turn. */
  waiting = 0;
  /** What was said last is on its way. */
  #tail: Promise<void> = Promise.resolve();

  constructor(sink: BuildSink, voices: number) {
    this.#sink = sink;
    this.#voices = Array.from({ length: voices }, (_, place) => new Voice(this, place));
  }

  /** By the stage's place in the file. */
  voice(place: number): StageVoice {
    const voice = this.#voices[place];
    if (voice === undefined) throw new RangeError(`no stage ${String(place)}`);
    return voice;
  }

  /** Says what the failed stage said, after what those before it have said until now; then nobody speaks any more. */
  async breakOff(place: number): Promise<void> {
    for (; this.#turn <= place; this.#turn += 1) this.#voices[this.#turn]?.flush();
    this.#turn = this.#voices.length;
    for (const voice of this.#voices) voice.mute();
    await this.#tail;
  }

  isTurnOf(place: number): boolean {
    return place === this.#turn;
  }

  /** In order; settles when the sink has taken it. */
  async send(message: BuildMessage): Promise<void> {
    const sent = this.#tail.then(async () => this.#sink(message));
    // Whoever said it sees the failure; the next one tries for itself.
    this.#tail = sent.catch(() => undefined);
    await sent;
  }

  /** Lets the next stage speak when the one whose turn it is has ended. */
  async passOn(): Promise<void> {
    while (this.#voices[this.#turn]?.hasEnded === true) {
      this.#turn += 1;
      this.#voices[this.#turn]?.flush();
    }
    await this.#tail;
  }
}

class Voice implements StageVoice {
  readonly #transcript: Transcript;
  readonly #place: number;
  #waiting: BuildMessage[] = [];
  #characters = 0;
  #isMute = false;
  #isClipped = false;
  hasEnded = false;

  constructor(transcript: Transcript, place: number) {
    this.#transcript = transcript;
    this.#place = place;
  }

  async line(text: string): Promise<void> {
    await this.say({ kind: 'stream', text: `${text}\n` });
  }

  async say(message: BuildMessage): Promise<void> {
    if (this.#isMute) return;
    if (this.#transcript.isTurnOf(this.#place)) return this.#transcript.send(message);
    if (message.kind === 'stream') this.#keep(message.text);
    else this.#waiting.push(message);
  }

  #keep(text: string): void {
    if (this.#isClipped) return;
    const { length } = text;
    const limit = [MAX_WAITING_CHARACTERS - this.#characters, MAX_WAITING_IN_ALL - this.#transcript.waiting];
    this.#isClipped = length > Math.min(...limit);
    if (this.#isClipped) {
      const reached = `${String(MAX_WAITING_CHARACTERS / 1024 / 1024)}MiB`;
      this.#waiting.push({ kind: 'stream', text: `\n[output clipped, log limit ${reached} reached]\n` });
      return;
    }
    this.#characters += length;
    this.#transcript.waiting += length;
    const last = this.#waiting.at(-1);
    if (last?.kind !== 'stream' || last.text.length + length > MAX_PIECE_CHARACTERS)
      this.#waiting.push({ kind: 'stream', text });
    else this.#waiting[this.#waiting.length - 1] = { kind: 'stream', text: last.text + text };
  }

  async end(): Promise<void> {
    this.hasEnded = true;
    await this.#transcript.passOn();
  }

  /** Says all that was written down. */
  flush(): void {
    const waiting = this.#waiting;
    this.#forget();
    for (const message of waiting) void this.#transcript.send(message).catch(() => undefined);
  }

  mute(): void {
    this.#isMute = true;
    this.#forget();
  }

  #forget(): void {
    this.#waiting = [];
    this.#transcript.waiting -= this.#characters;
    this.#characters = 0;
    this.#isClipped = false;
  }
}
