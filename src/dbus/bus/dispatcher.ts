/**
 * Calls to replies. Each call gets exactly one reply, unless it wants none: what the handler returns, or the error that
 * it threw by the table in errors.ts. Property changes that the call caused leave before its reply.
 */
import type { Logger } from '../../base/logger.ts';
import { messageOf } from '../../base/errors.ts';
import type { Caller } from './callers.ts';
import type { BusConnection } from './connection.ts';
import { BusError, errorReply, standardErrorName, type ErrorReply } from './errors.ts';
import type { Call } from './exported.ts';
import { SERVICE } from '../names.ts';
import type { Polkit } from './polkit.ts';
import type { WrittenBody } from './standard.ts';
import { answerStandard, standardMethod } from './standard.ts';
import type { Tree, TreeInterface } from './tree.ts';
import type { UnreadableMessage } from './wire/framer.ts';
import type { IncomingMessage, OutgoingMessage } from './wire/message.ts';
import { FLAG_INTERACTIVE, FLAG_NO_REPLY } from './wire/message.ts';
import type { Ask } from './visibility.ts';
import { actionMeant, actionOf, isHidden, seesHidden } from './visibility.ts';
import type { MethodInfo } from './xml.ts';

/** One peer with more calls under way than this is out of hand; waits and password prompts take a few. */
const MAX_CALLS_A_CALLER = 128;

export interface DispatcherOptions {
  readonly tree: Tree;
  readonly polkit: Polkit;
  readonly logger: Logger;
  readonly closeFd: (fd: number) => void;
}

/** The method that a call is for. */
interface Target {
  readonly part: TreeInterface;
  readonly method: MethodInfo;
}

export class Dispatcher {
  readonly #tree: Tree;
  readonly #polkit: Polkit;
  readonly #logger: Logger;
  readonly #closeFd: (fd: number) => void;
  readonly #running = new Set<Promise<void>>();
  /** Calls whose descriptors a handler has taken over. */
  readonly #claimed = new WeakSet<IncomingMessage>();

  constructor({ tree, polkit, logger, closeFd }: DispatcherOptions) {
    this.#tree = tree;
    this.#polkit = polkit;
    this.#logger = logger;
    this.#closeFd = closeFd;
  }

  /** Calls under way. */
  get callCount(): number {
    return this.#running.size;
  }

  /** Settles when all calls under way have their reply. */
  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }

  /** Takes a call; its reply goes to the same connection. */
  dispatch(connection: BusConnection, caller: Caller, message: IncomingMessage): void {
    const running = this.#handle(connection, caller, message).catch((error: unknown) => {
      this.#logger.error('a D-Bus call could not be answered', { error: messageOf(error) });
    });
    this.#running.add(running);
    void running.finally(() => this.#running.delete(running));
  }

  /** Answers a call whose arguments are not what its signature says. */
  refuseUnreadable(connection: BusConnection, message: UnreadableMessage): void {
    sendError(connection, message, { name: standardErrorName('InvalidArgs'), message: message.reason });
  }

  async #handle(connection: BusConnection, caller: Caller, message: IncomingMessage): Promise<void> {
    const isReplyWanted = (message.flags & FLAG_NO_REPLY) === 0;
    const controller = caller.begin();
    try {
      const reply = await this.#reply(connection, caller, message, controller.signal);
      this.#tree.flush();
      if (isReplyWanted) this.#send(connection, message, reply);
      else this.#closeAll(reply);
    } catch (error) {
      this.#tree.flush();
      const reply = this.#errorReply(controller.signal.aborted ? controller.signal.reason : error, message.member);
      if (isReplyWanted) sendError(connection, message, reply);
    } finally {
      caller.finish(controller);
    }
  }

  async #reply(
    connection: BusConnection,
    caller: Caller,
    message: IncomingMessage,
    signal: AbortSignal,
  ): Promise<Partial<OutgoingMessage> & { readonly outFds?: readonly number[] }> {
    try {
      if (caller.callCount > MAX_CALLS_A_CALLER) {
        throw new BusError(standardErrorName('LimitsExceeded'), 'too many calls of yours are under way');
      }
      const ask = this.#askFor(connection, caller, message, signal);
      const method = standardMethod(this.#tree, message);
      if (method !== null) {
        checkArguments(message, method);
        const seesAll = await seesHidden(this.#tree, message, { method, uid: () => caller.uid, ask });
        // Only Set asks who calls: what is for everybody is not kept waiting for the bus.
        const uid = method.name === 'Set' ? await caller.uid : -1;
        return bodyOf(answerStandard(this.#tree, message, { uid, seesAll }));
      }
      const target = await this.#target(message, ask);
      const call = await authorizedCall(caller, message, { signal, ask, target });
      return await this.#run(target, call, message);
    } finally {
      // A handler takes its descriptors over when it is called; until then they are ours.
      for (const fd of this.#unclaimed(message)) this.#closeFd(fd);
    }
  }

  #unclaimed(message: IncomingMessage): readonly number[] {
    return this.#claimed.has(message) ? [] : message.fds;
  }

  /** Who may not know what there is gets the same answer where there is nothing. */
  async #target(message: IncomingMessage, ask: Ask): Promise<Target> {
    try {
      const target = findTarget(this.#tree, message);
      checkArguments(message, target.method);
      return target;
    } catch (error) {
      if (isHidden(message.path ?? '')) await ask(actionMeant(message), {});
      throw error;
    }
  }

  #askFor(connection: BusConnection, caller: Caller, message: IncomingMessage, signal: AbortSignal): Ask {
    const { flags, member = '' } = message;
    return async (action, details) =>
      this.#polkit.authorize({
        connection,
        sender: caller.name,
        uid: await caller.uid,
        action: action.includes('.') ? action : `${SERVICE}.${action}`,
        details: { operation: member, ...details },
        // Tools look at documents on their own: nobody has asked for something that a password would be due for.
        isInteractive: (flags & FLAG_INTERACTIVE) !== 0 && member !== 'Introspect',
        signal,
      });
  }

  async #run(
    { part, method }: Target,
    call: Call,
    message: IncomingMessage,
  ): Promise<Partial<OutgoingMessage> & { readonly outFds: readonly number[] }> {
    const handler = part.exported.methods[method.name];
    if (handler === undefined) throw new BusError(standardErrorName('UnknownMethod'), `${method.name} is not there`);
    this.#claimed.add(message);
    const body = await handler(call, ...(message.body as readonly never[]));
    return { signature: method.outSignature, body, outFds: descriptorsIn(method, body) };
  }

  #send(
    connection: BusConnection,
    call: IncomingMessage,
    { outFds = [], ...reply }: Partial<OutgoingMessage> & { readonly outFds?: readonly number[] },
  ): void {
    try {
      const isSent = connection.send({
        ...reply,
        type: 'return',
        flags: FLAG_NO_REPLY,
        replySerial: call.serial,
        destination: call.sender,
      });
      if (!isSent) outFds.forEach(this.#closeFd);
    } catch (error) {
      outFds.forEach(this.#closeFd);
      sendError(connection, call, this.#errorReply(error, call.member));
    }
  }

  /** A fault is logged, whether the caller wants to know or not. */
  #errorReply(thrown: unknown, member: string | undefined): ErrorReply {
    const reply = errorReply(thrown);
    if (reply.isFault) {
      this.#logger.error('a D-Bus call failed by a fault of the engine', {
        member,
        error: thrown instanceof Error ? thrown.stack : String(thrown),
      });
    }
    return reply;
  }

  #closeAll({ outFds = [] }: { readonly outFds?: readonly number[] }): void {
    outFds.forEach(this.#closeFd);
  }
}

