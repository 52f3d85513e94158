/** Whether a message is the answer to what was asked, and not what somebody wants to be taken for it. Pure. */
import { HEADER_BYTES, QR, RCODE } from './query.ts';
import type { Query } from './query.ts';

/** Answers after which another server is asked: this one cannot, or will not. */
const UNHELPFUL: ReadonlySet<number> = new Set([RCODE.SERVFAIL, RCODE.REFUSED, RCODE.NOTIMP]);
/** Errors that some servers tell without repeating the question. */
const BARE_ERRORS: ReadonlySet<number> = new Set([RCODE.FORMERR, ...UNHELPFUL]);

/** The question as it is sent on, under a number of our own. */
export function withId(query: Query, id: number): Buffer {
  const bytes = Buffer.from(query.bytes);
  bytes.writeUInt16BE(id, 0);
  return bytes;
}

/** True when `reply` carries our number and our question. */
export function isReplyTo(query: Query, id: number, reply: Buffer): boolean {
  if (reply.length < HEADER_BYTES || reply.readUInt16BE(0) !== id) return false;
  if ((reply.readUInt16BE(2) & QR) === 0) return false;
  const questions = reply.readUInt16BE(4);
  if (questions === 0) return BARE_ERRORS.has(rcodeOf(reply));
  return questions === 1 && hasSameQuestion(query, reply);
}

/** True when another server may know better. */
export function isUnhelpful(reply: Buffer): boolean {
  return UNHELPFUL.has(rcodeOf(reply));
}

function rcodeOf(reply: Buffer): number {
  return reply.readUInt16BE(2) & 15;
}

/** Byte for byte, but for the case of letters, which some servers change. */
function hasSameQuestion({ bytes, questionEnd }: Query, reply: Buffer): boolean {
  if (reply.length < questionEnd) return false;
  if (bytes.compare(reply, HEADER_BYTES, questionEnd, HEADER_BYTES, questionEnd) === 0) return true;
  const nameEnd = questionEnd - 4;
  const lower = (from: Buffer): string => from.toString('latin1', HEADER_BYTES, nameEnd).toLowerCase();
  return lower(bytes) === lower(reply) && bytes.compare(reply, nameEnd, questionEnd, nameEnd, questionEnd) === 0;
}
