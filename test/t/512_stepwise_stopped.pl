# A build that is stopped: Ctrl-C, pg_cancel_backend and statement_timeout of
# the caller, pg_cancel_backend and pg_terminate_backend of the worker. Each leaves an attempt with its
# reason and no worker, and the next run repairs the index and finishes.

use strict;
use warnings;

use TapmigStepwise;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');

sql_try($node, 'CREATE TABLE t AS SELECT g AS a FROM generate_series(1, 100) g');
sql_try($node, 'CREATE TABLE done (what text)');

sub script
{
	return "INSERT INTO done VALUES ('$_[0] 1');\nCREATE INDEX CONCURRENTLY $_[0]_idx ON t (a);\nINSERT INTO done VALUES ('$_[0] 2');\n";
}

# Stops the run of a version in mid-build with the code given, and checks what
# is left, and that it is finished by the next.
sub stopped
{
	my ($what, $version, $outcome, $sqlstate, $like, $stop, %opt) = @_;
	my $holder  = holder($node);
	my $session = session($node, %opt);

	start_run($session, $version, script($what));
	ok(wait_build($node), "$what: a build waits");
	my $worker = worker_pid($node);
	$stop->($session, $worker);
	my $r = $session->finish(60);
	is_error($r, $sqlstate, $like, "$what: the caller gets the reason");
	is(sql_value($node, "SELECT count(*) FROM pg_stat_activity WHERE $a_worker"), 0, "$what: no worker is left when it has");
	is(sql_value($node, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"), 0, "$what: nor its lock");

	my $attempt = attempt($node, $version);
	is("$attempt->{outcome} $attempt->{sqlstate} $attempt->{steps_done}", "$outcome $sqlstate 1", "$what: the attempt says so");
	like($attempt->{message}, $like, "$what: with the reason");
	ok(defined $attempt->{finished_at}, "$what: and the time");
	is(valid($node, "${what}_idx"), 'f', "$what: an invalid index is left");
	is(sql_value($node, "SELECT tapmig.is_applied('$version')"), 'f', "$what: the version is not in force");

	$holder->close;
	$r = run($node, $version, script($what));
	is($r->{value}, 'applied', "$what: the next run finishes") or diag explain $r;
	like(join("\n", @{ $r->{notices} }), qr/goes on with step 2 of 3/, "$what: from the step that was stopped");
	is(valid($node, "${what}_idx"), 't', "$what: the index is valid");
	is(rows_of($node, "SELECT what FROM done WHERE what LIKE '$what %' ORDER BY 1"), "$what 1\n$what 2", "$what: each step ran once");
	is(attempts($node, $version), "$outcome,applied", "$what: both attempts are recorded");
	$session->close;
}

stopped('cancel', '001_cancel', 'interrupted', '57014', qr/canceling statement due to user request/,
	sub { $_[0]->cancel });
stopped('cancel_backend', '002_cancel_backend', 'interrupted', '57014', qr/canceling statement due to user request/,
	sub { my $pid = $_[0]->pid; sql_try($node, "SELECT pg_cancel_backend($pid)") });
stopped('worker_cancel', '003_worker_cancel', 'interrupted', '57014', qr/canceling statement due to user request/,
	sub { sql_try($node, "SELECT pg_cancel_backend($_[1])") });
stopped('worker_terminate', '004_worker_terminate', 'interrupted', '57P01', qr/terminating/,
	sub { sql_try($node, "SELECT pg_terminate_backend($_[1])") });
stopped('timeout', '005_timeout', 'interrupted', '57014', qr/canceling statement due to statement timeout/,
	sub { }, options => '-c statement_timeout=10s');

# A statement_timeout that the script sets itself is the statement's.
{
	my $holder = holder($node);
	my $script = "SET statement_timeout = '700ms';\nCREATE INDEX CONCURRENTLY own_idx ON t (a);\n";
	my $r = run($node, '006_own', $script);
	is_error($r, '57014', qr/statement timeout/, "the script's own statement_timeout ends its build");
	like($r->{context}, qr/migration 006_own, statement 2 of 2, line 2/, 'the error names the statement');
	is(attempt($node, '006_own')->{line}, 2, 'so does the attempt');
	ok(no_worker($node), 'no worker is left');
	$holder->close;
	is(run($node, '006_own', $script)->{value}, 'applied', 'the next run finishes');
	is(valid($node, 'own_idx'), 't', 'the index is valid');
}

# Ctrl-C on the runner
{
	my $dir    = migrations_dir({ '007_int.sql' => script('runner'), '008_after.sql' => "INSERT INTO done VALUES ('after');\n" });
	my $holder = holder($node);
	my $runner = start_tapmig($node, [ 'up', '--dir', $dir ]);
	ok(wait_build($node), 'runner: a build waits');
	$runner->signal('INT');
	my ($exit, $out, $err) = $runner->finish(60);
	is($exit, 130, 'runner: exit code 130') or diag $err;
	is($out, '', 'runner: nothing is said to be applied');
	ok(no_worker($node), 'runner: no worker is left');

	# The runner doesn't wait for its backend, which writes this behind the worker's end.
	ok(wait_until($node, "SELECT outcome <> 'running' FROM tapmig.attempts WHERE version = '007' ORDER BY id DESC LIMIT 1"),
		'runner: the attempt has ended');
	is(attempt($node, '007_int')->{outcome}, 'interrupted', 'runner: the attempt was interrupted');
	($exit, $out, $err) = run_tapmig($node, [ 'status', '--dir', $dir ]);
	is($exit, 6, 'status: something is to be done');
	like($out, qr/^007\s+int\s+interrupted/m, 'status names it interrupted');
	$holder->close;
	($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir ]);
	is($exit, 0, 'runner: the next up goes on') or diag $err;
	is($out =~ s/\(\d+ ms\)//gr, "applied 007_int \napplied 008_after \n", 'runner: and ends');
	is(valid($node, 'runner_idx'), 't', 'runner: the index is valid');
}

# TERM: the build goes on
{
	my $dir    = migrations_dir({ '009_term.sql' => script('term') });
	my $holder = holder($node);
	my $runner = start_tapmig($node, [ 'up', '--dir', $dir ]);
	ok(wait_build($node), 'TERM: a build waits');
	my $worker = worker_pid($node);
	$runner->signal('TERM');
	my ($exit, $out, $err) = $runner->finish(60);
	is($exit, 143, 'TERM: exit code 143');
	is(worker_pid($node), $worker, 'TERM: the worker goes on');

	# Another one waits for it.
	$runner = start_tapmig($node, [ 'up', '--dir', $dir ]);
	ok(wait_until($node, "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'CALL tapmig.run(%' AND wait_event = 'Extension' AND pid NOT IN (SELECT pid FROM pg_stat_activity WHERE $a_worker)"),
		'TERM: the next up waits');
	$holder->close;
	($exit, $out, $err) = $runner->finish(60);
	is($exit, 0, 'TERM: and ends well') or diag $err;
	is(valid($node, 'term_idx'), 't', 'TERM: the index is valid');
	is(attempts($node, '009_term'), 'applied', 'TERM: built once');
}

is(rows_of($node, 'SELECT * FROM tapmig.verify()'), '', 'the ledger is in order');
# While it reads a script of very many steps, too.
{
	my $s = session($node);

	sql_try($node, 'CREATE TABLE many (a int)');
	start_run($s, 900, "VACUUM many;\n" x 250_000);
	ok(wait_until($node, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE $a_worker AND now() > backend_start + interval '3 s')"), 'a worker reads many steps');
	$s->cancel;
	is_error($s->finish(10), '57014', undef, 'a cancel ends it in the middle');
	ok(no_worker($node), 'and its worker');
}

# Where even that cannot be recorded, the caller gets the reason all the same, and can
# be cancelled again.
{
	my $holder  = holder($node);
	my $session = session($node);

	start_run($session, '020_unrecorded', script('unrecorded'));
	ok(wait_build($node), 'unrecorded: a build waits');
	sql_try($node, 'ALTER TABLE tapmig.attempts RENAME TO away');
	$session->cancel;
	my $r = $session->finish(60);
	is_error($r, '57014', qr/canceling statement due to user request/, 'unrecorded: the caller gets the reason');
	like(join("\n", @{ $r->{notices} }), qr/^WARNING: +the failed attempt could not be recorded: relation "tapmig.attempts" does not exist$/m, 'unrecorded: and what else went wrong');
	$session->start('SELECT pg_sleep(60)');
	ok(wait_event($node, $session->pid, 'PgSleep'), 'unrecorded: its session waits');
	$session->cancel;
	is_error($session->finish(30), '57014', undef, 'unrecorded: and hears of a cancel');
	sql_try($node, 'ALTER TABLE tapmig.away RENAME TO attempts');
	$holder->close;
}

done_testing();