function sendError(
  connection: BusConnection,
  call: IncomingMessage | UnreadableMessage,
  { name, message }: Pick<ErrorReply, 'name' | 'message'>,
): void {
  connection.send({
    type: 'error',
    flags: FLAG_NO_REPLY,
    errorName: name,
    replySerial: call.serial,
    destination: call.sender,
    signature: 's',
    body: [message],
  });
}

/** Finds what the call is for; BusError names what is missing. */
function findTarget(tree: Tree, { path = '', interface: interfaceName, member = '' }: IncomingMessage): Target {
  const interfaces = tree.interfacesAt(path);
  if (interfaces === null && tree.childrenOf(path).length === 0) {
    throw new BusError(standardErrorName('UnknownObject'), `there is no object ${path}`);
  }
  const meant = (interfaces ?? []).filter(({ info }) => interfaceName === undefined || info.name === interfaceName);
  if (meant.length === 0 && interfaceName !== undefined) {
    throw new BusError(standardErrorName('UnknownInterface'), `there is no interface ${interfaceName} at ${path}`);
  }
  for (const part of meant) {
    const method = part.info.methods.get(member);
    if (method !== undefined) return { part, method };
  }
  throw new BusError(
    standardErrorName('UnknownMethod'),
    `there is no method ${interfaceName ?? ''}.${member} at ${path}`,
  );
}

/** The call as its handler gets it, once polkit has agreed. */
async function authorizedCall(
  caller: Caller,
  message: IncomingMessage,
  { signal, ask, target }: { readonly signal: AbortSignal; readonly ask: Ask; readonly target: Target },
): Promise<Call> {
  const { part, method } = target;
  const uid = await caller.uid;
  signal.throwIfAborted();
  const action = actionOf(method);
  if (action !== null && uid !== 0) {
    await ask(action, part.exported.polkitDetails?.(method.name, message.body) ?? {});
  }
  return { caller, uid, member: method.name, signal, authorize: ask };
}

function bodyOf({ signature, bytes }: WrittenBody): Partial<OutgoingMessage> {
  return { signature, bodyBytes: bytes };
}

/**
 * Types as in the XML; descriptors only where it has an `h`, each once: one that hides in a variant would be nobody's.
 */
function checkArguments(message: IncomingMessage, method: MethodInfo): void {
  if (message.signature !== method.inSignature) {
    throw new BusError(
      standardErrorName('InvalidArgs'),
      `${method.name} takes '${method.inSignature}', not '${message.signature}'`,
    );
  }
  const taken = method.in.flatMap(({ type }, index) => (type === 'h' ? [message.body[index]] : []));
  if (taken.length !== message.fds.length || new Set(taken).size !== taken.length) {
    throw new BusError(
      standardErrorName('InvalidArgs'),
      `${method.name} takes ${String(taken.length)} file descriptors, not ${String(message.fds.length)}`,
    );
  }
}

/** The descriptors among the out arguments. */
function descriptorsIn({ out }: MethodInfo, body: readonly unknown[]): readonly number[] {
  return out.flatMap(({ type }, index) => {
    const value = body[index];
    return type === 'h' && typeof value === 'number' ? [value] : [];
  });
}
