# The postmaster killed in mid-build: its worker and the caller are gone within
# seconds, the server starts again, and the next run repairs and finishes.

use strict;
use warnings;

use Time::HiRes ();
use TapmigStepwise;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main', conf => "autovacuum = off\n");

$node->safe_psql('postgres', 'CREATE TABLE t AS SELECT g AS a FROM generate_series(1, 100) g; CREATE TABLE done (what text)');

# Gone, or a zombie that nobody has waited for
sub gone
{
	my ($pid, $seconds) = @_;
	my $deadline = Time::HiRes::time() + $seconds;

	while (Time::HiRes::time() < $deadline)
	{
		return 1 if !kill(0, $pid) || (eval { read_file("/proc/$pid/stat") } // ') Z') =~ /\) Z/;
		Time::HiRes::usleep(20_000);
	}
	return 0;
}

sub script
{
	return "INSERT INTO done VALUES ('$_[0] 1');\nCREATE INDEX CONCURRENTLY $_[0]_idx ON t (a);\nINSERT INTO done VALUES ('$_[0] 3');\n";
}

# The auxiliary processes may take a moment to see that their postmaster is gone.
sub started
{
	my $deadline = Time::HiRes::time() + 60;

	while (Time::HiRes::time() < $deadline)
	{
		return 1 if $node->start(fail_ok => 1);
		$node->{_pid} = undef;
		Time::HiRes::usleep(100_000);
	}
	return 0;
}

# Where the worker is when its postmaster goes
my %where = (

	# in a wait of PostgreSQL's own, for a snapshot
	build => [ sub { holder($node) }, sub { script('build') }, sub { wait_build($node) } ],

	# between two statements of the script, for a lock
	step => [
		sub { my $s = session($node); $s->try('SELECT pg_advisory_lock(4711)'); return $s; },
		sub { script('step') . "SELECT pg_advisory_xact_lock(4711);\n" },
		sub { wait_until($node, "SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711 AND NOT granted)") }
	],

	# in work
	busy => [
		sub { session($node) },
		sub { script('busy') . "DO \$\$BEGIN COMMIT; IF (SELECT count(*) FROM done WHERE what = 'again') = 0 THEN LOOP PERFORM pg_sleep(0.01); END LOOP; END IF; END\$\$;\n" },
		sub { wait_until($node, "SELECT EXISTS (SELECT FROM tapmig.attempts WHERE outcome = 'running' AND step_running = 4)") }
	],
);
my $n = 0;

for my $where (sort keys %where)
{
	my ($keep, $make, $wait) = @{ $where{$where} };
	my $version = ++$n;
	my $script  = $make->();
	my $keeper  = $keep->();
	my @callers = map { session($node) } 1 .. 2;

	# One that runs it, and one that waits for that.
	start_run($callers[0], $version, $script);
	ok($wait->(), "$where: the worker is at its place");
	start_run($callers[1], $version, $script);
	ok(wait_event($node, $callers[1]->pid, 'Extension'), "$where: another caller waits");
	my @pids = (worker_pid($node), map { $_->pid } @callers);

	$node->kill9;
	ok(gone($pids[0], 10), "$where: the worker is gone within seconds") or kill 'KILL', $pids[0];
	ok(gone($pids[1], 10), "$where: so is its caller")                  or kill 'KILL', $pids[1];
	ok(gone($pids[2], 10), "$where: and who waited for it")             or kill 'KILL', $pids[2];
	my $r = eval { $callers[0]->finish(10) };
	ok(defined $r && !$r->{ok}, "$where: the client sees the end");
	$_->close for @callers, $keeper;
	ok(started(), "$where: the server starts again");

	is(attempts($node, $version), 'running', "$where: the attempt is left as running");
	is(rows_of($node, "SELECT state, action FROM tapmig.plan(ARRAY['$version']) WHERE version = '$version'"), 'interrupted|resume', "$where: the plan says interrupted");
	is(sql_value($node, 'SELECT count(*) FROM tapmig.running'), 0, "$where: nothing is running");
	sql_try($node, "INSERT INTO done VALUES ('again')") if $where eq 'busy';
	$r = run($node, $version, $script);
	is($r->{value}, 'applied', "$where: the next run finishes") or diag explain $r;
	like(join("\n", @{ $r->{notices} }), qr/dropping the invalid index/, "$where: and repairs") if $where eq 'build';
	is(valid($node, "${where}_idx"), 't', "$where: the index is valid");
	is(rows_of($node, "SELECT count(*) FROM pg_index WHERE indrelid = 't'::regclass"), $n, "$where: nothing else is left");
	is(rows_of($node, "SELECT what FROM done WHERE what LIKE '$where %' ORDER BY ctid"), "$where 1\n$where 3", "$where: each step ran once");
	is(attempts($node, $version), 'interrupted,applied', "$where: in two attempts");
}

is(rows_of($node, 'SELECT * FROM tapmig.verify()'), '', 'the ledger is in order');
done_testing();
