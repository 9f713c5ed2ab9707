# The word on how an attempt ended is written, whatever comes while it is; and a
# worker whose caller is gone before it began says so in the server's log.

use strict;
use warnings;

use TapmigStepwise;
use TapmigTest;
use Test::More;
use Time::HiRes ();

my $node = tapmig_node('main');
my $postmaster = $node->{_pid};
my $stopped;

# A stopped server would outlive a test that dies.
END { kill 'CONT', $postmaster if $stopped; }

sql_try($node, 'CREATE TABLE t (a int); CREATE TABLE gate ();');

# A script that fails in its last step, once the gate is empty, while the ledger
# is locked, so that its end waits to be recorded. $while is called then.
sub failing
{
	my ($what, $version, $while, $expected) = @_;
	my $session = session($node);
	my $locker  = session($node);

	sql_try($node, 'INSERT INTO gate DEFAULT VALUES');
	start_run($session, $version, "SET lock_timeout = '1s';\nVACUUM t;\n"
		  . "DO \$\$BEGIN WHILE EXISTS (SELECT FROM gate) LOOP PERFORM pg_sleep(0.01); END LOOP; END\$\$;\nSELECT 1 / 0;\n");
	my $worker = worker_pid($node);
	ok(wait_event($node, $worker, 'PgSleep'), "$what: the worker is at the gate");
	$locker->try($_) for 'BEGIN', 'LOCK TABLE tapmig.attempts IN SHARE MODE';
	sql_try($node, 'DELETE FROM gate');
	ok(wait_blocked($node, $worker), "$what: the record of its end waits");
	$while->($worker);
	$locker->try('ROLLBACK');

	my $r = $session->finish(60);
	is_error($r, '22012', qr/\Adivision by zero\z/, "$what: the caller gets the script's error");
	is(rows_of($node, "SELECT outcome, sqlstate, message, line, steps_done FROM tapmig.attempts WHERE version = '$version'"),
		$expected // 'failed|22012|division by zero|4|2', "$what: the attempt has it");
	ok(no_worker($node), "$what: no worker is left");
	return $r;
}

failing('a cancel', '001', sub { sql_try($node, "SELECT pg_cancel_backend($_[0])") });
failing('two cancels', '002', sub { sql_try($node, "SELECT pg_cancel_backend($_[0])") for 1, 2 });
failing('lock_timeout', '003', sub {
	ok(wait_until($node, "SELECT coalesce((SELECT clock_timestamp() - waitstart > '1500ms' FROM pg_locks WHERE pid = $_[0] AND NOT granted), true)"),
		'lock_timeout: longer than that');
});

# What cannot be recorded does not hide the script's error.
sql_try($node, <<'SQL');
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
	$$BEGIN IF NEW.outcome = 'failed' THEN RAISE 'no room'; END IF; RETURN NEW; END$$;
CREATE TRIGGER zz_refuse BEFORE UPDATE ON tapmig.attempts FOR EACH ROW EXECUTE FUNCTION refuse();
SQL
my $r = failing('an error in it', '004', sub { }, 'interrupted|22012|division by zero||2');
ok(scalar(grep { /^WARNING:  the end of the attempt could not be recorded: no room/ } @{ $r->{notices} }), 'an error in it: a WARNING says so')
  or diag explain $r->{notices};
sql_try($node, 'DROP TRIGGER zz_refuse ON tapmig.attempts');

# The caller ends before its worker has begun: the server that would start it
# is stopped meanwhile.
my $session = session($node);
my $watch   = session($node);
my $caller  = $session->pid;
my $offset  = -s $node->logfile;

$watch->try('SELECT 1');
sql_try($node, 'SELECT 1');
kill 'STOP', $postmaster or die "SIGSTOP: $!";
$stopped = 1;
start_run($session, '005', "VACUUM t;\n");

# Over a session that is there: a new one would wait for the server.
sub until_seen
{
	my ($sql) = @_;
	my $deadline = Time::HiRes::time() + 60;

	while (Time::HiRes::time() < $deadline)
	{
		return 1 if ($watch->try($sql)->{value} // '') eq 't';
		Time::HiRes::usleep(20_000);
	}
	return 0;
}
ok(until_seen("SELECT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $caller AND wait_event = 'Extension')"), 'the caller waits for its worker');
$watch->try("SELECT pg_terminate_backend($caller)");
ok(until_seen("SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $caller)"), 'it is terminated');
kill 'CONT', $postmaster or die "SIGCONT: $!";
$stopped = 0;

my $said = qr/LOG:  tapmig worker for PID $caller found nothing to run: its caller ended before it began/;
my $deadline = Time::HiRes::time() + 60;
Time::HiRes::usleep(20_000)
  while substr(read_file($node->logfile), $offset) !~ $said && Time::HiRes::time() < $deadline;
like(substr(read_file($node->logfile), $offset), $said, 'the worker says in the log why it ended');
ok(no_worker($node), 'no worker is left');
is(attempts($node, '005'), undef, 'there is no attempt');
is(run($node, '005', "VACUUM t;\n")->{value}, 'applied', 'the next run applies it');

is(rows_of($node, 'SELECT * FROM tapmig.verify()'), '', 'the ledger is in order');
done_testing();
