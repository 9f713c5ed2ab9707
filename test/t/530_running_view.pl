# tapmig.running names what is under way and whom it waits for, on the primary
# and, as recorded, on a standby; tapmig.health and tapmig.plan say the same.

use strict;
use warnings;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main',
	init => [ allows_streaming => 1 ],
	conf => "hot_standby = on\nautovacuum = off\nmax_prepared_transactions = 2\n");
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE web LOGIN;
CREATE ROLE watch LOGIN;
GRANT pg_monitor TO watch;
CREATE TABLE agents (id int, last_seen timestamptz);
GRANT SELECT ON agents TO web;
INSERT INTO agents SELECT i, now() FROM generate_series(1, 1000) i;
SQL
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;

my $watch = session($node, user => 'watch');

# The only row of tapmig.running as the monitoring role sees it, by columns.
sub running
{
	my ($columns) = @_;
	my $r = $watch->try("SELECT $columns FROM tapmig.running");

	die "$r->{sqlstate} $r->{message}" unless $r->{ok};
	return @{ $r->{rows} } == 1 ? join('|', map { $_ // '' } @{ $r->{rows}[0] }) : scalar @{ $r->{rows} };
}

sub state
{
	my ($server, $version) = @_;

	return sql_value($server,
		"SELECT concat_ws(' ', state, action) FROM tapmig.plan('{$version}') WHERE version = '$version'");
}

is(running('*'), 0, 'nothing is under way');

# An application that forgot its transaction, with a snapshot of an old world.
my $web = session($node, user => 'web');
$web->try('SET application_name = web_shop');
$web->try('BEGIN ISOLATION LEVEL REPEATABLE READ');
$web->try('SELECT 1');
my $web_pid = $web->pid;

my $client = session($node);
$client->start(
	q{CALL tapmig.run('036_agents_last_seen_index', 'CREATE TABLE notes (i int);
	  CREATE INDEX CONCURRENTLY agents_last_seen_idx ON agents (last_seen)')});
ok(wait_until($node, "SELECT phase = 'waiting for old snapshots' AND waits_for_pid = $web_pid FROM tapmig.running"),
	'the build waits for the application');

is(running('track, version, step, steps, step_running, state, command'),
	'main|036|2|2|2|active|CREATE INDEX CONCURRENTLY', 'what is under way');
is(running(qq{waits_for_pid = $web_pid, waits_for_application, waits_for_user, waits_for_state, waits_for_age > '0 s'}),
	't|web_shop|web|idle in transaction|t', 'whom it waits for');
is(running(q{wait_event_type, wait_event, query}),
	'Lock|virtualxid|tapmig main/036_agents_last_seen_index: statement 2 of 2', 'its activity');
is(running(q{started_at < clock_timestamp(), blocks_done IS NULL, blocks_total IS NULL, tuples_done IS NULL, tuples_total IS NULL}),
	't|f|f|f|f', 'its progress');
is(running(q{pid = tapmig.holder(), pid = (SELECT pid FROM pg_stat_activity WHERE backend_type = 'tapmig worker')}),
	't|t', 'the worker holds the lock');
is(state($node, '036'), 'running wait', 'the plan says so');
is( sql_value($node,
		"SELECT concat_ws(' ', applied, failed, interrupted, running_since = (SELECT started_at FROM tapmig.running), invalid_indexes, ledger_ok) FROM tapmig.health",
		user => 'watch'),
	'0 0 0 t 0 t',
	'health: running, and an index under construction is no invalid one');

# A standby shows what is recorded, and says nothing of its own processes.
$node->wait_for_catchup($standby);
is( sql_value($standby,
		"SELECT concat_ws('|', track, version, step, step_running, pid IS NOT NULL, state, waits_for_pid) FROM tapmig.running",
		user => 'watch'),
	'main|036|2|2|t',
	'standby: as recorded');
is(sql_value($standby, 'SELECT tapmig.holder()', user => 'watch'), undef, 'standby: no holder');
is( sql_value($standby,
		"SELECT concat_ws(' ', applied, failed, interrupted, running_since IS NOT NULL, ledger_ok) FROM tapmig.health",
		user => 'watch'),
	'0 0 0 t t',
	'standby: health');
is(state($standby, '036'), 'running wait', 'standby: the plan');

ok($client->busy, 'the caller still waits');
$web->try('COMMIT');
is($client->finish->{value}, 'applied', 'the application went away, the build ended');
ok(wait_until($node, 'SELECT count(*) = 0 FROM tapmig.running'), 'nothing is under way any more');
is(sql_value($node, "SELECT indisvalid FROM pg_index WHERE indexrelid = 'agents_last_seen_idx'::regclass"),
	't', 'the index is valid');
is(state($node, '036'), 'applied none', 'the plan says so');
$node->wait_for_catchup($standby);
is(sql_value($standby, 'SELECT count(*) FROM tapmig.running'), 0, 'standby: nothing either');
is(sql_value($standby, 'SELECT applied FROM tapmig.health'), 1, 'standby: one is applied');

# Other waits have no progress: the lock manager names the other one. An index
# that is being dropped is invalid before it is gone.
$web->try('BEGIN');
$web->try('SELECT count(*) FROM agents');
$client->start(q{CALL tapmig.run('037', 'DROP INDEX CONCURRENTLY agents_last_seen_idx')});
ok(wait_until($node, "SELECT waits_for_pid = $web_pid FROM tapmig.running"), 'DROP INDEX CONCURRENTLY waits');
is(running('version, step, steps, step_running, waits_for_application'), '037|1|1|1|web_shop', 'for the application');
is( sql_value($node,
		q{SELECT concat(indisvalid, ' ', (SELECT invalid_indexes FROM tapmig.health)) FROM pg_index WHERE indexrelid = 'agents_last_seen_idx'::regclass}),
	'f 0', 'and is no invalid index left behind');
$web->try('COMMIT');
is($client->finish->{value}, 'applied', 'it ended');

# A transactional script has no attempt; the lock's holder tells.
for my $call (q{CALL tapmig.run('038_note', 'SELECT 1; ALTER TABLE agents ADD note text')},
	q{SELECT tapmig.apply('039_note', 'SELECT 1; ALTER TABLE agents ADD note2 text')})
{
	my ($version) = $call =~ /'(\d+)_/;
	my $pid = $client->pid;

	ok(wait_until($node, 'SELECT tapmig.holder() IS NULL'), 'the lock is free');
	$web->try('BEGIN');
	$web->try('LOCK TABLE agents IN ACCESS SHARE MODE');
	$client->try('SET tapmig.lock_timeout = 0');
	$client->start($call);
	ok(wait_until($node, "SELECT waits_for_pid = $web_pid FROM tapmig.running"), "$version waits");
	is( running(qq{track, version, pid = $pid, step, steps, step_running, query, waits_for_application, waits_for_user}),
		"main|$version|t|1|1||tapmig main/${version}_note: statement 2 of 2|web_shop|web",
		"$version: what is under way");
	is(sql_value($node, 'SELECT running_since IS NOT NULL FROM tapmig.health'), 't', "$version: health");
	is(sql_value($node, 'SELECT count(*) FROM tapmig.attempts WHERE outcome <> \'applied\''), 0, "$version: without an attempt");
	$web->try('COMMIT');
	is($client->finish->{value}, 'applied', "$version: it ended");
}

# A prepared transaction has no process; what a build reports in its place is
# whoever has its backend's slot: here the caller.
ok(wait_until($node, 'SELECT tapmig.holder() IS NULL'), 'the lock is free');
$client->try($_) for 'BEGIN', 'INSERT INTO agents VALUES (1001)', q{PREPARE TRANSACTION 'it''s left'};
$client->start(q{CALL tapmig.run('0391', 'CREATE INDEX CONCURRENTLY agents_id2_idx ON agents (id)')});
ok(wait_until($node, "SELECT phase = 'waiting for writers before build' AND wait_event = 'transactionid' FROM tapmig.running"),
	'the build waits for a prepared transaction');
is(running(q{waits_for_pid, waits_for_application, waits_for_user = pg_get_userbyid(10), waits_for_state, waits_for_age > '0 s'}),
	"|it's left|t|prepared transaction|t", 'which is named');
$node->safe_psql('postgres', q{COMMIT PREPARED 'it''s left'});
is($client->finish->{value}, 'applied', 'it ended');

# One that holds the track's lock is under way itself.
$client->try($_) for 'BEGIN', q{SELECT tapmig.apply('0392', 'SELECT 1')}, q{PREPARE TRANSACTION 'applied'};
is(running(q{track, version, started_at = (SELECT prepared FROM pg_prepared_xacts), pid, state}), 'main||t||prepared transaction', 'a prepared transaction');
is(sql_value($node, 'SELECT running_since = (SELECT prepared FROM pg_prepared_xacts) FROM tapmig.health'), 't', 'health: since when');
$node->safe_psql('postgres', q{COMMIT PREPARED 'applied'});
is(sql_value($node, 'SELECT running_since IS NULL FROM tapmig.health'), 't', 'health: nothing is');

# The worker that is killed leaves its attempt: the whole server restarts.
$web->try('BEGIN ISOLATION LEVEL REPEATABLE READ');
$web->try('SELECT 1');
$client->start(q{CALL tapmig.run('040', 'CREATE INDEX CONCURRENTLY agents_id_idx ON agents (id)')});
ok(wait_until($node, "SELECT phase = 'waiting for old snapshots' FROM tapmig.running"), 'the build waits');
$node->stop('immediate');
$node->start;
is(sql_value($node, "SELECT outcome FROM tapmig.attempts WHERE version = '040'"), 'running', 'recorded as running');
is(sql_value($node, 'SELECT count(*) FROM tapmig.running'), 0, 'but nothing is under way');
is(state($node, '040'), 'interrupted resume', 'the plan says so');
is( sql_value($node,
		"SELECT concat_ws(' ', failed, interrupted, running_since IS NULL, invalid_indexes, ledger_ok) FROM tapmig.health"),
	'0 1 t 1 t', 'health: interrupted, and an invalid index');
is(run($node, '040', 'CREATE INDEX CONCURRENTLY agents_id_idx ON agents (id)')->{value},
	'applied', 'it goes on');
is(sql_value($node, "SELECT concat_ws(' ', failed, interrupted, invalid_indexes) FROM tapmig.health"),
	'0 0 0', 'health is good again');

done_testing();
