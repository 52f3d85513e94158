import type { CheckRun } from './ground.ts';

/** Tables whose rows mean nothing without the row they name. */
const DEPENDENT: Readonly<Record<string, string>> = {
  image_tag: 'a name without image',
  image_digest: 'a digest without image',
  image_blob: 'content of an image that is gone',
  image_flaw: 'a mark on an image that is gone',
  volume_use: 'a use of a volume that is gone',
  lease: 'an address of a network that is gone',
};

const LAYERS = 'layer';

/** The state file: is it whole, and do its rows belong together? */
export async function checkState(run: CheckRun): Promise<void> {
  const { database } = run.needs;
  const tables = database.all("SELECT name FROM sqlite_schema WHERE type = 'table'").map(({ name }) => String(name));
  for (const [index, table] of tables.entries()) {
    run.progress('state', index, tables.length);
    for (const { integrity_check: verdict } of database.all(`PRAGMA integrity_check("${table}")`)) {
      if (verdict === 'ok') continue;
      const remedy = 'stop the daemon, save the file and restore it from a backup';
      await run.report({ kind: 'state', subject: table, problem: String(verdict), remedy, mend: null });
    }
    // Table by table, so that the loop is free in between.
    await run.needs.clock.sleep(0);
  }
  for (const { table, rowid } of database.all('PRAGMA foreign_key_check')) {
    if (table !== LAYERS) await danglingRow(run, String(table), rowid as bigint);
  }
}

/** Layers without the row of the one below. Looked for when the images have been: they may know what was in it. */
export async function checkLayerRows(run: CheckRun): Promise<void> {
  for (const { rowid } of run.needs.database.all(`PRAGMA foreign_key_check("${LAYERS}")`)) {
    await danglingRow(run, LAYERS, rowid as bigint);
  }
}

async function danglingRow(run: CheckRun, table: string, rowid: bigint): Promise<void> {
  const { database } = run.needs;
  const problem = DEPENDENT[table];
  if (problem === undefined) {
    const remedy = 'remove the images that have it, and pull them again';
    await run.report({
      kind: 'state',
      subject: table,
      problem: 'a row names another that is gone',
      remedy,
      mend: null,
    });
    return;
  }
  const row = database.get(`SELECT * FROM ${table} WHERE rowid = ?`, rowid) ?? {};
  await run.report({
    kind: table === 'image_tag' || table === 'image_digest' ? 'tag' : 'state',
    subject: subjectOf(table, row),
    problem,
    remedy: 'can be dropped',
    mend: async () => {
      database.run(`DELETE FROM ${table} WHERE rowid = ?`, rowid);
      return { outcome: 'repaired', remedy: 'dropped' };
    },
  });
}

function subjectOf(table: string, row: Readonly<Record<string, unknown>>): string {
  if (table === 'image_tag') return `${String(row['repository'])}:${String(row['tag'])}`;
  if (table === 'image_digest') return `${String(row['repository'])}@${String(row['digest'])}`;
  return `${table} ${Object.values(row).map(String).join(' ')}`;
}
