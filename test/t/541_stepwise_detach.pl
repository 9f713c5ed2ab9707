# ALTER TABLE ... DETACH PARTITION CONCURRENTLY that stops while the detach is
# pending: the next run FINALIZEs it, goes on, and records the version.

use strict;
use warnings;

use TapmigStepwise;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main', conf => "autovacuum = off\n");

$node->safe_psql('postgres', 'CREATE TABLE done (what text)');

# The state of a partition: pending, attached or detached
sub state_of
{
	my ($table) = @_;

	return sql_value($node, "SELECT coalesce((SELECT CASE WHEN inhdetachpending THEN 'pending' ELSE 'attached' END FROM pg_inherits WHERE inhrelid = to_regclass('$table')), 'detached')");
}

# A session that reads the parent; the detach waits for it between its two
# transactions.
sub reader
{
	my ($table) = @_;
	my $session = session($node);

	$session->try($_) for 'BEGIN', "SELECT * FROM $table";
	return $session;
}

my %stop = (
	cancel    => sub { my ($session) = @_; $session->cancel; is_error($session->finish, '57014', undef, 'cancel: the caller gets it') },
	terminate => sub { my ($session, $worker) = @_; sql_try($node, "SELECT pg_terminate_backend($worker)"); ok(!$session->finish->{ok}, 'terminate: the caller gets an error') },
	timeout   => sub { my ($session) = @_; is_error($session->finish, '57014', qr/statement timeout/, 'timeout: the caller gets it') },
	crash     => sub { my ($session) = @_; $node->stop('immediate'); $session->close; $node->start },
	# While it is pending somebody else does what PostgreSQL's manual says.
	by_hand   => sub { my ($session) = @_; $session->cancel; $session->finish },
	# Or takes the partition away altogether.
	dropped   => sub { my ($session) = @_; $session->cancel; $session->finish },
);
my $n = 0;

for my $how (sort keys %stop)
{
	my $version = sprintf('%03d', ++$n);
	my $parent  = "$how parent" =~ s/ /_/r;
	my $script  = "INSERT INTO done VALUES ('$how 1');\nALTER TABLE \"S\".$parent DETACH PARTITION \"S\".${how}_1 CONCURRENTLY;\nINSERT INTO done VALUES ('$how 3');\n";

	$node->safe_psql('postgres', <<SQL);
CREATE SCHEMA IF NOT EXISTS "S";
CREATE TABLE "S".$parent (a int) PARTITION BY RANGE (a);
CREATE TABLE "S".${how}_1 PARTITION OF "S".$parent FOR VALUES FROM (0) TO (10);
CREATE TABLE "S".${how}_2 PARTITION OF "S".$parent FOR VALUES FROM (10) TO (20);
INSERT INTO "S".$parent VALUES (1), (11);
SQL
	my $reader  = reader("\"S\".$parent");
	my $session = session($node, $how eq 'timeout' ? (options => '-c statement_timeout=10s') : ());
	start_run($session, $version, $script);
	my $worker = worker_pid($node);
	ok(wait_until($node, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $worker AND wait_event_type = 'Lock' AND wait_event = 'virtualxid')"), "$how: the detach waits");
	is(state_of("\"S\".${how}_1"), 'pending', "$how: it is pending");
	$stop{$how}->($session, $worker);
	$reader->close;
	ok(no_worker($node), "$how: no worker is left");
	is(state_of("\"S\".${how}_1"), 'pending', "$how: it is pending still");
	is(sql_value($node, "SELECT tapmig.is_applied('$version')"), 'f', "$how: the ledger does not have the version");
	is(rows_of($node, "SELECT state, action FROM tapmig.plan(ARRAY['$version']) WHERE version = '$version'"), 'interrupted|resume', "$how: the plan says so");

	$node->safe_psql('postgres', "ALTER TABLE \"S\".$parent DETACH PARTITION \"S\".${how}_1 FINALIZE") if $how eq 'by_hand';
	$node->safe_psql('postgres', "ALTER TABLE \"S\".$parent DETACH PARTITION \"S\".${how}_1 FINALIZE; DROP TABLE \"S\".${how}_1") if $how eq 'dropped';
	if ($how eq 'dropped')
	{
		# Whether that was the detach nobody can tell: a human's word.
		ok(sql_try($node, "SELECT tapmig.step_done('$version', 2, 'dropped by hand')")->{ok}, 'dropped: step_done');
	}
	my $r = run($node, $version, $script);
	is($r->{value}, 'applied', "$how: the next run") or diag explain $r;
	my $said = join("\n", @{ $r->{notices} });
	$how =~ /by_hand|dropped/
	  ? unlike($said, qr/finishing the interrupted detach/, "$how: has nothing to finish")
	  : like($said, qr/finishing the interrupted detach/, "$how: finishes it");
	is(state_of("\"S\".${how}_1"), 'detached', "$how: the partition is detached");
	is(rows_of($node, "SELECT a FROM \"S\".$parent"), '11', "$how: the parent has the other's rows");
	is(rows_of($node, "SELECT a FROM \"S\".${how}_1"), '1', "$how: it has its own") if $how ne 'dropped';
	is(rows_of($node, "SELECT what FROM done WHERE what LIKE '$how %' ORDER BY ctid"), "$how 1\n$how 3", "$how: each other step ran once");
	is(sql_value($node, "SELECT tapmig.is_applied('$version')"), 't', "$how: the ledger has the version");
	is(run($node, $version, $script)->{value}, 'skipped', "$how: once more: skipped");
}

# Pending from before the migration: PostgreSQL allows one pending detach a
# parent, and this is the one that the script asks for.
{
	$node->safe_psql('postgres', 'CREATE TABLE p (a int) PARTITION BY RANGE (a); CREATE TABLE p_1 PARTITION OF p FOR VALUES FROM (0) TO (10)');
	my $reader = reader('p');
	my $hand   = session($node);
	$hand->start('ALTER TABLE p DETACH PARTITION p_1 CONCURRENTLY');
	ok(wait_blocked($node, $hand->pid), 'before: a detach by hand waits');
	$hand->cancel;
	is_error($hand->finish, '57014', undef, 'before: it is cancelled');
	$reader->close;
	is(state_of('p_1'), 'pending', 'before: it is pending');
	my $r = run($node, '050', 'ALTER TABLE p DETACH PARTITION p_1 CONCURRENTLY');
	is($r->{value}, 'applied', 'before: the migration asks for it too') or diag explain $r;
	is(state_of('p_1'), 'detached', 'before: and finishes it');
}

is(rows_of($node, 'SELECT * FROM tapmig.verify()'), '', 'the ledger is in order');
done_testing();
