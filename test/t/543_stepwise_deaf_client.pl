# A client that is stopped and reads nothing, while its worker sends far more
# than the queue and the socket hold: the worker gives the client up after a
# minute, ends, and records what it did. All of it at once, on tracks of their
# own, since that minute is real; the file takes a little longer than it.

use strict;
use warnings;

use IPC::Run    ();
use Time::HiRes ();
use TapmigStepwise;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main', conf => "log_min_messages = fatal\nmax_worker_processes = 16\n");
my %client;

# A stopped client would outlive a test that dies.
END { local $?; $_->{h}->kill_kill(grace => 1) for grep { defined $_->{h} } values %client; }

$node->safe_psql('postgres', 'CREATE TABLE t AS SELECT g AS a FROM generate_series(1, 100) g; CREATE TABLE done (what text)');

my $flood = "DO \$\$BEGIN COMMIT; FOR i IN 1..100000 LOOP RAISE NOTICE 'notice % of very many', i; END LOOP; END\$\$;\n";
my %script = (
	block         => "INSERT INTO done VALUES ('block 1');\n${flood}INSERT INTO done VALUES ('block 3');\n",
	transactional => "VACUUM t;\n" . ($flood =~ s/COMMIT; //r) . "INSERT INTO done VALUES ('transactional 2');\nCREATE INDEX CONCURRENTLY t_a ON t (a);\n",
	error         => "INSERT INTO done VALUES ('error 1');\n${flood}SELECT 1 / a FROM (VALUES (0)) v (a);\n",
	killed        => "${flood}INSERT INTO done VALUES ('killed 2');\n",
	terminated    => "${flood}INSERT INTO done VALUES ('terminated 2');\n",
	worker        => "INSERT INTO done VALUES ('worker 1');\n${flood}INSERT INTO done VALUES ('worker 3');\n",
);

sub of_attempt { return rows_of($node, "SELECT outcome, sqlstate, steps_done, steps FROM tapmig.attempts WHERE track = '$_[0]' ORDER BY id"); }

# psql, which is stopped once it has read something.
for my $name (sort keys %script)
{
	my $c = $client{$name} = { out => '', err => scratch_dir() . '/err' };
	my $sql = "CALL tapmig.run('1', " . quoted($script{$name}) . ", track => '$name')";

	# For psql alone: a session of the test's of that name would be taken for it.
	{
		local %ENV = $node->_get_env(PGDATABASE => 'postgres', PGAPPNAME => "client $name");
		$c->{h} = IPC::Run::start([ 'psql', '-XqAt', '-c', $sql ], '<', '/dev/null', '>', \$c->{out}, '2>', $c->{err}, IPC::Run::timeout(300));
	}
	ok(wait_until($node, "SELECT EXISTS (SELECT FROM tapmig.attempts WHERE track = '$name')"), "$name: the worker is there");
	$c->{h}->signal('STOP');
}
my $started = Time::HiRes::time();
for my $name (sort keys %script)
{
	my $c = $client{$name};

	ok(wait_until($node, "SELECT EXISTS (SELECT FROM pg_stat_activity c, pg_stat_activity w, tapmig.attempts a WHERE c.application_name = 'client $name' AND c.wait_event = 'ClientWrite' AND w.pid = a.pid AND a.track = '$name' AND w.wait_event = 'Extension')"),
		"$name: socket and queue are full");
	$c->{pid} = sql_value($node, "SELECT pid FROM pg_stat_activity WHERE application_name = 'client $name' AND backend_type = 'client backend'");
	$c->{worker} = sql_value($node, "SELECT pid FROM tapmig.attempts WHERE track = '$name'");
}

# Whoever runs it meanwhile waits for the worker's end.
my $waiter = session($node);
$waiter->start('CALL tapmig.run($1, $2, track => $3)', bind => [ '1', $script{block}, 'block' ]);
ok(wait_event($node, $waiter->pid, 'Extension'), 'block: another run waits');

# These need not wait: the caller is gone, so nobody is left to be waited for.
(delete $client{killed}{h})->kill_kill(grace => 0);
ok(wait_until($node, "SELECT tapmig.is_applied('1', 'killed')", timeout => 30), 'killed: the worker goes on at once');
sql_try($node, "SELECT pg_terminate_backend($client{terminated}{pid})");
ok(wait_until($node, "SELECT tapmig.is_applied('1', 'terminated')", timeout => 30), 'terminated: the worker goes on at once');
is(of_attempt($_), 'applied||2|2', "$_: the attempt says applied") for 'killed', 'terminated';

# Nor does a worker that is told to end.
sql_try($node, "SELECT pg_terminate_backend($client{worker}{worker})");
ok(wait_gone($node, $client{worker}{worker}), 'worker: it ends when it is told to, queue or not');
is(rows_of($node, "SELECT state, action FROM tapmig.plan(ARRAY['1'], track => 'worker')"), 'interrupted|resume', 'worker: the plan says so');

is(sql_value($node, "SELECT count(*) FROM pg_stat_activity WHERE $a_worker"), 3, 'three are left that wait');
cmp_ok(Time::HiRes::time() - $started, '<', 55, 'well before their minute is over');

# The others after their minute
for my $name ('block', 'transactional')
{
	ok(wait_until($node, "SELECT tapmig.is_applied('1', '$name')", timeout => 120), "$name: the ledger has the version");
	ok(wait_gone($node, $client{$name}{worker}), "$name: the worker ends");
}
ok(wait_gone($node, $client{error}{worker}), 'error: the worker ends');
cmp_ok(Time::HiRes::time() - $started, '>', 50, 'not before their minute is over');
is(of_attempt('block'), 'applied||3|3', 'block: the attempt says applied');
is(of_attempt('transactional'), 'applied||3|3', 'transactional: the attempt says applied');
is(of_attempt('error'), 'failed|22012|2|3', 'error: the attempt has the error');
is(valid($node, 't_a'), 't', 'transactional: the index is valid');
is($waiter->finish(60)->{value}, 'skipped', 'block: the other run is told so');
is(sql_value($node, "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'client %' AND wait_event = 'ClientWrite'"), 4,
	'the callers still wait for their clients');

# Gone on with, a client gets what was sent before it was given up, and the end.
sub went_on
{
	my ($name) = @_;
	my $c = $client{$name};

	$c->{h}->signal('CONT');
	$c->{h}->finish;
	delete $c->{h};
	my @numbers = read_file($c->{err}) =~ /^NOTICE:  notice (\d+) of very many$/mg;
	cmp_ok(scalar @numbers, '<', 100_000, "$name: not every NOTICE came");
	is(join(',', @numbers), join(',', 1 .. @numbers), "$name: those that came are the first ones");
	return $c->{out};
}
like(went_on($_), qr/^applied$/m, "$_: the client is told the outcome") for 'block', 'transactional';
unlike(went_on('error'), qr/applied/, 'error: the client is not told that it was applied');
like(read_file($client{error}{err}), qr/^ERROR:  .*tapmig\.attempts/ms, 'error: but where the reason stands');
unlike(went_on('worker'), qr/applied/, 'worker: nor this one');
unlike(went_on('terminated'), qr/applied/, 'terminated: nor this one, whose connection is gone');
like(attempts($node, '1'), qr/^[a-z,]+$/, 'all attempts have an outcome');
is(sql_value($node, "SELECT count(*) FROM tapmig.attempts WHERE outcome = 'running'"), 0, 'no attempt is left as running');

# Resumed, and each step ran once.
is(run($node, '1', $script{worker}, track => 'worker')->{value}, 'applied', 'worker: the next run ends well');
is(rows_of($node, 'SELECT what FROM done ORDER BY 1'),
	"block 1\nblock 3\nerror 1\nkilled 2\nterminated 2\ntransactional 2\nworker 1\nworker 3", 'each step ran once');
ok(no_worker($node), 'no worker is left');
is(rows_of($node, 'SELECT * FROM tapmig.verify()'), '', 'the ledger is in order');
done_testing();
