/** Questions as clients write them, by a codec that is not ours. */
import { encode } from 'dns-packet';
import type { Answer } from 'dns-packet';
import { readPacket } from '../../src/engine/network/dns/query.ts';
import type { Query } from '../../src/engine/network/dns/query.ts';

/** What a question may ask for in these tests. */
export type AskedType = 'A' | 'AAAA' | 'PTR' | 'MX' | 'TXT' | 'SRV';

/** A question's bytes; `udpPayloadSize` makes its client speak EDNS. */
export function questionBytes(
  name: string,
  type: AskedType = 'A',
  { id = 4711, udpPayloadSize }: { readonly id?: number; readonly udpPayloadSize?: number | undefined } = {},
): Buffer {
  const additionals = udpPayloadSize === undefined ? [] : [optRecord(udpPayloadSize)];
  return encode({ type: 'query', id, flags: 0x0100, questions: [{ type, name }], additionals });
}

/** The same as our server reads it. */
export function readQuestion(...question: Parameters<typeof questionBytes>): Query {
  const packet = readPacket(questionBytes(...question));
  if (packet.kind !== 'query') throw new Error('no question');
  return packet.query;
}

function optRecord(udpPayloadSize: number): Answer {
  const opt = { extendedRcode: 0, ednsVersion: 0, flags: 0, flag_do: false, options: [] };
  return { type: 'OPT', name: '.', udpPayloadSize, ...opt };
}
