# tapmig.rehearse_limit bounds how long a rehearsal holds a lock that blocks
# writers, and nothing else; tapmig.lock_timeout bounds its waits.

use strict;
use warnings;

use TapmigTest;
use Test::More;
use Time::HiRes qw(time);

my $node = tapmig_node('main');
my ($s, $blocker, $writer) = map { session($node) } 1 .. 3;
my $query = 'SELECT statement, relation, lock_mode, elapsed_ms, held_ms, rewritten FROM tapmig.rehearse($1)';
my $cut   = qr/^WARNING:  the rehearsal was cut off in statement/m;

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE t (i int);
CREATE TABLE u (i int);
CREATE TABLE big (i int, j text);
INSERT INTO big SELECT g, repeat('x', 100) FROM generate_series(1, 200000) g;
SQL

sub set { $s->try("SET tapmig.rehearse_limit = '$_[0]'; SET tapmig.lock_timeout = '$_[1]'")->{ok} or die; }
sub rehearse { return $s->try($query, bind => [ $_[0] ]); }
sub notices { return join "\n", @{ $_[0]{notices} // [] }; }
sub timed { my ($what) = @_; my $from = time; my $r = $what->(); return ($r, (time - $from) * 1000); }

sub is_cut
{
	my ($r, $statement, $name) = @_;

	ok($r->{ok}, "$name: rows") or diag explain $r;
	like(notices($r), $cut, "$name: a WARNING");
	is($r->{rows}[-1][0], $statement, "$name: up to the statement under way") or diag explain $r->{rows};
	is_deeply([ grep { $_->[0] == $statement && defined $_->[4] } @{ $r->{rows} } ], [], "$name: whose held_ms is null");
}

sub is_whole
{
	my ($r, $statement, $name) = @_;

	ok($r->{ok}, "$name: rows") or diag explain $r;
	is(notices($r), '', "$name: no WARNING");
	is($r->{rows}[-1][0], $statement, "$name: to its end");
	is_deeply([ grep { !defined $_->[3] } @{ $r->{rows} } ], [], "$name: measured");
}

# ---------------------------------------------------------------- what counts

set('500ms', '60s');
my $sleep = 'SELECT pg_sleep(%s)';
for my $lock ('SHARE', 'SHARE ROW EXCLUSIVE', 'EXCLUSIVE', 'ACCESS EXCLUSIVE')
{
	my ($r, $ms) = timed(sub { rehearse("LOCK TABLE t IN $lock MODE; SELECT pg_sleep(600); SELECT 1") });
	is_cut($r, 2, $lock);
	cmp_ok($ms, '<', 5000, "$lock: soon");
	is_deeply([ @{ $r->{rows}[0] }[ 1, 2 ] ], [ 't', $lock ], "$lock: the row of an earlier statement");
	cmp_ok($r->{rows}[0][4], '>=', 400, "$lock: with its time to the cut");
}
for my $lock ('ACCESS SHARE', 'ROW SHARE', 'ROW EXCLUSIVE', 'SHARE UPDATE EXCLUSIVE')
{
	is_whole(rehearse("LOCK TABLE t IN $lock MODE; SELECT pg_sleep(1.2)"), 2, $lock);
}
is_whole(rehearse('CREATE TABLE fresh (i int); SELECT pg_sleep(1.2); DROP TABLE fresh'), 3, 'a relation of the script');
set('2s', '60s');
is_whole(rehearse('SELECT pg_sleep(2.2); LOCK TABLE t; SELECT pg_sleep(0.1)'), 3, 'before the lock is taken');
set('500ms', '60s');

# within one statement, where only the timer sees the lock
is_cut(rehearse('DO $$ BEGIN LOCK TABLE t; PERFORM pg_sleep(600); END $$; SELECT 1'), 1, 'a DO block');
is_cut(rehearse('DO $$ BEGIN LOCK TABLE t; LOOP END LOOP; END $$'), 1, 'a busy loop');
is_whole(rehearse('DO $$ BEGIN BEGIN LOCK TABLE t; RAISE division_by_zero; EXCEPTION WHEN division_by_zero THEN END; PERFORM pg_sleep(1.2); END $$'),
	1, 'a lock that a handled error has freed');
is_cut(rehearse('DO $$ BEGIN LOCK TABLE t; PERFORM pg_sleep(600); EXCEPTION WHEN query_canceled THEN END $$; SELECT 1'),
	1, 'a script that catches the cancel');
my $many = 'LOCK TABLE t;' . 'SELECT pg_sleep(0.01);' x 500;
my ($r, $ms) = timed(sub { rehearse($many) });
like(notices($r), $cut, 'many small statements');
cmp_ok($ms, '<', 5000, 'many small statements: soon');

# a rewrite under way: what it locks is shown, what it would do is not known
set('20ms', '60s');
$r = rehearse('ALTER TABLE big ALTER i TYPE bigint; SELECT pg_sleep(600)');
like(notices($r), $cut, 'a rewrite');
is_deeply([ @{ $r->{rows}[0] }[ 0 .. 2 ] ], [ 1, 'big', 'ACCESS EXCLUSIVE' ], 'a rewrite: its lock');
is(scalar(grep { $_->[0] == 1 && defined $_->[5] && $_->[5] eq 'f' } @{ $r->{rows} }), 0, 'a rewrite: not said to be none');
is($s->try('SELECT count(*) FROM big WHERE i > 0')->{value}, 200000, 'a rewrite: rolled back');

# none, by the setting
set(0, '60s');
is_whole(rehearse('LOCK TABLE t; SELECT pg_sleep(1.2)'), 2, 'no limit');

# a writer is not kept for longer
set('1s', '60s');
$s->start($query, bind => ['LOCK TABLE t; SELECT pg_sleep(600)']);
wait_event($node, $s->pid, 'PgSleep');
($r, $ms) = timed(sub { $writer->try('INSERT INTO t VALUES (1)') });
is($r->{ok}, 1, 'a writer waits');
cmp_ok($ms, '<', 3000, 'not longer than the limit, and what a busy machine adds');
is_cut($s->finish, 2, 'with a writer waiting');

# ---------------------------------------------------------------- waits

# Waiting for the first such lock is not holding one.
set('300ms', '2s');
$blocker->try('BEGIN; SELECT * FROM t');
($r, $ms) = timed(sub { rehearse("SELECT 1;\nALTER TABLE t ADD COLUMN j int") });
is_error($r, 'TM005', qr/blocked/, 'blocked: TM005');
my $pid = $blocker->pid;
like($r->{detail}, qr/\b$pid\b/, 'blocked: by whom');
like($r->{context}, qr/statement 2 of 2, line 2/, 'blocked: with its place');
unlike(notices($r), $cut, 'blocked: not the limit');
cmp_ok($ms, '>', 1900, 'blocked: after tapmig.lock_timeout');
is_error(rehearse("-- tapmig: lock_timeout=100ms\nALTER TABLE t ADD COLUMN j int"), 'TM005', undef, 'the directive');

# blocked for longer than the limit, then all at once
set('2s', '60s');
$s->start($query, bind => ['ALTER TABLE t ADD COLUMN j int; SELECT pg_sleep(0.1)']);
wait_blocked($node, $s->pid);
wait_until($node, 'SELECT clock_timestamp() - query_start > interval \'2.5 s\' FROM pg_stat_activity WHERE pid = ' . $s->pid);
$blocker->try('COMMIT');
is_whole($s->finish, 2, 'blocked for longer than the limit');

# Waiting for the second one is.
set('500ms', '60s');
$blocker->try('BEGIN; SELECT * FROM u');
($r, $ms) = timed(sub { rehearse('LOCK TABLE t; LOCK TABLE u') });
is_cut($r, 2, 'blocked with another lock held');
($r, $ms) = timed(sub { rehearse('LOCK TABLE t, u') });
is_cut($r, 1, 'in one statement');
is($r->{rows}[0][1], 't', 'in one statement: the lock that it held is shown');
cmp_ok($ms, '<', 5000, 'in one statement: soon');
$blocker->try('COMMIT');

# ---------------------------------------------------------------- who cancelled

# The user, just as the limit is reached, and before.
set('60s', '60s');
$s->start($query, bind => ['LOCK TABLE t; SELECT pg_sleep(600)']);
wait_event($node, $s->pid, 'PgSleep');
$s->cancel;
$r = $s->finish;
is_error($r, '57014', qr/user request/, "the user's cancel");
unlike(notices($r), $cut, "the user's cancel: no WARNING");
for my $i (1 .. 20)
{
	set('50ms', '60s');
	$s->start($query, bind => ['LOCK TABLE t; SELECT pg_sleep(600)']);
	# Until it is seen asleep, or is over before that
	1 while $i % 2 && $s->busy
	  && sql_value($node, "SELECT wait_event IS DISTINCT FROM 'PgSleep' FROM pg_stat_activity WHERE pid = " . $s->pid) eq 't';
	$s->cancel;
	$r = $s->finish;
	# Either came first; never both, and never another.
	ok($r->{ok} ? notices($r) =~ $cut : $r->{sqlstate} eq '57014' && notices($r) !~ $cut, "a race, $i")
	  or diag explain $r;
}
is($s->try('SELECT pg_sleep(0.2)')->{ok}, 1, 'no cancel is left over');

# The limit was reached, the script has handled that; then the user cancels.
set('200ms', '60s');
$blocker->try('SELECT pg_advisory_lock(1)');
$s->start($query, bind => [q{DO $$ BEGIN
	BEGIN LOCK TABLE t; PERFORM pg_sleep(600); EXCEPTION WHEN query_canceled THEN END;
	PERFORM pg_advisory_xact_lock(1); END $$}]);
wait_blocked($node, $s->pid);
$s->cancel;
$r = $s->finish;
is_error($r, '57014', qr/user request/, "the user's cancel after the limit's");
unlike(notices($r), $cut, "the user's cancel after the limit's: no WARNING");
$blocker->try('SELECT pg_advisory_unlock(1)');

# statement_timeout is the user's as well
set('60s', '60s');
$s->try(q{SET statement_timeout = '300ms'});
is_error(rehearse('LOCK TABLE t; SELECT pg_sleep(600)'), '57014', qr/statement timeout/, 'statement_timeout');
$s->try('RESET statement_timeout');

# and a lock_timeout that the script handles is nobody's
set('700ms', '60s');
$blocker->try('BEGIN; SELECT * FROM u');
is_cut(rehearse(q{DO $$ BEGIN
	SET lock_timeout = '100ms';
	BEGIN LOCK TABLE u; EXCEPTION WHEN lock_not_available THEN END;
	LOCK TABLE t; PERFORM pg_sleep(600); END $$}), 1, 'a handled lock_timeout before it');
$blocker->try('COMMIT');

# ---------------------------------------------------------------- a deadlock

set('60s', '60s');
$blocker->try('BEGIN; LOCK TABLE u');
$s->try('SET deadlock_timeout = 10');
$s->start($query, bind => ["LOCK TABLE t;\nLOCK TABLE u;"]);
wait_blocked($node, $s->pid);
$blocker->start('LOCK TABLE t');
my $first = $s->finish;
my $second = $blocker->finish;
is(scalar(grep { ($_->{sqlstate} // '') =~ /^(?:40P01|TM005)$/ } $first, $second), 1, 'a deadlock ends one of the two');
like($first->{context}, qr/statement 2 of 2, line 2/, 'with its place') unless $first->{ok};
$blocker->try('ROLLBACK');
is_whole(rehearse('LOCK TABLE t, u'), 1, 'after all that');

# ---------------------------------------------------------------- the session ends

set('60s', '60s');
$s->start($query, bind => ['LOCK TABLE t; CREATE TABLE fresh (i int); SELECT pg_sleep(600)']);
wait_event($node, $s->pid, 'PgSleep');
$blocker->try('SELECT pg_terminate_backend(' . $s->pid . ')');
like($s->finish->{sqlstate}, qr{^(?:57P01|08)}, 'a session that is terminated');
wait_gone($node, $s->pid);
is($blocker->try('SELECT count(*) FROM t')->{ok}, 1, 'the others go on');
is($blocker->try(q{SELECT to_regclass('fresh') IS NULL})->{value}, 't', 'and nothing is left');

done_testing();
