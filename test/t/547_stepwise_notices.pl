# In a long step the caller gets a NOTICE every ten seconds, whatever the step
# does: where it is, how far, and whom it waits for. All of them at once, on
# tracks of their own, since those ten seconds are real.

use strict;
use warnings;

use Time::HiRes ();
use TapmigStepwise;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main', conf => "autovacuum = off\nmax_worker_processes = 16\nmax_prepared_transactions = 1\n");

# A reader of t and u, idle in transaction, and somebody who wants to write
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t AS SELECT g AS a FROM generate_series(1, 100) g;
CREATE INDEX t_a ON t (a);
CREATE TABLE u AS SELECT g AS a FROM generate_series(1, 100) g;
CREATE TABLE big AS SELECT g AS a, repeat('x', 500) AS b FROM generate_series(1, 20000) g;
DELETE FROM big WHERE a % 2 = 0;
CREATE TABLE quick (a int);
SQL
my $reader = session($node);
$reader->try($_) for 'SET application_name = a_reader', 'BEGIN', 'SELECT * FROM t', 'SELECT * FROM u';
my $pid = $reader->pid;

# A vacuum that takes its time; others that wait for the reader
my %script = (
	vacuum_full => 'VACUUM FULL u',
	drop_index  => 'DROP INDEX CONCURRENTLY t_a',
	build       => 'CREATE INDEX CONCURRENTLY big_a ON big (a)',
	prepared    => 'CREATE INDEX CONCURRENTLY big_a ON big (a)',
	vacuum      => "SET vacuum_cost_delay = '50ms';\nSET vacuum_cost_limit = 1;\nVACUUM big",
	reindex     => 'REINDEX SCHEMA CONCURRENTLY other',
);

# Builds would wait for the other workers: each has a database of its own.
my (%db, %holder);
for my $name ('build', 'prepared', 'reindex')
{
	$db{$name} = tapmig_database($node, $name);
	$node->safe_psql($db{$name}, 'CREATE TABLE big AS SELECT 1 AS a; CREATE SCHEMA other; CREATE TABLE other.o (a int); CREATE INDEX o_a ON other.o (a)');
	next if $name eq 'prepared';
	$holder{$name} = holder($node, dbname => $db{$name});
	$holder{$name}->try('SET application_name = a_holder');
}

my %session;
for my $name (sort keys %script)
{
	$session{$name} = session($node, dbname => $db{$name});
	$session{$name}->try('SET tapmig.lock_timeout = 0');

	# In the backend slot of what it waits for
	$session{$name}->try($_) for $name eq 'prepared' ? ('BEGIN', 'INSERT INTO big VALUES (2)', 'PREPARE TRANSACTION \'p\'') : ();
	$session{$name}->start('CALL tapmig.run($1, $2, track => $3)', bind => [ '001_it', $script{$name}, $name ]);
}

# A session that has the lock which its own migration wants
my $own = session($node);
$own->try($_) for 'SET tapmig.lock_timeout = 0', 'SELECT pg_advisory_lock(547)';
$own->start('CALL tapmig.run($1, $2, track => $3)', bind => [ '001_it', "VACUUM quick;\nSELECT pg_advisory_xact_lock(547)", 'own' ]);

sub noticed
{
	my ($name) = @_;

	for (1 .. 3000)
	{
		last unless $session{$name}->busy;
		return $_ for grep { /is under way/ } @{ $session{$name}{notices} };
		Time::HiRes::usleep(10_000);
	}
	return join "\n", 'none', @{ $session{$name}{notices} };
}
my $since = qr/in a transaction since \d{4}-\d\d-\d\d \d\d:\d\d/;

like(noticed('vacuum_full'), qr{^NOTICE:  migration 001_it is under way: tapmig vacuum_full/001_it: statement 1 of 1; it waits for process $pid \(application "a_reader"\), $since},
	'VACUUM FULL: whom it waits for');
like(noticed('drop_index'), qr{statement 1 of 1; it waits for process $pid \(application "a_reader"\), $since}, 'DROP INDEX CONCURRENTLY: whom it waits for');
for my $name ('build', 'reindex')
{
	my $holder_pid = $holder{$name}->pid;
	like(noticed($name), qr{statement 1 of 1: waiting for old snapshots.*; it waits for process $holder_pid \(application "a_holder"\), $since}, "$name: its phase, and whom it waits for");
}
like(noticed('prepared'), qr{waiting for writers before the build; it waits for a prepared transaction \(pg_prepared_xacts shows it\)$},
	'a prepared transaction: no process is waited for');
like(noticed('vacuum'), qr{statement 3 of 3: scanning heap, \d+ of \d{4} blocks$}, 'VACUUM: its phase, and how far it is');

my $r = $own->finish;
is_error($r, '40P01', qr/^migration 001_it waits for a lock that this session holds$/, 'no wait for oneself');
like($r->{hint}, qr/pg_advisory_unlock_all/, 'and what to do');
is(rows_of($node, "SELECT outcome, sqlstate, steps_done FROM tapmig.attempts WHERE track = 'own'"), 'interrupted|40P01|1', 'it is recorded');
$own->try($_) for 'SELECT pg_advisory_unlock_all()', 'SELECT pg_advisory_lock(547)', "SET tapmig.lock_timeout = '50ms'";
$r = $own->try(q{CALL tapmig.run('001_it', 'VACUUM quick; SELECT pg_advisory_xact_lock(547)', track => 'own')});
is_error($r, 'TM005', qr/^migration 001_it is blocked/, 'with a lock_timeout it ends at its first expiry');
like($r->{hint}, qr/The session that called it holds the lock/, 'and says why');
is(scalar(grep { /try 2 of/ } @{ $r->{notices} }), 0, 'without another try');
$own->try('SELECT pg_advisory_unlock_all()');
is($own->try(q{CALL tapmig.run('001_it', 'VACUUM quick; SELECT pg_advisory_xact_lock(547)', track => 'own')})->{value}, 'applied', 'the advice works');

# The same as tapmig.running says
is(rows_of($node, "SELECT track, waits_for_pid = $pid, waits_for_application FROM tapmig.running WHERE track IN ('vacuum_full', 'drop_index') ORDER BY 1"),
	"drop_index|t|a_reader\nvacuum_full|t|a_reader", 'tapmig.running names the same');
is(rows_of($node, "SELECT command, phase, blocks_done BETWEEN 1 AND blocks_total FROM tapmig.running WHERE track = 'vacuum'"), 'VACUUM|scanning heap|t', 'and how far the vacuum is');

$_->close for $reader, values %holder;
$node->safe_psql('prepared', "COMMIT PREPARED 'p'");
is($session{$_}->finish->{value}, 'applied', "$_: ends well") for qw(vacuum_full drop_index build prepared reindex);
$session{vacuum}->cancel;
is_error($session{vacuum}->finish, '57014', undef, 'the vacuum is cancelled');

done_testing();
