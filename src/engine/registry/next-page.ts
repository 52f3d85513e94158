/**
 * Pages of lists (distribution-spec, "Listing Tags"): `Link: </v2/<name>/tags/list?n=…&last=…>; rel="next"`. Only the query
 * is taken: where a list lies is known. Read by hand, since a header made for it keeps an expression busy for minutes.
 */
export function nextPageQuery(header: string | readonly string[] | undefined): string | null {
  const values = header === undefined ? [] : typeof header === 'string' ? [header] : header;
  for (const value of values) {
    for (let start = value.indexOf('<'); start >= 0;) {
      const end = value.indexOf('>', start);
      if (end < 0) break;
      const next = value.indexOf('<', end);
      const parameters = value.slice(end + 1, next < 0 ? value.length : next).split(/[;,]/);
      if (parameters.some((one) => NEXT.has(one.trim().toLowerCase()))) return queryOf(value.slice(start + 1, end));
      start = next;
    }
  }
  return null;
}

const NEXT: ReadonlySet<string> = new Set(['rel=next', 'rel="next"']);

function queryOf(address: string): string | null {
  const [whole = ''] = address.split('#', 1);
  const mark = whole.indexOf('?');
  return mark < 0 ? null : whole.slice(mark);
}
