# The rows that go into the ledger without the executor have their entries in all
# its indexes, and only in those whose condition they meet.

use strict;
use warnings;

use TapmigTest;
use Test::More;

my $node = tapmig_node('main');

plan skip_all => 'no amcheck here'
  unless sql_value($node, "SELECT count(*) FROM pg_available_extensions WHERE name = 'amcheck'");
$node->safe_psql('postgres', 'CREATE EXTENSION amcheck');

# What must fail too: index_check() sees a row without its entry.
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE probe (i int PRIMARY KEY);
INSERT INTO probe VALUES (1);
UPDATE pg_index SET indisready = false WHERE indexrelid = 'probe_pkey'::regclass;
INSERT INTO probe VALUES (2);
UPDATE pg_index SET indisready = true WHERE indexrelid = 'probe_pkey'::regclass;
SQL
my ($ret, undef, $stderr) = $node->psql('postgres', "SELECT bt_index_check('probe_pkey', true)");
isnt($ret, 0, 'a missing entry is found');
like($stderr, qr/lacks matching index tuple/, 'as such');

sub index_check
{
	my ($when) = @_;

	for my $index (qw(schema_migrations_pkey schema_migrations_key schema_migrations_replaces
		history_pkey history_track_version scripts_pkey))
	{
		my ($failed, undef, $message) = $node->psql('postgres', "SELECT bt_index_check('tapmig.$index', true)");

		is($failed, 0, "$when: $index") or diag($message);
	}
	return;
}

my $session = session($node);

sub run_ok
{
	my ($sql) = @_;
	my $result = $session->try($sql);

	ok($result->{ok}, $sql) or diag($result->{message});
	return;
}

index_check('nothing is there');
run_ok($_)
  for "SELECT tapmig.apply('1.10_b', 'CREATE TABLE b (i int)')",
  "CALL tapmig.run('9', 'CREATE INDEX CONCURRENTLY ON b (i)')",
  "SELECT tapmig.apply('010', '-- tapmig: lock_timeout=3s\nSELECT 1')",
  "SELECT tapmig.register('11_by_hand', 'SELECT 2', 'ticket 1')",
  "SELECT tapmig.register('12')",
  "SELECT tapmig.withdraw('12', 'not there')",
  "SELECT tapmig.accept('11', 'SELECT 3', 'edited')",
  "SELECT tapmig.apply('11', '  SELECT 3')",
  "SELECT tapmig.apply('20', '-- tapmig: replaces=9..11\nSELECT 1')",
  "SELECT tapmig.apply('1', 'SELECT 1', track => 'other')",
  "INSERT INTO tapmig.schema_migrations (version) VALUES ('36')";
index_check('what apply, run, the corrections and an INSERT wrote');

# The server leaves a condition out that the index has.
for my $rows ([ 'history', "event <> 'applied'" ], [ 'schema_migrations', "directives ? 'replaces'" ])
{
	my ($table, $condition) = @$rows;
	my $count = "SELECT count(*) FROM tapmig.$table WHERE track = 'main' AND $condition";
	my $by_table = sql_value($node, "SET enable_indexscan = off; SET enable_bitmapscan = off; $count");

	cmp_ok($by_table, '>', 0, "$table: some rows meet the condition");
	is(sql_value($node, "SET enable_seqscan = off; SET enable_bitmapscan = off; $count"),
		$by_table, "$table: the index has no others");
}
is(sql_value($node, 'SELECT count(*) FROM tapmig.verify()'), 0, 'verify()');

# Many, so that pages are split.
run_ok("SELECT count(tapmig.apply(g::text, 'SELECT ' || g, track => 'many')) FROM generate_series(1, 1500) g");
$session->try('BEGIN');
run_ok("SELECT count(tapmig.apply(g::text, 'SELECT ' || g, track => 'gone')) FROM generate_series(1, 300) g");
$session->try('ROLLBACK');
run_ok("SELECT count(tapmig.apply(g::text, 'SELECT ' || g, track => 'gone')) FROM generate_series(200, 400) g");
index_check('many rows, and some that were rolled back');

done_testing();
