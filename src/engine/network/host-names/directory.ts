import { shortId } from '../../../base/ids.ts';
import { answer, refusal, type Transport } from '../dns/answer.ts';
import { Names } from '../dns/names.ts';
import { CLASS_IN, RCODE, readPacket, RECORD } from '../dns/query.ts';
import type { NetworkNames } from '../name-service.ts';
import type { EndpointState, NetworkView } from '../types.ts';

/** The host is told the truth of this moment: a container may have another address when it is asked again. */
const TTL_S = 0;

/**
 * The answer to one question of the host's: `web.docker` is the container on the first network that knows it,
 * `web.net.docker` the one on `net`. Null where nothing is to be said.
 */
export function answerOf(
  bytes: Buffer,
  transport: Transport,
  { domain, networks }: { readonly domain: string; readonly networks: () => readonly NetworkView[] },
): Buffer | null {
  const packet = readPacket(bytes);
  if (packet.kind === 'noise') return null;
  if (packet.kind === 'refused') return refusal(packet.bytes, packet.rcode);
  const { query } = packet;
  if (query.edns !== null && query.edns.version !== 0) return answer(query, transport, { rcode: RCODE.BADVERS });
  const { name } = query;
  if (query.class !== CLASS_IN || name === null) return answer(query, transport, { rcode: RCODE.REFUSED });
  if (name === domain) return answer(query, transport);
  if (!name.endsWith(`.${domain}`)) return answer(query, transport, { rcode: RCODE.REFUSED });
  const names = new Names({ networks: networks().map(namesOf), servers: [] });
  const found = names.resolve(name.slice(0, -domain.length - 1));
  if (found === null) return answer(query, transport, { rcode: RCODE.NXDOMAIN });
  const records = query.type === RECORD.A ? found.ipv4 : query.type === RECORD.AAAA ? found.ipv6 : [];
  return answer(query, transport, { records, ttlS: TTL_S });
}

/** Containers of the predefined bridge have no names among one another; the host may have them all the same. */
function namesOf({ name, internal, endpoints }: NetworkView): NetworkNames {
  return {
    networkName: name,
    internal,
    ipv4: true,
    ipv6: true,
    links: {},
    endpoints: endpoints.map((endpoint) => ({
      names: namesOfEndpoint(endpoint),
      ipv4Address: endpoint.ipv4Address,
      ipv6Address: endpoint.ipv6Address,
    })),
  };
}

function namesOfEndpoint({ dnsNames = [], containerName, containerId }: EndpointState): readonly string[] {
  if (dnsNames.length > 0) return dnsNames;
  return [...(containerName === undefined ? [] : [containerName]), shortId(containerId)];
}
