# Waiting for the migration lock: how long, what is said about the holder, and
# that run waits without a snapshot.

use strict;
use warnings;

use TapmigClients;
use TapmigTest;
use Test::More;
use Time::HiRes qw(time);

my $node = tapmig_node('main');

sql_value($node, 'CREATE TABLE t (i int)');
apply($node, '001', 'CREATE TABLE first ()');

my $holder = session($node);
$holder->try('SET application_name = the_holder');
is($holder->try('BEGIN')->{ok}, 1, 'a transaction');
is($holder->try(q{SELECT tapmig.apply('002_held', 'CREATE TABLE held ()')})->{value},
	'applied', 'that holds the lock of its track');
my $holder_pid = $holder->pid;

# Says who holds it each ten seconds, once in fifteen; looked at in the end.
my $slow = session($node);
$slow->try(q{SET tapmig.wait_timeout = '15s'});
my $slow_since = time;
$slow->start(q{CALL tapmig.run('003', 'CREATE TABLE third ()')});

my $pg_stat = sub {
	my ($pid, $what) = @_;
	return sql_value($node, "SELECT $what FROM pg_stat_activity WHERE pid = $pid");
};

# wait_timeout 0
my $s = session($node);
for my $call (
	q{SELECT tapmig.apply('003', 'CREATE TABLE third ()')},
	q{CALL tapmig.run('003', 'CREATE TABLE third ()')},
	q{SELECT tapmig.register('003')})
{
	my ($what) = $call =~ /(apply|run|register)/;

	$s->try('SET tapmig.wait_timeout = 0');
	my $since = time;
	my $r = $s->try($call);
	cmp_ok(time - $since, '<', 5, "$what with wait_timeout 0 comes back at once");
	is_error($r, 'TM004', qr/track "main"/, "$what: TM004");
	like($r->{detail}, qr/\b$holder_pid\b/, "$what: the detail names the holder's process");
	like($r->{detail}, qr/the_holder/, "$what: and its application");
	ok(length($r->{hint} // ''), "$what: says what to do");
}

# By hand: without waiting, whatever wait_timeout says.
$s->try('RESET tapmig.wait_timeout');
my $since = time;
is_error($s->try(q{INSERT INTO tapmig.schema_migrations (version) VALUES ('003')}),
	'TM004', undef, 'an INSERT by hand does not wait');
cmp_ok(time - $since, '<', 5, 'and comes back at once');

# What is applied already does not wait.
is($s->try(q{SELECT tapmig.apply('001', 'CREATE TABLE first ()')})->{value},
	'skipped', 'an applied version is skipped without the lock');
is($s->try(q{CALL tapmig.run('001', 'CREATE TABLE first ()')})->{value},
	'skipped', 'and under run');
is($s->try(q{SELECT tapmig.apply('003', 'CREATE TABLE other_third ()', track => 'other')})->{value},
	'applied', 'another track does not wait');

# A small wait_timeout
for my $call (q{SELECT tapmig.apply('003', 'SELECT 1')}, q{CALL tapmig.run('003', 'SELECT 1')})
{
	$s->try(q{SET tapmig.wait_timeout = '400ms'});
	$since = time;
	is_error($s->try($call), 'TM004', qr/400 ms/, 'TM004 at the end of wait_timeout');
	cmp_ok(time - $since, '>=', 0.4, 'not before');
	cmp_ok(time - $since, '<', 5,   'not long after');
}

# The holder under way in a script: its statement is named.
my $gate = session($node);
$gate->try('SELECT pg_advisory_lock(42)');
my $busy = session($node);
$busy->start(q{CALL tapmig.run('001_slow', 'SELECT 1; SELECT pg_advisory_xact_lock_shared(42); SELECT 3', track => 'gated')});
ok(wait_blocked($node, $busy->pid), 'a script in its second statement');
is($pg_stat->($busy->pid, 'query'), 'tapmig gated/001_slow: statement 2 of 3', 'pg_stat_activity says so');
$s->try('SET tapmig.wait_timeout = 0');
my $r = $s->try(q{CALL tapmig.run('002', 'SELECT 1', track => 'gated')});
is_error($r, 'TM004', qr/track "gated"/, 'TM004 while it runs');
like($r->{detail}, qr{tapmig gated/001_slow: statement 2 of 3}, 'the detail says what it does');
$gate->try('SELECT pg_advisory_unlock(42)');
is($busy->finish->{value}, 'applied', 'it ends');
is($busy->try('SELECT 1')->{value}, 1, 'its session goes on');
isnt($pg_stat->($busy->pid, 'query'), 'tapmig gated/001_slow: statement 3 of 3', 'and shows it no more');

# run waits without a snapshot, so a CONCURRENTLY build does not wait for it.
# apply has one: that shows that this test would see it.
my $waiter = session($node);
$waiter->start(q{SELECT tapmig.apply('003', 'CREATE TABLE third ()')});
ok(wait_event($node, $waiter->pid, 'Extension'), 'apply waits');
is($pg_stat->($waiter->pid, 'backend_xmin IS NULL'), 'f', 'with a snapshot');
my $build = session($node);
$build->start('CREATE INDEX CONCURRENTLY t_i_apply ON t (i)');
ok(wait_until($node,
		'SELECT count(*) = 1 FROM pg_stat_progress_create_index p, '
		  . "unnest(pg_blocking_pids(p.pid)) AS b WHERE p.pid = @{[ $build->pid ]} AND b = @{[ $waiter->pid ]}"),
	'for which a build waits');

# cancel of a waiter
$waiter->cancel;
is_error($waiter->finish, '57014', undef, 'a waiting apply can be cancelled');
is($build->finish->{ok}, 1, 'and the build ends');
is($waiter->try('SELECT 1')->{value}, 1, 'its session goes on');

for my $isolation ('read committed', 'repeatable read', 'serializable')
{
	$waiter->try("SET default_transaction_isolation = '$isolation'");
	$waiter->start(q{CALL tapmig.run('003', 'CREATE TABLE third ()')});
	ok(wait_event($node, $waiter->pid, 'Extension'), "run waits, $isolation");
	is($pg_stat->($waiter->pid, 'backend_xmin IS NULL AND backend_xid IS NULL'),
		't', 'without a snapshot');
	is(sql_value($node,
			"SELECT count(*) FROM pg_locks WHERE pid = @{[ $waiter->pid ]} AND locktype <> 'virtualxid'"),
		0, 'and without a lock');
	$build->try('DROP INDEX IF EXISTS t_i');
	$build->start('CREATE INDEX CONCURRENTLY t_i ON t (i)');
	is($build->finish(30)->{ok}, 1, 'CREATE INDEX CONCURRENTLY ends meanwhile');
	ok($waiter->busy, 'run waits still');
	$waiter->cancel;
	is_error($waiter->finish, '57014', undef, 'a waiting run can be cancelled');
}
$waiter->try('RESET default_transaction_isolation');
is(sql_value($node, 'SELECT count(*) FROM tapmig.attempts'), 0,
	'who never had the lock has tried nothing');

# statement_timeout and termination end a wait too
is_error($waiter->try(q{SET statement_timeout = '300ms'; CALL tapmig.run('003', 'SELECT 1')}),
	'57014', undef, 'statement_timeout ends a wait');
$waiter->try(q{SET statement_timeout = '300ms'});
is_error($waiter->try(q{CALL tapmig.run('003', 'SELECT 1')}), '57014', undef, 'and where run is at top level');
my $doomed = session($node);
my $doomed_pid = $doomed->pid;
$doomed->start(q{CALL tapmig.run('003', 'SELECT 1')});
ok(wait_event($node, $doomed_pid, 'Extension'), 'another waiter');
sql_value($node, "SELECT pg_terminate_backend($doomed_pid)");
ok(wait_gone($node, $doomed_pid), 'is terminated');
is($doomed->finish->{sqlstate} =~ /^(?:57P01|08)/ ? 1 : 0, 1, 'and its client told');

# the long one
$r = $slow->finish(30);
is_error($r, 'TM004', qr/15 s/, 'TM004 after fifteen seconds');
cmp_ok(time - $slow_since, '>=', 15, 'not before');
is(scalar(@{ $r->{notices} }), 1, 'one notice in that time') or diag(join "\n", @{ $r->{notices} });
like($r->{notices}[0], qr/waiting for the migration lock of track "main".*\b$holder_pid\b/s,
	'which says who holds the lock');

# The wait ends well when the holder ends, and sees what it did.
$waiter->try('RESET statement_timeout');
$waiter->start(q{CALL tapmig.run('002_held', 'CREATE TABLE held ()')});
ok(wait_event($node, $waiter->pid, 'Extension'), 'run waits for its own version');
$holder->try('COMMIT');
is($waiter->finish->{value}, 'skipped', 'skipped once it is there');
$holder->try('BEGIN');
$holder->try(q{SELECT tapmig.apply('003', 'CREATE TABLE third ()')});
$waiter->start(q{CALL tapmig.run('003', 'CREATE TABLE third ()')});
ok(wait_event($node, $waiter->pid, 'Extension'), 'run waits again');
$holder->try('ROLLBACK');
is($waiter->finish->{value}, 'applied', 'applied, since the holder gave up');
is(sql_value($node, q{SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'}), 0, 'no lock is left');
verify_is_clean($node, 'in the end');

done_testing();
