# The primary dies (stopped with -m immediate) in the middle of a stepwise run,
# and its standby is promoted. "tapmig up" against that goes on there at the first
# step that is not known to be finished, with the settings of the finished ones;
# an INVALID index is mended, and no later step would mend it. Each promoted
# server is the primary of the next case.

use strict;
use warnings;

use TapmigClients;
use TapmigStepwise;
use TapmigTest;
use Test::More;

# Gates, as in 514_stepwise_crash: whoever passes one waits for advisory lock 4711.
my $primary = tapmig_node('node0', init => [ allows_streaming => 1 ],
	conf => "autovacuum = off\nwal_receiver_status_interval = 1\nwal_retrieve_retry_interval = 200ms\n", extension => 0);
$primary->safe_psql('postgres', <<'SQL');
CREATE ROLE builder NOLOGIN;
CREATE DATABASE model;
SQL
$primary->safe_psql('model', <<'SQL');
CREATE EXTENSION tapmig;
SELECT tapmig.apply('001_before', E'SELECT 1;\n');
SQL
make_gates($primary, 'model');
$primary->safe_psql('model', <<'SQL');
SET ROLE builder;
CREATE TABLE app.log (what text);
CREATE INDEX log_what ON app.log (what);
SQL

my %script = (
	'001_before.sql' => "SELECT 1;\n",
	'002_steps.sql'  => <<'SQL',
SET search_path = app, public;
SET ROLE builder;
SET work_mem = '7MB';
CREATE TABLE items AS SELECT g AS a FROM generate_series(1, 100) g;
SELECT gate('in 1');
CREATE UNIQUE INDEX CONCURRENTLY items_a ON items (a);
INSERT INTO log VALUES ('three');
SELECT gate('in 3');
VACUUM items;
REINDEX INDEX CONCURRENTLY log_what;
INSERT INTO log VALUES (concat_ws(' ', current_user, current_schema, current_setting('work_mem')));
SELECT gate('in 6');
SQL
	'003_after.sql' => "CREATE TABLE app.after ();\n");
my $dir = migrations_dir(\%script);
my $at_gate = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted)";
my $n = 0;

