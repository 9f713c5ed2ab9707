# An attempt that says "running" and has no process any more: the plan, health
# and running say so, the next run closes it as interrupted and goes on, and of
# two runs at once only one does.

use strict;
use warnings;

use TapmigStepwise;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main', conf => "autovacuum = off\n");

$node->safe_psql('postgres', 'CREATE TABLE t AS SELECT g AS a FROM generate_series(1, 100) g; CREATE TABLE done (what text)');

sub script
{
	return "INSERT INTO done VALUES ('$_[0] 1');\nCREATE INDEX CONCURRENTLY $_[0]_idx ON t (a);\nINSERT INTO done VALUES ('$_[0] 3');\n";
}

# plan's word, number of rows in running, and health's counts
sub seen
{
	my ($version) = @_;

	return join(' / ',
		rows_of($node, "SELECT state, action FROM tapmig.plan(ARRAY['$version']) WHERE version = '$version'"),
		rows_of($node, 'SELECT count(*) FROM tapmig.running'),
		rows_of($node, "SELECT failed, interrupted, running_since IS NOT NULL FROM tapmig.health"));
}

sub said { return scalar grep { /goes on with step/ } @{ $_[0]{notices} }; }

# Each way leaves a build's attempt without a process.
my %ways = (
	crash => sub {
		my ($session, $holder) = @_;
		$node->stop('immediate');
		$_->close for $session, $holder;
		$node->start;
	},

	# Nobody is left to write the worker's end: its caller went before it.
	terminated => sub {
		my ($session, $holder, $worker) = @_;
		my $pid = $session->pid;
		sql_try($node, "SELECT pg_terminate_backend($pid)");
		ok(wait_gone($node, $pid), 'terminated: the caller is gone');
		is(seen('002'), 'running|wait / 1 / 0|0|t', 'terminated: the worker alone is running');
		sql_try($node, "SELECT pg_terminate_backend($worker)");
		ok(wait_gone($node, $worker), 'terminated: so is the worker');
		$_->close for $session, $holder;
	},
);
my $version = '000';

