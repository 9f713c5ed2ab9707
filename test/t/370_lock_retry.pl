# A script that cannot get a lock: it is rolled back, the blockers are named, and
# it is tried again, until it is TM005.

use strict;
use warnings;

use TapmigTest;
use Test::More;
use Time::HiRes 'time';

my $node = tapmig_node('main', conf => "max_prepared_transactions = 5\n");
my $fast = '-c tapmig.lock_timeout=200ms';

sql_try($node, 'CREATE TABLE t (a int)');
sql_try($node, 'INSERT INTO t VALUES (1)');
sql_try($node, 'CREATE TABLE u (a int)');

# Another session with a lock that everybody's ALTER TABLE waits for.
sub blocker
{
	my (@sql) = @_;
	my $s = session($node);
	$s->try("SET application_name = 'web'");
	$s->try('BEGIN');
	$s->try($_) for @sql ? @sql : 'SELECT * FROM t';
	return $s;
}

sub notices
{
	my ($r) = @_;
	return grep { /^NOTICE: .*was rolled back; try/ } @{ $r->{notices} };
}

sub waits_to_try_again
{
	my ($what) = @_;
	return wait_until($node, "SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE 'tapmig %$what%: waits to try again'");
}

# run: the blocker goes, the script succeeds.
{
	my $blocker = blocker();
	my $run     = session($node, options => $fast);
	my $began   = time;
	$run->start("CALL tapmig.run('10_add', 'ALTER TABLE t ADD b int')");
	ok(waits_to_try_again('10_add'), 'run: it pauses before it tries again');
	ok(wait_until($node, "SELECT EXISTS (SELECT FROM pg_stat_activity a WHERE query LIKE 'tapmig %10_add: waits to try again' AND backend_xmin IS NULL AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND locktype <> 'virtualxid'))"), 'run: without a snapshot and without a lock');
	my $pid = $blocker->pid;
	$blocker->try('COMMIT');
	my $r = $run->finish;
	is($r->{value}, 'applied', 'run: applied when the blocker has gone');
	my ($notice) = notices($r);
	like($notice, qr/migration 10_add waited [\d.]+ m?s for ACCESS EXCLUSIVE on t and was rolled back; try 2 of 11 follows in /, 'run: a NOTICE says what it waited for');
	has_waited($notice, 200, $began, 'run: and for how long');
	like($notice, qr/Process $pid \(user "[^"]+", application "web", idle in transaction, its transaction open for [^)]+\) holds ACCESS SHARE on t; its query: SELECT \* FROM t/, 'run: and who was in the way');
	is(sql_value($node, "SELECT count(*) FROM tapmig.attempts WHERE version = '10'"), 0, 'run: no attempt failed');
}

# run: the blocker goes, and comes back.
{
	my @blockers = blocker();
	my $run      = session($node, options => $fast);
	$run->start("CALL tapmig.run('10.1_back', 'ALTER TABLE t ADD back int')");
	ok(waits_to_try_again('10.1_back'), 'back: it pauses after the first blocker');
	push @blockers, blocker('SELECT a FROM t');
	$blockers[0]->try('COMMIT');
	ok(wait_blocked($node, $run->pid), 'back: it waits for the second one');
	ok(waits_to_try_again('10.1_back'), 'back: it pauses again');
	$blockers[1]->try('COMMIT');
	my $r = $run->finish;
	is($r->{value}, 'applied', 'back: applied when both have gone');
	my @notices = notices($r);
	like($notices[0], qr/Process ${\ $blockers[0]->pid } /, 'back: the first NOTICE names the first');

	# Of the tries between the pauses that were seen nobody knows whom they met.
	cmp_ok(scalar @notices, '>=', 2, 'back: there was another one');
	like($notices[-1], qr/Process ${\ $blockers[1]->pid } /, 'back: the last NOTICE names the second');
	unlike($notices[-1], qr/Process ${\ $blockers[0]->pid } /, 'back: and the first no more');
}

# run: the blocker stays.
{
	my $blocker = blocker();
	my $pid     = $blocker->pid;
	my $r = run($node, '11_add', "INSERT INTO u VALUES (11);\nALTER TABLE t ADD c int;", options => "$fast -c tapmig.lock_retries=2");
	is_error($r, 'TM005', qr/^migration 11_add is blocked: it waited \d+ ms for ACCESS EXCLUSIVE on t$/, 'run: TM005 at the end');
	like($r->{detail}, qr/^Process $pid /, 'run: with the last blocker');
	like($r->{hint}, qr/^It was tried 3 times, and rolled back\. Run it again/, 'run: and what to do');
	like($r->{context}, qr/^migration 11_add, statement 2 of 2, line 2: ALTER TABLE t ADD c int/m, 'run: and where');
	is(scalar(notices($r)), 2, 'run: two further tries were said');
	is(sql_value($node, 'SELECT count(*) FROM u WHERE a = 11'), 0, 'run: nothing was changed');
	is(sql_value($node, "SELECT outcome || ' ' || sqlstate FROM tapmig.attempts WHERE version = '11'"), 'failed TM005', 'run: one attempt is recorded');
}

# apply, in a transaction that holds nothing strong.
{
	my $blocker = blocker();
	my $apply   = session($node, options => $fast);
	$apply->try('BEGIN');
	$apply->try('SELECT * FROM u');
	$apply->start("SELECT tapmig.apply('12_add', 'INSERT INTO u VALUES (12); ALTER TABLE t ADD d int')");
	ok(waits_to_try_again('12_add'), 'apply: it pauses before it tries again');
	ok(wait_until($node, "SELECT EXISTS (SELECT FROM pg_stat_activity a WHERE query LIKE 'tapmig %12_add: waits to try again' AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND relation = ANY ('{t,u}'::regclass[]) AND mode <> 'AccessShareLock'))"), 'apply: and without a lock of its own');
	$blocker->try('COMMIT');
	is($apply->finish->{value}, 'applied', 'apply: applied when the blocker has gone');
	$apply->try('COMMIT');
	is(sql_value($node, 'SELECT count(*) FROM u WHERE a = 12'), 1, 'apply: once');
}

# apply, in a transaction that a rollback of the try would not free of its locks.
for my $before ("LOCK TABLE u IN ROW EXCLUSIVE MODE", "ALTER TABLE u ADD x int")
{
	my $blocker = blocker();
	my $apply   = session($node, options => $fast);
	$apply->try('BEGIN');
	$apply->try($before);
	my $r = $apply->try("SELECT tapmig.apply('13_add', 'ALTER TABLE t ADD e int')");
	is_error($r, 'TM005', qr/^migration 13_add is blocked/, "apply after $before: TM005 at the first expiry");
	like($r->{hint}, qr/holds locks from before.*ROLLBACK/, 'it says why');
	is(scalar(notices($r)), 0, 'and did not try again');
}

# Settings of the call.
{
	my $blocker = blocker();
	my $r = run($node, '14_add', 'ALTER TABLE t ADD f int', options => "$fast -c tapmig.lock_retries=0");
	is_error($r, 'TM005', undef, 'lock_retries = 0: one try');
	is(scalar(notices($r)), 0, 'lock_retries = 0: no second one');
	my $began = time;
	$r = run($node, '14_add', "DO 'BEGIN PERFORM pg_sleep(0.3); END'; ALTER TABLE t ADD f int;", options => "$fast -c tapmig.retry_work=100ms");
	my $gone = (time - $began) * 1000;
	is_error($r, 'TM005', undef, 'retry_work: no second try of a long one');
	like($r->{hint}, qr/had worked for [\d.]+ m?s.*tapmig\.retry_work/, 'retry_work: it says why');
	my ($worked, $unit) = $r->{hint} =~ /had worked for ([\d.]+) (m?s)/;
	$worked *= 1000 if $unit eq 's';
	ok($worked >= 300 && $worked <= $gone - 200 + 50, 'retry_work: and how long, without the wait') or diag("$worked of $gone ms");

	# All but the wait takes some milliseconds, and a machine may be busy.
	$r = run($node, '14_add', 'ALTER TABLE t ADD f int', options => '-c tapmig.lock_timeout=2300ms -c tapmig.retry_work=2s -c tapmig.lock_retries=1');
	like($r->{hint}, qr/tried 2 times/, 'retry_work: the wait itself is no work');
	for my $case ([ 50, "-- tapmig: lock_timeout=50ms\n", 'the directive lock_timeout' ], [ 70, "SET lock_timeout = '70ms'; ", "the script's own SET wins" ])
	{
		$began = time;
		$r = run($node, '14_add', "$case->[1]ALTER TABLE t ADD f int", options => '-c tapmig.lock_retries=0');
		like($r->{message}, qr/it waited [\d.]+ m?s for/, $case->[2]);
		has_waited($r->{message}, $case->[0], $began, "$case->[2]: its time");
	}
	$r = run($node, '14_add', "LOCK TABLE t NOWAIT", options => '-c tapmig.lock_retries=1');
	is_error($r, 'TM005', qr/did not get a lock at once/, 'NOWAIT is tried again as well');
	like($r->{detail}, qr/could not obtain lock on relation "t"/, 'with what PostgreSQL says');
}

# A lock on a row; a prepared transaction; many blockers, and one who only waits.
{
	my $blocker = blocker('SELECT * FROM t FOR UPDATE');
	my $r = run($node, '15_row', 'UPDATE t SET a = a + 1', options => "$fast -c tapmig.lock_retries=0");
	is_error($r, 'TM005', qr/waited \d+ ms for transaction \d+, which has a row or key that it needs/, 'a row');
	like($r->{detail}, qr/^Process ${\ $blocker->pid } .*; its query: SELECT \* FROM t FOR UPDATE/, 'a row: who has it');
}
{
	my $blocker = blocker('UPDATE t SET a = a');
	$blocker->try("PREPARE TRANSACTION 'it''s mine'");
	my $r = run($node, '16_prepared', 'ALTER TABLE t ADD g int', options => "$fast -c tapmig.lock_retries=0");
	is_error($r, 'TM005', undef, 'a prepared transaction');
	like($r->{detail}, qr/^Prepared transaction 'it''s mine' of user "[^"]+", prepared at .*, holds ROW EXCLUSIVE on t\./, 'which is named');
	sql_try($node, "ROLLBACK PREPARED 'it''s mine'");
}
{
	my @blockers = map { blocker() } 1 .. 7;
	my $waiter   = session($node);
	$waiter->start('LOCK TABLE t IN SHARE ROW EXCLUSIVE MODE');
	$waiter->finish;
	my $r = run($node, '17_many', 'ALTER TABLE t ADD h int', options => "$fast -c tapmig.lock_retries=0");
	my @lines = split /\n/, $r->{detail};
	is(scalar(grep { /^Process \d+ .* holds ACCESS SHARE on t/ } @lines), 5, 'many: five are named');
	is($lines[-1], 'And 2 more.', 'many: the others are counted');
}
{
	my $blocker = blocker();
	my $waiter  = session($node);
	$waiter->start('ALTER TABLE t ADD i int');
	ok(wait_blocked($node, $waiter->pid), 'somebody else waits for an ALTER TABLE');
	my $r = run($node, '18_queue', 'INSERT INTO t VALUES (18)', options => "$fast -c tapmig.lock_retries=0");
	like($r->{detail}, qr/^Process ${\ $waiter->pid } .* waits for ACCESS EXCLUSIVE on t; its query: ALTER TABLE t ADD i int/, 'a queue: who waits in front is named');
	$blocker->try('COMMIT');
	$waiter->finish;
}

# Who queued up behind the script holds the lock as soon as it gives up, and was
# not in its way.
{
	my $blocker = blocker();
	my ($behind, $first) = map { session($node) } 1 .. 2;
	my $run     = session($node, options => '-c tapmig.lock_timeout=4s -c tapmig.lock_retries=0');
	$behind->try('BEGIN');
	$behind->try('SELECT * FROM u');
	$run->start("CALL tapmig.run('18_behind', 'ALTER TABLE t ADD bh int')");
	ok(wait_blocked($node, $run->pid), 'behind: the script waits');
	$behind->start('SELECT count(*) FROM t');
	my $r = $run->finish;
	is($behind->finish->{ok}, 1, 'behind: who waited behind it has the lock now');
	is_error($r, 'TM005', undef, 'behind: the script gave up');
	like($r->{detail}, qr/^Process ${\ $blocker->pid } [^\n]+$/, 'behind: only the one that was in its way is named');
}

# What a plain user may know of others.
{
	sql_try($node, $_) for 'CREATE ROLE deployer LOGIN', 'GRANT EXECUTE ON PROCEDURE tapmig.run(text, text, text, text, text) TO deployer',
	  'CREATE SCHEMA d AUTHORIZATION deployer', 'SET ROLE deployer; CREATE TABLE d.t (a int)';
	my $blocker = blocker('SELECT * FROM d.t');
	my $s = session($node, options => "$fast -c tapmig.lock_retries=0");
	$s->try('SET ROLE deployer');
	my $r = $s->try("CALL tapmig.run('19_plain', 'ALTER TABLE d.t ADD b int')");
	is_error($r, 'TM005', qr/for ACCESS EXCLUSIVE on d\.t$/, 'a plain user');
	like($r->{detail}, qr/^Process ${\ $blocker->pid } \(user "[^"]+", application "web"\) holds ACCESS SHARE on d\.t\.$/, 'reads no query and no state of others');
}

# Deadlock: the other session's or this one's try ends, and this one comes through.
{
	my $s = session($node, options => '-c deadlock_timeout=30s');

	# It looks once, when it has waited for so long: the other has to be there by then.
	my $run = session($node, options => '-c deadlock_timeout=3s -c tapmig.lock_timeout=20s');
	$s->try('BEGIN');
	$s->try('LOCK TABLE t IN ACCESS EXCLUSIVE MODE');
	$run->start("CALL tapmig.run('20_deadlock', 'LOCK TABLE u IN ACCESS EXCLUSIVE MODE; ALTER TABLE t ADD j int')");
	ok(wait_blocked($node, $run->pid), 'deadlock: the script has u and waits for t');
	$s->start('LOCK TABLE u IN ACCESS EXCLUSIVE MODE');
	is($s->finish->{ok}, 1, 'deadlock: the session goes on');
	$s->try('COMMIT');
	my $r = $run->finish;
	is($r->{value}, 'applied', 'deadlock: the script was tried again');
	like((notices($r))[0], qr/migration 20_deadlock met a deadlock and was rolled back; try 2 of 11.*Process \d+ waits for AccessExclusiveLock.*Process ${\ $s->pid } .*holds ACCESS EXCLUSIVE on t/s, 'deadlock: it says who');
}

# A cancel in the pause is a cancel.
{
	my $blocker = blocker();
	my $run     = session($node, options => $fast);
	$run->start("CALL tapmig.run('21_cancel', 'ALTER TABLE t ADD k int')");
	ok(waits_to_try_again('21_cancel'), 'cancel: it pauses');
	$run->cancel;
	my $r = $run->finish;
	is_error($r, '57014', undef, 'cancel: the call ends at once');
	is(sql_value($node, "SELECT outcome || ' ' || sqlstate FROM tapmig.attempts WHERE version = '21'"), 'failed 57014', 'cancel: the attempt is recorded');
	is(sql_value($node, "SELECT current_setting('lock_timeout')"), '0', 'settings are as they were');
}

# Each try is admitted anew: what it requires, or compensates, may be withdrawn
# in the pause.
for my $directive ('requires', 'compensates')
{
	my $blocker = blocker();
	my $run     = session($node, options => $fast);
	sql_try($node, "SELECT tapmig.register('22')");
	$run->start('CALL tapmig.run($1, $2)', bind => [ '23_needs', "-- tapmig: $directive=22\nALTER TABLE t ADD needs int" ]);
	ok(waits_to_try_again('23_needs'), "$directive: it pauses");
	is(sql_try($node, "SELECT tapmig.withdraw('22', 'test')")->{ok}, 1, "$directive: the other version is withdrawn");
	$blocker->try('COMMIT');
	is_error($run->finish, 'TM006', qr/which is not applied$/, "$directive: the next try is refused");
	is(sql_value($node, "SELECT tapmig.is_applied('23')"), 'f', "$directive: nothing is recorded");
}

# Tables grow in the pause: what lint refuses then is refused, and what would lose
# rows; and what was registered meanwhile is not run.
sql_try($node, 'CREATE TABLE grows (a int, b text)');
for my $case (
	[ 'lint',      '24_lint', 'ALTER TABLE grows ALTER a TYPE bigint', '-c tapmig.lint=error -c tapmig.lint_rows=100', 'TM007', qr/^lint refuses migration 24_lint/ ],
	[ 'data_loss', '25_loss', 'ALTER TABLE grows DROP COLUMN b',       '-c tapmig.lint=off -c tapmig.data_loss=error', 'TM008', undef ],
  )
{
	my ($what, $version, $script, $options, $code, $like) = @$case;
	my $blocker = blocker('SELECT * FROM grows');
	my $run     = session($node, options => "$fast $options");

	$run->start('CALL tapmig.run($1, $2)', bind => [ $version, $script ]);
	ok(waits_to_try_again($version), "$what: it pauses");
	sql_try($node, q{INSERT INTO grows SELECT g, 'x' FROM generate_series(1, 1000) g});
	sql_try($node, 'ANALYZE grows');

	# No try that has looked at it before is under way any more: it pauses, or has ended.
	ok(wait_until($node, "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = @{[ $run->pid ]} AND state = 'active' AND query NOT LIKE '%: waits to try again')"),
		"$what: no try is under way");
	$blocker->try('COMMIT');
	is_error($run->finish, $code, $like, "$what: the next try is refused");
	sql_try($node, 'TRUNCATE grows');
	sql_try($node, 'ANALYZE grows');
}
{
	my $blocker = blocker('SELECT * FROM grows');
	my $run     = session($node, options => "$fast -c tapmig.lint=error");

	$run->start('CALL tapmig.run($1, $2)', bind => [ '26_by_hand', 'ALTER TABLE grows ADD c int' ]);
	ok(waits_to_try_again('26_by_hand'), 'registered: it pauses');
	is(sql_value($node, "SELECT tapmig.register('26_by_hand', 'ALTER TABLE grows ADD c int')"), 'registered', 'registered: in the pause');
	$blocker->try('COMMIT');
	is($run->finish->{value}, 'skipped', 'registered: the next try finds it');
	is(sql_value($node, "SELECT count(*) FROM pg_attribute WHERE attrelid = 'grows'::regclass AND attname = 'c'"), 0, 'registered: and runs nothing');
}

# Warnings and notices of the call come once, however often it is tried.
{
	my $blocker = blocker();
	my $r = run($node, '09_late', "ALTER TABLE t ADD l int;\nCOMMIT;", options => "$fast -c tapmig.lock_retries=2");
	is_error($r, 'TM005', undef, 'a late one is blocked');
	is(scalar(grep { /^WARNING: .*comes after/ } @{ $r->{notices} }), 1, 'one WARNING for three tries');
	is(scalar(grep { /COMMIT on line 2 has no BEGIN/ } @{ $r->{notices} }), 1, 'one NOTICE for three tries');
}

is(sql_value($node, 'SELECT count(*) FROM tapmig.verify()'), 0, 'the ledger is in order');
done_testing();
