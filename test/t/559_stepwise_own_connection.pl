# A step that waits for itself through dblink or postgres_fdw, back to its own
# cluster, ends with 40P01: no deadlock detector sees that ring. A connection that
# waits for somebody else is an ordinary wait.

use strict;
use warnings;

use TapmigStepwise;
use TapmigTest;
use Test::More;

my $node   = tapmig_node('main', conf => "autovacuum = off\nmax_worker_processes = 16\n");
my $caller = session($node);
my $self   = quoted($node->connstr('postgres'));

sub dblink { return 'SELECT dblink_exec(' . $self . ', ' . quoted($_[0]) . ')'; }

sql_value($node, $_) for 'CREATE EXTENSION dblink', 'CREATE EXTENSION postgres_fdw', 'CREATE TABLE item (id int)',
  'CREATE SERVER back FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host ' . quoted($node->host) . ', port ' . quoted($node->port) . q{, dbname 'postgres')},
  'CREATE USER MAPPING FOR CURRENT_USER SERVER back',
  q{CREATE FOREIGN TABLE item_back (id int) SERVER back OPTIONS (table_name 'item')};

# Each fails, with nobody left behind, and works where it can once mended.
my $version = 100;
for my $case (
	[ 'dblink: a lock on a table',   'ALTER TABLE item ADD a int', dblink('INSERT INTO item VALUES (1)'),    dblink('SET work_mem = 4096') ],
	[ 'dblink: an advisory lock',    'SELECT pg_advisory_lock(1)', dblink('SELECT pg_advisory_lock(1)'),     dblink('SET work_mem = 4096') ],
	[ 'dblink: an index build',      'UPDATE item SET id = 1',     dblink('CREATE INDEX CONCURRENTLY item_id ON item (id)'), dblink('SET work_mem = 4096') ],
	[ 'postgres_fdw: a table',       'LOCK TABLE item',            'INSERT INTO item_back VALUES (1)',       'SELECT 1' ])
{
	my ($name, $lock, $wait, $mended) = @$case;

	$version++;
	my $r = run($node, $version, "VACUUM item;\n$lock;\n$wait;");
	is_error($r, '40P01', qr/^the statement waits for itself, through another connection to this server$/, $name);
	like($r->{context}, qr/^migration $version, statement 3 of 3, line 3: /m, "$name: the place");
	ok(no_worker($node), "$name: no worker is left");
	my $attempt = attempt($node, $version);
	is("$attempt->{outcome} $attempt->{sqlstate} $attempt->{steps_done}", 'failed 40P01 1', "$name: the attempt");
	like($attempt->{detail}, qr/^Process $attempt->{pid} runs it and waits for the answer of process \d+, its own connection; that waits for a lock which process $attempt->{pid} holds\.$/, "$name: its detail");
	ok(wait_until($node, q{SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'tapmig worker%'}), "$name: nor its connection");
	is(run($node, $version, "VACUUM item;\n$lock;\n$mended;")->{value}, 'applied', "$name: mended");
}

