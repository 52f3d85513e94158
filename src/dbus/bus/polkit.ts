/**
 * polkit: may this caller do that? Root always may and is not asked about; no answer is kept, since rules and sessions
 * change. Without polkit only root may.
 */
import { messageOf } from '../../base/errors.ts';
import type { Logger } from '../../base/logger.ts';
import type { BusConnection } from './connection.ts';
import { BusError, NotAuthorizedError } from './errors.ts';
import { variant } from './exported.ts';

const AUTHORITY = {
  destination: 'org.freedesktop.PolicyKit1',
  path: '/org/freedesktop/PolicyKit1/Authority',
  interface: 'org.freedesktop.PolicyKit1.Authority',
} as const;

const ALLOW_USER_INTERACTION = 1;
/** The user types a password: polkit's agent decides when it gives up. */
const NO_TIMEOUT = null;

/** One question. */
export interface Question {
  readonly connection: BusConnection;
  readonly sender: string;
  readonly uid: number;
  /** `org.moored.Engine1.manage-containers` */
  readonly action: string;
  readonly details: Readonly<Record<string, string>>;
  /** The caller's message allows to ask the user for a password. */
  readonly isInteractive: boolean;
  readonly signal: AbortSignal;
}

export class Polkit {
  readonly #logger: Logger;
  #questions = 0;
  #isMissing = false;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  /** Throws {@link NotAuthorizedError} when the answer is no. Aborting takes the question back. */
  async authorize(question: Question): Promise<void> {
    if (question.uid === 0) return;
    const [isAuthorized, isChallenge] = await this.#ask(question)
      .catch(async (error: unknown) => {
        // polkit ended while it was asked: the bus starts it anew.
        if (error instanceof BusError && error.busName.endsWith('.NoReply')) return this.#ask(question);
        throw error;
      })
      .catch((error: unknown) => this.#failed(question, error));
    this.#isMissing = false;
    if (isAuthorized) return;
    const needsInteraction = isChallenge && !question.isInteractive;
    throw new NotAuthorizedError(
      needsInteraction
        ? `authentication is needed for ${question.action}, and the caller does not allow to ask for it`
        : `not authorized for ${question.action}`,
      needsInteraction,
    );
  }

  async #ask(question: Question): Promise<readonly [boolean, boolean]> {
    const { connection, sender, action, details, isInteractive, signal } = question;
    const cancellation = `${connection.uniqueName}-${String(++this.#questions)}`;
    const cancel = (): void => {
      // The answer does not matter any more, nor whether it can be cancelled.
      connection
        .call({ ...AUTHORITY, member: 'CancelCheckAuthorization', signature: 's', body: [cancellation] })
        .catch(() => undefined);
    };
    signal.addEventListener('abort', cancel, { once: true });
    try {
      const [answer] = await connection.call({
        ...AUTHORITY,
        member: 'CheckAuthorization',
        signature: '(sa{sv})sa{ss}us',
        body: [
          ['system-bus-name', { name: variant('s', sender) }],
          action,
          details,
          isInteractive ? ALLOW_USER_INTERACTION : 0,
          cancellation,
        ],
        timeoutMs: NO_TIMEOUT,
        signal,
      });
      const [isAuthorized, isChallenge] = answer as readonly [boolean, boolean, unknown];
      return [isAuthorized, isChallenge];
    } finally {
      signal.removeEventListener('abort', cancel);
    }
  }

  #failed(question: Question, error: unknown): never {
    if (!(error instanceof BusError)) throw error;
    if (isAbsent(error)) {
      if (!this.#isMissing) this.#logger.warn('polkit cannot be reached: only root may use the D-Bus interface');
      this.#isMissing = true;
      throw new NotAuthorizedError(`polkit cannot be reached, so only root may do this (${question.action})`, false);
    }
    this.#logger.error('polkit does not answer a question', { action: question.action, error: messageOf(error) });
    throw new NotAuthorizedError(`polkit refuses to judge ${question.action}: ${error.message}`, false);
  }
}

function isAbsent({ busName }: BusError): boolean {
  return (
    busName === 'org.freedesktop.DBus.Error.ServiceUnknown' ||
    busName === 'org.freedesktop.DBus.Error.NameHasNoOwner' ||
    busName === 'org.freedesktop.DBus.Error.NoReply' ||
    busName.startsWith('org.freedesktop.DBus.Error.Spawn.') ||
    busName.startsWith('org.freedesktop.systemd1.')
  );
}
