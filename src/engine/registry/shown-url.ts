/**
 * URLs as they are told. Go leaves out passwords; but the addresses that registries and their stores give bear their
 * right in the query (`X-Amz-Signature`, `_state`), and who reads a log or an error must not get it.
 */

/** What we ask by ourselves, and says nothing of anybody's rights. */
const HARMLESS: ReadonlySet<string> = new Set(
  'account,client_id,digest,from,last,mount,n,offline_token,ns,q,scope,service'.split(','),
);

/** A URL with its password and what its query may prove written as `xxxxx`; everything else as it is. */
export function shownUrl(url: string): string {
  const [, start = '', userInfo = '', rest = ''] = /^([a-z][a-z0-9+.-]*:\/\/)(?:([^/?#]*)@)?([^]*)$/i.exec(url) ?? [];
  if (start === '') return url;
  const [user = '', password] = userInfo.split(':', 2);
  const owner = userInfo === '' ? '' : `${user}${password === undefined ? '' : ':xxxxx'}@`;
  const [place = ''] = rest.split(/[?#]/, 1);
  if (rest.charAt(place.length) !== '?') return start + owner + place;
  const [query = ''] = rest.slice(place.length + 1).split('#', 1);
  return `${start}${owner}${place}?${query.split('&').map(shownPair).join('&')}`;
}

function shownPair(pair: string): string {
  const [name = ''] = pair.split('=', 1);
  if (pair === '' || HARMLESS.has(name)) return pair;
  return name === pair ? 'xxxxx' : `${name}=xxxxx`;
}