# The other way round: the step waits, without a lock_timeout, for a connection that
# has a transaction of its own. With one it ends by that.
sql_value($node, 'CREATE TABLE mine (id int)');
my $connect = "SELECT dblink_connect('c', $self);\nSELECT dblink_exec('c', 'BEGIN');\nSELECT dblink_exec('c', 'INSERT INTO mine VALUES (1)')";
for my $case ([ 'an index build', 'CREATE INDEX CONCURRENTLY mine_id ON mine (id)' ],
	[ 'a lock on a table', 'SET lock_timeout = 0; LOCK TABLE mine' ])
{
	my ($name, $wait) = @$case;

	$version++;
	my $r = run($node, $version, "VACUUM item;\n$connect;\nVACUUM item;\n$wait;");
	is_error($r, '40P01', qr/^the statement waits for itself, through another connection to this server$/, "$name: behind its own connection");
	my $attempt = attempt($node, $version);
	like($attempt->{detail}, qr/^Process $attempt->{pid} runs it and waits for a lock of process \d+, its own connection; that is idle in a transaction\.$/, "$name: its detail");
	is("$attempt->{outcome} $attempt->{sqlstate}", 'failed 40P01', "$name: the attempt");
	ok(no_worker($node), "$name: no worker is left");

	# As the hint says
	like($r->{hint}, qr/^End that connection's transaction .*tapmig\.abandon begins at step 1 again/, "$name: the hint");
	sql_value($node, "SELECT tapmig.abandon('$version', 'the transaction is ended now')");
	is(run($node, $version, "VACUUM item;\n$connect;\nSELECT dblink_exec('c', 'COMMIT');\nSELECT dblink_disconnect('c');\nVACUUM item;\n$wait;")->{value}, 'applied', "$name: mended");
}
is(sql_value($node, 'SELECT count(*) FROM mine'), 2, 'what the connections wrote is there');

# Behind somebody else's lock
my $other = session($node);
$other->try($_) for 'BEGIN', 'LOCK TABLE item';
start_run($caller, '200', "VACUUM pg_class;\nSELECT count(*) FROM pg_class;\n" . dblink('INSERT INTO item VALUES (2)') . ';');
ok(wait_until($node, q{SELECT count(*) = 1 FROM tapmig.running WHERE version = '200' AND waits_for_pid = } . $other->pid), 'tapmig.running says whom the connection waits for');
ok(wait_until($node, q{SELECT clock_timestamp() - query_start > '3 s' FROM pg_stat_activity WHERE application_name LIKE 'tapmig worker%'}), 'it goes on waiting');
$other->close;
is($caller->finish->{value}, 'applied', 'and is applied');
is(sql_value($node, 'SELECT count(*) FROM item WHERE id = 2'), 1, 'with its row');

# The caller is gone, and whom the connection waits for then waits for the step.
$other = session($node);
$other->try($_) for 'CREATE TABLE ring (id int PRIMARY KEY)', 'INSERT INTO ring VALUES (1)', 'BEGIN', 'UPDATE ring SET id = id';
start_run($caller, '201', "VACUUM ring;\nSELECT pg_advisory_xact_lock(2);\n" . dblink('UPDATE ring SET id = id') . ';');
ok(wait_until($node, q{SELECT count(*) = 1 FROM tapmig.running WHERE version = '201' AND waits_for_pid = } . $other->pid), 'its connection waits for a transaction');
sql_value($node, 'SELECT pg_terminate_backend(' . $caller->pid . ')');
ok(wait_gone($node, $caller->pid), 'the caller is gone');
$other->start('SELECT pg_advisory_xact_lock(2)');
ok(no_worker($node), 'the worker ends by itself');
is(attempt($node, '201')->{sqlstate}, '40P01', 'without a caller, three in a ring');
is($other->finish->{ok}, 1, 'that transaction goes on');
$other->close;

# One connection waits for the step, which waits for another one's answer.
{
	my $gate = session($node);
	my $run  = session($node);
	my $row  = q{AS t (x text)};

	$gate->try('SELECT pg_advisory_lock(3)');
	start_run($run, '202', "VACUUM item;\nSELECT dblink_connect(name, $self) FROM unnest(ARRAY['one', 'two']) name;\nLOCK TABLE item;\n"
		. "SELECT dblink_send_query('one', 'INSERT INTO item VALUES (202)');\nSELECT * FROM dblink('two', 'SELECT pg_advisory_lock(3)::text') $row;\n"
		. "COMMIT;\nSELECT * FROM dblink_get_result('one') $row;");
	ok(wait_until($node, q{SELECT count(*) = 2 AND min(clock_timestamp() - query_start) > '3 s' FROM pg_stat_activity
		WHERE application_name LIKE 'tapmig worker%' AND wait_event_type = 'Lock'}), 'both of its connections wait');
	$gate->close;
	is($run->finish->{value}, 'applied', 'the one that it does not wait for is left alone');
	is(sql_value($node, 'SELECT count(*) FROM item WHERE id = 202'), 1, 'and has done its work');
}

# Somebody who has the name of such a connection, as far as he can know it, is waited
# for like others.
{
	my $run = session($node);

	sql_value($node, 'CREATE ROLE app LOGIN');
	my $app = holder($node, user => 'app');
	start_run($run, '203', 'CREATE INDEX CONCURRENTLY item_mine ON item (id)');
	my $pid = worker_pid($node);
	is($app->try("SET application_name = 'tapmig worker $pid'")->{ok}, 1, 'a session says that it is the worker\'s own');
	ok(wait_until($node, "SELECT clock_timestamp() - query_start > '3 s' AND wait_event = 'virtualxid' FROM pg_stat_activity WHERE pid = $pid", timeout => 20),
		'the build waits for it');
	$app->close;
	my $r = $run->finish;
	is($r->{value}, 'applied', 'and ends behind it') or diag $r->{message};
}

# What another server refuses says nothing of the script's own shape.
for my $sql ('BEGIN; VACUUM item', "DO 'BEGIN COMMIT; END'; SELECT 1")
{
	for my $how (dblink($sql), "DO \$do\$BEGIN PERFORM dblink_exec($self, " . quoted($sql) . '); END$do$')
	{
		my $r = run($node, 204, "INSERT INTO item VALUES (204);\n$how;");
		is_error($r, $sql =~ /VACUUM/ ? '25001' : '2D000', undef, "the other end refuses $sql");
		is(sql_value($node, 'SELECT count(*) FROM item WHERE id = 204'), 0, 'and the script is rolled back');
	}
}

done_testing();
