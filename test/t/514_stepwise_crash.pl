# The server crashes (stopped with -m immediate) before, in and right after each
# kind of step. Started again, the next run resumes at the right step, with the
# search_path, role and settings of the first one, and each effect is there once.

use strict;
use warnings;

use TapmigStepwise;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main', conf => "autovacuum = off\n");

# Gates: a row stops whoever passes it on the advisory lock 4711. The ledger's
# are passed by the word that a step begins ('begin 2') and that it is done
# ('done 2'), the others by the script itself.
$node->safe_psql('postgres', <<'SQL');
CREATE ROLE builder NOLOGIN;
CREATE DATABASE model;
SQL
$node->safe_psql('model', <<'SQL');
CREATE EXTENSION tapmig;
SQL
make_gates($node, 'model');
$node->safe_psql('model', <<'SQL');
SET ROLE builder;
CREATE TABLE app.log (what text);
CREATE TABLE app.old (a int);
CREATE INDEX old_a ON app.old (a);
CREATE TABLE app.parts (a int) PARTITION BY RANGE (a);
CREATE TABLE app.parts_1 PARTITION OF app.parts FOR VALUES FROM (0) TO (10);
CREATE TABLE app.parts_2 PARTITION OF app.parts FOR VALUES FROM (10) TO (20);
SQL

my $script = <<'SQL';
SET search_path = app, public;
SET ROLE builder;
SET work_mem = '7MB';
SET LOCAL maintenance_work_mem = '3MB';
CREATE TABLE items AS SELECT g AS a FROM generate_series(1, 100) g;
SELECT gate('in 1');
CREATE INDEX CONCURRENTLY items_a ON items (a);
INSERT INTO log VALUES ('three');
SELECT gate('in 3');
DO $$BEGIN INSERT INTO log VALUES ('four'); COMMIT; PERFORM gate('in 4'); END$$;
VACUUM items;
DROP INDEX CONCURRENTLY old_a;
ALTER TABLE parts DETACH PARTITION parts_1 CONCURRENTLY;
REINDEX INDEX CONCURRENTLY items_a;
ALTER TABLE items ADD b int;
SELECT gate('in 9');
INSERT INTO log VALUES (concat_ws(' ', current_user, current_schema, current_setting('work_mem'), current_setting('maintenance_work_mem')));
SQL

# step => what keeps it from its end, in a session of its own
my %blocker = (
	2 => [ 'BEGIN ISOLATION LEVEL REPEATABLE READ', 'SELECT 1' ],
	5 => [ 'BEGIN', 'LOCK TABLE app.items IN SHARE UPDATE EXCLUSIVE MODE' ],
	6 => [ 'BEGIN', 'SELECT * FROM app.old' ],
	7 => [ 'BEGIN', 'SELECT * FROM app.parts' ],
	8 => [ 'BEGIN ISOLATION LEVEL REPEATABLE READ', 'SELECT 1' ],
);
my $at_gate = "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted)";