for my $way (sort keys %ways)
{
	my $script  = script($way);
	my $holder  = holder($node);
	my $session = session($node);

	$version++;
	start_run($session, $version, $script);
	ok(wait_build($node), "$way: a build waits");
	my $worker = worker_pid($node);
	is(seen($version), 'running|wait / 1 / 0|0|t', "$way: it is running");
	$ways{$way}->($session, $holder, $worker);

	like(attempts($node, $version), qr/^(running|interrupted)$/, "$way: the attempt is left");
	is(attempts($node, $version), 'running', "$way: as running") if $way eq 'crash';
	is(seen($version), 'interrupted|resume / 0 / 0|1|f', "$way: but all say that it was interrupted");
	is(attempt($node, $version)->{pid}, $worker, "$way: its process is known");

	# A process of that number that does not hold the lock is another one.
	my $stranger = session($node);
	my $stranger_pid = $stranger->pid;
	sql_try($node, "UPDATE tapmig.attempts SET outcome = 'running', pid = $stranger_pid WHERE version = '$version'");
	is(attempts($node, $version), 'running', "$way: a process of another kind has its number");
	is(seen($version), 'interrupted|resume / 0 / 0|1|f', "$way: that does not make it running");

	# Two at once: one resumes it, the other waits for that one.
	$holder = holder($node);
	my @runs = map { session($node) } 1 .. 2;
	start_run($_, $version, $script) for @runs;
	ok(wait_build($node), "$way: one of two runs builds again");
	my $second = worker_pid($node);
	is(rows_of($node, "SELECT outcome, pid = $second, finished_at IS NOT NULL, message IS NOT NULL FROM tapmig.attempts WHERE version = '$version' ORDER BY id"),
		"interrupted|f|t|t\nrunning|t|f|f", "$way: the dead attempt is closed");
	is(seen($version), 'running|wait / 1 / 0|0|t', "$way: all say that it is running");
	$holder->close;
	my @results = map { $_->finish } @runs;
	is(join(',', sort map { $_->{value} // "$_->{sqlstate} $_->{message}" } @results), 'applied,skipped', "$way: one applies, the other skips");
	is(said($results[0]) + said($results[1]), 1, "$way: one went on with it");
	is(seen($version), 'applied|none / 0 / 0|0|f', "$way: all say that it is applied");
	is(attempts($node, $version), 'interrupted,applied', "$way: in two attempts");
	is(rows_of($node, "SELECT what FROM done WHERE what LIKE '$way %' ORDER BY ctid"), "$way 1\n$way 3", "$way: each step ran once");
	is(valid($node, "${way}_idx"), 't', "$way: the index is valid");
}

# The corrections take such a row for what it is.
sub dead
{
	my ($version, $script) = @_;
	my $holder  = holder($node);
	my $session = session($node);

	start_run($session, $version, $script);
	ok(wait_build($node), "$version: a build waits");
	is_error(sql_try($node, "SELECT tapmig.abandon('$version', 'test')", options => '-c tapmig.wait_timeout=0'),
		'TM004', undef, "$version: a living one can't be abandoned");
	$node->stop('immediate');
	$_->close for $session, $holder;
	$node->start;
	is(attempts($node, $version), 'running', "$version: the attempt is left as running");
	return;
}

dead('010', script('abandoned'));
ok(sql_try($node, "SELECT tapmig.abandon('010', 'begin again')")->{ok}, 'abandon: of a dead attempt');
is(attempts($node, '010'), 'abandoned', 'abandon: the attempt says so');
is(seen('010'), 'pending|run / 0 / 0|0|f', 'abandon: it is pending again');
my $r = run($node, '010', script('abandoned'));
is($r->{value}, 'applied', 'abandon: the next run') or diag explain $r;
is(said($r), 0, 'abandon: begins anew');
is(rows_of($node, "SELECT count(*) FROM done WHERE what = 'abandoned 1'"), '2', 'abandon: at step 1');

dead('011', script('by_word'));
is_error(sql_try($node, "SELECT tapmig.step_done('011', 3, 'no')"), '55000', undef, 'step_done: not of a step that never began');
ok(sql_try($node, "SELECT tapmig.step_done('011', 2, 'it is built by hand')")->{ok}, 'step_done: of a dead attempt');
is(seen('011'), 'interrupted|resume / 0 / 0|1|f', 'step_done: it is to be resumed');
$r = run($node, '011', script('by_word'));
ok(!$r->{ok}, 'step_done: nothing is recorded as applied over an INVALID index') or diag explain $r;
sql_try($node, 'DROP INDEX by_word_idx');
sql_try($node, 'CREATE INDEX by_word_idx ON t (a)');
$r = run($node, '011', script('by_word'));
is($r->{value}, 'applied', 'step_done: with the index in its place') or diag explain $r;
is(rows_of($node, "SELECT what FROM done WHERE what LIKE 'by_word %' ORDER BY ctid"), "by_word 1\nby_word 3", 'step_done: each other step ran once');

# A dead row of one version is closed by the run of another, and still to be resumed.
dead('020', script('older'));
is(run($node, '021', script('newer'))->{value}, 'applied', 'another version runs meanwhile');
is(attempts($node, '020'), 'interrupted', 'it closes the dead row');
is(seen('020'), 'interrupted|resume / 0 / 0|1|f', 'which the plan resumes');
$r = run($node, '020', script('older'));
is($r->{value}, 'applied', 'the older one goes on') or diag explain $r;
is(said($r), 1, 'where it stopped');
is(rows_of($node, "SELECT what FROM done WHERE what LIKE 'older %' ORDER BY ctid"), "older 1\nolder 3", 'each step ran once');

is(rows_of($node, 'SELECT * FROM tapmig.verify()'), '', 'the ledger is in order');
done_testing();
