# Node with pg from npm: values are parameters of the extended protocol; a named
# query is a prepared statement.

use strict;
use warnings;

use JSON::PP ();
use TapmigNpm;
use TapmigTest;
use Test::More;

my ($dir, $problem) = node_modules('pg', '8.13.1');
plan skip_all => $problem unless $dir;

my $node = tapmig_node('main');
write_file("$dir/client.js", <<'JAVASCRIPT');
const { Client, Pool } = require('pg');
const saw = {};
const first = `CREATE TABLE first (t text);
INSERT INTO first VALUES ('what? $1 :x, it''s \\ Größe ✓');
COPY first FROM stdin;
from copy
\\.
`;

async function attempt(name, query) {
  try {
    await query;
    saw[name] = 'no error';
  } catch (error) {
    Object.assign(saw, {
      [name]: error.code,
      [name + ', message']: error.message,
      [name + ', detail']: error.detail,
      [name + ', hint']: error.hint,
      [name + ', context']: error.where,
    });
  }
}

async function main() {
  const client = new Client();
  const notices = [];
  client.on('notice', (notice) => notices.push(notice.message));
  await client.connect();

  const apply = async (...values) =>
    (await client.query('SELECT tapmig.apply($1, $2, $3) AS outcome', values)).rows[0].outcome;
  const run = async (...values) =>
    (await client.query('CALL tapmig.run($1, $2, $3)', values)).rows[0].outcome;

  saw['apply'] = await apply('001_first', first, 'client.js');
  saw['apply again'] = await apply('001_first', first, 'client.js');
  saw['rows'] = (await client.query("SELECT string_agg(t, '|' ORDER BY t) AS rows FROM first")).rows[0].rows;
  saw['run'] = await run('002_second', 'CREATE TABLE second ();', null);
  saw['run again'] = await run('002_second', 'CREATE TABLE second ();', null);
  saw['layout'] = await run('002_second', 'CREATE TABLE  second ();', null);
  saw['layout, notice'] = notices.join();

  const named = { name: 'run', text: 'CALL tapmig.run($1, $2)' };
  for (const name of ['named', 'named again'])
    saw[name] = (await client.query({ ...named, values: ['003_named', 'CREATE TABLE named ();'] })).rows[0].outcome;

  await attempt('changed', run('001_first', 'CREATE TABLE other ();', null));
  await attempt('broken', run('004_broken', 'CREATE TABLE made ();\nSELECT 1/0;', null));
  await attempt('not understood', apply('004_broken', '\\i other.sql', null));
  saw['broken left'] = (await client.query("SELECT to_regclass('made') AS made")).rows[0].made;

  await client.query('BEGIN');
  saw['run within a transaction'] = await run('005_within', 'CREATE TABLE within ();', null);
  await client.query('ROLLBACK');
  saw['gone with its rollback'] =
    !(await client.query("SELECT tapmig.is_applied('005') AS applied")).rows[0].applied;
  await client.end();

  // Ten at once: one applies it, the others wait and skip it.
  const pool = new Pool({ max: 10 });
  const outcomes = await Promise.all(Array.from({ length: 10 }, () =>
    pool.query('CALL tapmig.run($1, $2)', ['006_race', 'CREATE TABLE race AS SELECT pg_backend_pid();'])));
  saw['race'] = outcomes.map((result) => result.rows[0].outcome).sort().join(' ');
  await pool.end();

  console.log(JSON.stringify(saw));
}

main().catch((error) => { console.error(error); process.exit(1); });
JAVASCRIPT

my ($good, $out, $err) = run_node($node, $dir, 'client.js');
is($err, '', 'the program ran without a message');
ok($good, 'and to its end');

my $saw = eval { JSON::PP->new->utf8->decode($out) } // {};
my %expected = (
	'apply'                    => 'applied',
	'apply again'              => 'skipped',
	'rows'                     => "from copy|what? \$1 :x, it's \\ Gr\x{f6}\x{df}e \x{2713}",
	'run'                      => 'applied',
	'run again'                => 'skipped',
	'layout'                   => 'skipped',
	'named'                    => 'applied',
	'named again'              => 'skipped',
	'changed'                  => 'TM001',
	'changed, message'         => 'migration 001_first was applied with other content',
	'broken'                   => '22012',
	'broken left'              => undef,
	'not understood'           => 'TM009',
	'run within a transaction' => 'applied',
	'gone with its rollback'   => JSON::PP::true,
	'race'                     => join(' ', 'applied', ('skipped') x 9));
is($saw->{$_}, $expected{$_}, "pg: $_") for sort keys %expected;
like($saw->{'changed, hint'},   qr/tapmig\.accept\('001'/,               'pg: the hint names accept');
like($saw->{'broken, context'}, qr/004_broken, statement 2 of 2, line 2/, 'pg: the script\'s line');
like($saw->{'layout, notice'},  qr/layout or comments only/,             'pg: notices arrive');

done_testing();