# where: 'begin N', 'in N', 'done N'; step at which the next run begins; how
# often the committing block runs
sub crash
{
	my ($where, $step, $fours) = @_;
	my $db = 'c_' . ($where =~ s/ /_/r);
	my ($point, $n) = split / /, $where;
	my $gate = $point eq 'in' && $blocker{$n} ? "begin $n" : $where;

	$node->safe_psql('postgres', "CREATE DATABASE $db TEMPLATE model");
	sql_try($node, "INSERT INTO public.gates VALUES ('$gate')", dbname => $db);
	my $keeper = session($node, dbname => $db);
	$keeper->try('SELECT pg_advisory_lock(4711)');
	my $run = session($node, dbname => $db);
	start_run($run, '001_steps', $script);
	ok(wait_until($node, $at_gate), "$where: the worker is at the gate '$gate'");

	my $blocker;
	if ($gate ne $where)
	{
		$blocker = session($node, dbname => $db);
		$blocker->try($_) for @{ $blocker{$n} };
		my $worker = worker_pid($node);
		sql_try($node, 'DELETE FROM public.gates', dbname => $db);
		$keeper->try('SELECT pg_advisory_unlock(4711)');
		ok(wait_until($node, "SELECT EXISTS (SELECT FROM pg_stat_activity a JOIN tapmig.attempts t USING (pid) WHERE pid = $worker AND step_running = $n AND wait_event_type = 'Lock' AND wait_event IN ('virtualxid', 'relation'))", dbname => $db),
			"$where: the statement waits");
	}
	$node->stop('immediate');
	$_->close for grep { defined } $run, $keeper, $blocker;
	$node->start;

	is(rows_of($node, "SELECT state, action FROM tapmig.plan(ARRAY['001_steps'])", dbname => $db),
		'interrupted|resume', "$where: the plan says so");
	is(sql_value($node, "SELECT tapmig.is_applied('001')", dbname => $db), 'f', "$where: it is not in force");
	my $index = sql_value($node, "SELECT to_regclass('app.items_a')::oid", dbname => $db);
	sql_try($node, 'DELETE FROM public.gates', dbname => $db);
	my $r = run($node, '001_steps', $script, dbname => $db);
	is($r->{value}, 'applied', "$where: the next run ends well") or diag explain $r;
	my ($said) = join("\n", @{ $r->{notices} }) =~ /goes on with step (\d+) of \d+/;
	is($said // 1, $step, "$where: from the right step");
	is(rows_of($node, 'SELECT what FROM app.log ORDER BY ctid', dbname => $db),
		join("\n", 'three', ('four') x $fours, 'builder app 7MB 64MB'), "$where: each step ran once, under its role and settings");
	is(rows_of($node, "SELECT count(*), max(b) FROM app.items", dbname => $db), '100|', "$where: the table is whole");
	is(rows_of($node, "SELECT indexrelid::regclass, indisvalid FROM pg_index WHERE indrelid = 'app.items'::regclass", dbname => $db), 'app.items_a|t', "$where: its one index is valid");
	is(rows_of($node, "SELECT to_regclass('app.old_a') IS NULL, (SELECT count(*) FROM pg_inherits WHERE inhparent = 'app.parts'::regclass)", dbname => $db),
		't|1', "$where: the old index and the partition are gone");
	is(rows_of($node, "SELECT relowner::regrole FROM pg_class WHERE relname = 'items'", dbname => $db), 'builder', "$where: its owner is right");
	is(run($node, '001_steps', $script, dbname => $db)->{value}, 'skipped', "$where: once more: skipped");
	is(rows_of($node, 'SELECT * FROM tapmig.verify()', dbname => $db), '', "$where: the ledger is in order");

	# What the crashed run had finished is not done again.
	if ($where eq 'done 2')
	{
		ok(scalar(grep { /index app.items_a is there and valid/ } @{ $r->{notices} }), 'done 2: the built index is taken as done') or diag explain $r->{notices};
	}
	if ($where eq 'done 6')
	{
		ok(scalar(grep { /nothing is left to be dropped/ } @{ $r->{notices} }), 'done 6: the dropped index is taken as done') or diag explain $r->{notices};
	}
	if ($where eq 'in 7')
	{
		ok(scalar(grep { /finishing the interrupted detach/ } @{ $r->{notices} }), 'in 7: the pending detach is finished') or diag explain $r->{notices};
	}
	$node->safe_psql('postgres', "DROP DATABASE $db");
	return;
}

# Transactional steps
crash(@$_) for [ 'in 1', 1, 1 ], [ 'done 1', 1, 1 ], [ 'in 3', 3, 1 ], [ 'done 3', 3, 1 ], [ 'in 9', 9, 1 ], [ 'done 9', 9, 1 ];
# CREATE INDEX CONCURRENTLY
crash(@$_) for [ 'begin 2', 2, 1 ], [ 'in 2', 2, 1 ], [ 'done 2', 2, 1 ];
# A block that commits: run again
crash(@$_) for [ 'begin 4', 4, 1 ], [ 'in 4', 4, 2 ], [ 'done 4', 4, 2 ];
# VACUUM
crash(@$_) for [ 'begin 5', 5, 1 ], [ 'in 5', 5, 1 ], [ 'done 5', 5, 1 ];
# DROP INDEX CONCURRENTLY
crash(@$_) for [ 'begin 6', 6, 1 ], [ 'in 6', 6, 1 ], [ 'done 6', 6, 1 ];
# DETACH PARTITION CONCURRENTLY
crash(@$_) for [ 'begin 7', 7, 1 ], [ 'in 7', 7, 1 ], [ 'done 7', 7, 1 ];
# REINDEX CONCURRENTLY
crash(@$_) for [ 'begin 8', 8, 1 ], [ 'in 8', 8, 1 ], [ 'done 8', 8, 1 ];

done_testing();