# %case: name; gate to stop at; holder: of a snapshot, which the index build behind
# the gate waits for; lags: the standby gets nothing more once it is at the gate, and
# the primary goes on to the end; step: with which it goes on; valid: is the index?
# remains: how many indexes REINDEX has left
sub promoted
{
	my (%case) = @_;
	my $name = $case{name};
	my $db = 'c' . ++$n;
	my $standby = PostgreSQL::Test::Cluster->new("node$n");

	$primary->safe_psql('postgres', "CREATE DATABASE $db TEMPLATE model");
	sql_try($primary, "INSERT INTO public.gates VALUES ('$case{gate}')", dbname => $db) if $case{gate};
	$primary->backup("base$n");
	$standby->init_from_backup($primary, "base$n", has_streaming => 1);
	$standby->start;

	my $keeper = session($primary, dbname => $db);
	$keeper->try('SELECT pg_advisory_lock(4711)');
	my $holder = $case{holder} && !$case{gate} ? holder($primary, dbname => $db) : undef;
	my $up = start_tapmig($primary, [ 'up', '--dir', $dir ], dbname => $db);
	ok(wait_until($primary, $at_gate), "$name: at the gate") if $case{gate};
	if ($case{holder})
	{
		$holder //= holder($primary, dbname => $db);
		$keeper->try('SELECT pg_advisory_unlock(4711)');
		ok(wait_build($primary, dbname => $db), "$name: the build waits");
	}
	$primary->wait_for_catchup($standby);
	is(rows_of($standby, "SELECT state, action FROM tapmig.plan(ARRAY['001', '002'])", dbname => $db), "applied|none\nrunning|wait",
		"$name: the standby sees it under way");

	if ($case{lags})
	{
		$standby->append_conf('postgresql.conf', "primary_conninfo = ''");
		$standby->reload;
		ok(wait_until($standby, 'SELECT count(*) = 0 FROM pg_stat_wal_receiver'), "$name: the standby is cut off");
		$keeper->try('SELECT pg_advisory_unlock(4711)');
		is(($up->finish)[0], 0, "$name: the primary comes to the end");
		is(sql_value($standby, "SELECT tapmig.is_applied('002')", dbname => $db), 'f', "$name: of which the standby knows nothing");
	}
	$primary->stop('immediate');
	isnt(($up->finish)[0], 0, "$name: the runner has lost its server") unless $case{lags};
	$_->close for grep { defined } $keeper, $holder;
	$standby->promote;

	is(rows_of($standby, "SELECT state, action FROM tapmig.plan(ARRAY['001', '002'])", dbname => $db), "applied|none\ninterrupted|resume",
		"$name: promoted, the plan says that it was interrupted");
	is(rows_of($standby, 'SELECT interrupted, running_since FROM tapmig.health', dbname => $db), '1|', "$name: so does health");
	is(rows_of($standby, 'SELECT * FROM tapmig.running', dbname => $db), '', "$name: nothing is running");
	is(rows_of($standby, q{SELECT count(*) FROM pg_index WHERE indrelid = 'app.log'::regclass AND NOT indisvalid}, dbname => $db),
		$case{remains} // 0, "$name: remains of REINDEX");
	is(valid($standby, 'app.items_a', dbname => $db), $case{valid}, "$name: the index " . (defined $case{valid} ? $case{valid} eq 't' ? 'is valid' : 'is INVALID' : 'is not there'));
	sql_try($standby, 'DELETE FROM public.gates', dbname => $db);

	my ($exit, $out, $err) = run_tapmig($standby, [ 'up', '--dir', $dir ], dbname => $db);
	is($exit, 0, "$name: up goes on") or diag $err;
	is($out =~ s/ \(\d+ ms\)//gr, "applied 002_steps\napplied 003_after\n", "$name: with this one and those after it");
	my ($said) = $err =~ /goes on with step (\d+) of 6/;
	is($said // 1, $case{step}, "$name: at the right step") or diag $err;
	is(rows_of($standby, 'SELECT what FROM app.log ORDER BY ctid', dbname => $db), "three\nbuilder app 7MB", "$name: each step once, with its role and settings");
	is(rows_of($standby, 'SELECT count(*) FROM app.items', dbname => $db), 100, "$name: the table is whole");
	is(rows_of($standby, q{SELECT indexrelid::regclass, indisvalid, indisready FROM pg_index WHERE indrelid = 'app.items'::regclass}, dbname => $db),
		'app.items_a|t|t', "$name: its one index is valid");
	is(rows_of($standby, q{SELECT indexrelid::regclass, indisvalid, indisready FROM pg_index WHERE indrelid = 'app.log'::regclass}, dbname => $db),
		'app.log_what|t|t', "$name: so is the one that is rebuilt");
	is(rows_of($standby, q{SELECT relowner::regrole FROM pg_class WHERE relname IN ('items', 'items_a') GROUP BY 1}, dbname => $db), 'builder', "$name: their owner is right");
	is(rows_of($standby, q{SELECT outcome FROM tapmig.attempts WHERE version = '002' ORDER BY id DESC LIMIT 1}, dbname => $db), 'applied', "$name: the attempt is closed");
	is(rows_of($standby, 'SELECT interrupted, failed, invalid_indexes, ledger_ok FROM tapmig.health', dbname => $db), '0|0|0|t', "$name: health");
	is(rows_of($standby, 'SELECT version, event, count(*) FROM tapmig.history GROUP BY version, event ORDER BY min(seq)', dbname => $db),
		"001|applied|1\n002|applied|1\n003|applied|1", "$name: each version once in the history");
	verify_is_clean($standby, $name, dbname => $db);
	verify_sees($standby, $name, dbname => $db);
	($exit, $out, $err) = run_tapmig($standby, [ 'up', '--dir', $dir ], dbname => $db);
	is("$exit$out$err", '0', "$name: nothing is left to do");
	$primary = $standby;
	return;
}

promoted(name => 'in the first step',          gate => 'in 1',    step => 1);
promoted(name => 'before the build',           gate => 'begin 2', step => 2);
promoted(name => 'while the index is built',   holder => 1,       step => 2, valid => 'f');
promoted(name => 'built, and not yet recorded', gate => 'done 2',  step => 2, valid => 't');
promoted(name => 'in a later step',            gate => 'in 3',    step => 3, valid => 't');
promoted(name => 'between two steps',          gate => 'done 3',  step => 3, valid => 't');
promoted(name => 'in the VACUUM',              gate => 'done 4',  step => 4, valid => 't');
promoted(name => 'in the REINDEX',             gate => 'begin 5', holder => 1, step => 5, valid => 't', remains => 1);
promoted(name => 'in the last step',           gate => 'in 6',    step => 6, valid => 't');
promoted(name => 'a standby that lags',        gate => 'begin 2', step => 2, lags => 1);

done_testing();
