# The client goes in mid-build: killed, terminated, stopped. The worker goes on
# to the end, and the next up has nothing to do.

use strict;
use warnings;

use IPC::Run ();
use TapmigStepwise;
use TapmigTest;
use Test::More;

my $stopped;
my $node = tapmig_node('main');

# A stopped client would outlive a test that dies.
END { $stopped->kill_kill(grace => 1) if $stopped; }

sql_try($node, 'CREATE TABLE t AS SELECT g AS a, g AS b, g AS c, g AS d FROM generate_series(1, 100) g');

# psql in the background that runs the migrations of a directory, as an operator
# would; the handle, its backend's pid and the directory.
sub begin_psql
{
	my ($version, $script) = @_;
	my $dir = migrations_dir({ "$version.sql" => $script });
	my ($out, $err) = ('', '');

	my $h;
	{
		local %ENV = $node->_get_env(PGDATABASE => 'postgres', PGAPPNAME => "client $version");
		$h = IPC::Run::start([ 'psql', '-XqAt', '-c', "CALL tapmig.run('$version', " . quoted($script) . ')' ],
			'<', '/dev/null', '>', \$out, '2>', \$err, IPC::Run::timeout(120));
	}
	ok(wait_build($node), "$version: a build waits for an old snapshot");
	my $pid = sql_value($node, "SELECT pid FROM pg_stat_activity WHERE application_name = 'client $version' AND backend_type = 'client backend'");
	return ($h, $pid, $dir);
}

sub went_on
{
	my ($version, $index, $dir) = @_;

	is(sql_value($node, "SELECT count(*) FROM pg_stat_activity WHERE $a_worker"), 1, "$version: the worker goes on");
	is(valid($node, $index), 'f', "$version: the index is not yet valid");
	is(sql_value($node, "SELECT tapmig.is_applied('$version')"), 'f', "$version: nor is the version in the ledger");
}

sub ended_well
{
	my ($version, $index, $dir) = @_;

	ok(wait_until($node, "SELECT tapmig.is_applied('$version')"), "$version: the ledger has the version");
	ok(no_worker($node), "$version: the worker ends");
	is(valid($node, $index), 't', "$version: the index is valid");
	is(attempts($node, $version), 'applied', "$version: in one attempt");
	my ($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir ]);
	is("$exit|$out|$err", '0||', "$version: the next up says nothing");
}

sub script { return "CREATE INDEX CONCURRENTLY $_[0] ON t ($_[1]);\nINSERT INTO done VALUES ('$_[0]');\n"; }
sql_try($node, 'CREATE TABLE done (what text)');

# SIGKILL of the client
my $holder = holder($node);
my ($h, $pid, $dir) = begin_psql('001_killed', script('killed_idx', 'a'));
$h->kill_kill(grace => 0);
went_on('001_killed', 'killed_idx');
$holder->close;
ended_well('001_killed', 'killed_idx', $dir);
ok(wait_gone($node, $pid), 'its backend ends too');

# Its backend terminated
$holder = holder($node);
($h, $pid, $dir) = begin_psql('002_terminated', script('terminated_idx', 'b'));
sql_try($node, "SELECT pg_terminate_backend($pid)");
ok(wait_gone($node, $pid), '002_terminated: the backend is gone');
$h->finish;
went_on('002_terminated', 'terminated_idx');
$holder->close;
ended_well('002_terminated', 'terminated_idx', $dir);

# Killed with the connection watched
$node->append_conf('postgresql.conf', "client_connection_check_interval = '100ms'");
$node->reload;
$holder = holder($node);
($h, $pid, $dir) = begin_psql('003_watched', script('watched_idx', 'c'));
$h->kill_kill(grace => 0);
ok(wait_gone($node, $pid), '003_watched: the backend sees that its client is gone');
went_on('003_watched', 'watched_idx');
$holder->close;
ended_well('003_watched', 'watched_idx', $dir);

# SIGSTOP of the client, which then reads nothing. The messages fill neither
# the socket nor the queue.
$holder = holder($node);
($h, $pid, $dir) = begin_psql('004_stopped',
	script('stopped_idx', 'd') . "DO \$\$BEGIN FOR i IN 1..20 LOOP RAISE NOTICE 'notice %', i; END LOOP; COMMIT; END\$\$;\n");
$h->signal('STOP');
$stopped = $h;
went_on('004_stopped', 'stopped_idx');
$holder->close;
ended_well('004_stopped', 'stopped_idx', $dir);
$h->signal('CONT');
$h->finish;
$stopped = undef;

is(rows_of($node, 'SELECT what FROM done ORDER BY 1'), "killed_idx\nstopped_idx\nterminated_idx\nwatched_idx",
	'each script ran to its end once');
is(rows_of($node, 'SELECT * FROM tapmig.verify()'), '', 'the ledger is in order');

done_testing();
