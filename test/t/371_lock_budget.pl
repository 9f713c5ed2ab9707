# Once a script holds a lock that blocks writers, its waits share one
# lock_timeout: who waits behind it waits for no longer than that.

use strict;
use warnings;

use TapmigTest;
use Test::More;
use Time::HiRes 'time';

my $node    = tapmig_node('main');
# So long that what a busy machine adds does not count: a second, more than once.
my $timeout = 3;
my $one     = "-c tapmig.lock_timeout=${timeout}s -c tapmig.lock_retries=0";

sql_try($node, "CREATE TABLE $_ (a int); INSERT INTO $_ VALUES (1)") for qw(a b c d);

# Runs a script whose way $held{table} => statement is in, each for 60 % of the
# timeout longer than the one before; a reader of table a queues up behind the
# script. Returns the script's result, and how long the reader waited.
sub reader_behind
{
	my ($version, $script, @held) = @_;
	my $run    = session($node, options => $one);
	my $reader = session($node);
	my @blockers;
	my $r;

	while (my ($table, $statement) = splice @held, 0, 2)
	{
		my $s = session($node);
		$s->try('BEGIN');
		$s->try($statement =~ s/\?/$table/r);
		push @blockers, $s;
	}
	$run->start('CALL tapmig.run($1, $2)', bind => [ $version, $script ]);
	die 'the script is not blocked' unless wait_blocked($node, $run->pid);
	my $n = 0;
	$_->start(sprintf('SELECT pg_sleep(%g); COMMIT', 0.6 * $timeout * ++$n)) for @blockers;
	my $began = time;
	$reader->start('SELECT * FROM a');
	$reader->finish;
	my $waited = time - $began;
	$r = $run->finish;
	$_->finish for @blockers;
	return ($r, $waited);
}

my $three  = join "\n", map { "ALTER TABLE $_ ADD COLUMN %s int;" } qw(a b c);
my @weak   = map { ($_ => 'LOCK TABLE ? IN ACCESS SHARE MODE') } qw(a b c);
my @rows   = map { ($_ => 'SELECT * FROM ? FOR UPDATE') } qw(b c d);
my $update = join ' ', map { "UPDATE $_ SET a = a + 1;" } qw(b c d);

{
	my ($r, $waited) = reader_behind('1', $three =~ s/%s/x1/gr, @weak);
	is_error($r, 'TM005', qr/ on b$/, 'three tables: the second wait is cut short');
	cmp_ok($waited, '<', $timeout + 1.3, 'three tables: a reader of the first has not waited for longer than that');

	# The same with a timeout of the script's own for each wait.
	($r, $waited) = reader_behind('2', "SET lock_timeout = '${timeout}s';\n" . $three =~ s/%s/x2/gr, @weak);
	is($r->{value}, 'applied', 'a SET of its own: each wait has it for itself');
	cmp_ok($waited, '>', $timeout + 1, 'a SET of its own: the reader waits for all of them');
	is(sql_value($node, "SHOW lock_timeout"), '0', 'the setting is as it was');
}

# In one statement, and without waiting for the strong lock.
{
	my ($r, $waited) = reader_behind('3', "LOCK TABLE a, b, c IN ACCESS EXCLUSIVE MODE", @weak);
	is_error($r, 'TM005', qr/ on b$/, 'one statement: its waits share it');
	cmp_ok($waited, '<', $timeout + 1.3, 'one statement: a reader has not waited for longer');

	($r, $waited) = reader_behind('4', "DO 'BEGIN LOCK TABLE a; $update END'", @rows);
	is_error($r, 'TM005', qr/has a row or key that it needs/, 'a block that has the strong lock already: its waits share it');
	cmp_ok($waited, '<', $timeout + 1.3, 'a block: a reader has not waited for longer');

	($r, $waited) = reader_behind('5', "CREATE INDEX ON a (a);\nSELECT 1;\n$update", @rows);
	is_error($r, 'TM005', qr/has a row or key that it needs/, 'a strong lock of an earlier statement');
}

# Without a lock that blocks writers nobody waits behind the script: each wait
# has the timeout for itself.
for my $script ($update, "DO 'BEGIN $update END'", "CREATE TABLE mine (a int);\nCREATE INDEX ON mine (a);\n$update")
{
	my ($r, $waited) = reader_behind(10 + length $script, $script, @rows);
	is($r->{value}, 'applied', 'no strong lock: three waits that together are longer');
	cmp_ok($waited, '<', 1.5, 'no strong lock: a reader does not wait');
}

# In a block that makes something of its own between its waits, too.
{
	my ($r, $waited) = reader_behind('20', "DO 'BEGIN CREATE TEMP TABLE x (a int); $update END'", @rows);
	is($r->{value}, 'applied', 'a block that makes a table: three waits that together are longer');
	cmp_ok($waited, '<', 1.5, 'a block that makes a table: a reader does not wait');
}

# A strong lock that the transaction had before.
{
	my $apply    = session($node, options => $one);
	my @blockers = map { session($node) } 1 .. 3;

	$apply->try($_) for 'BEGIN', 'LOCK TABLE a';
	for my $i (0 .. 2)
	{
		$blockers[$i]->try($_) for 'BEGIN', 'SELECT * FROM ' . (qw(b c d))[$i] . ' FOR UPDATE';
	}
	$apply->start('SELECT tapmig.apply($1, $2)', bind => [ '30', "DO 'BEGIN $update END'" ]);
	die 'the script is not blocked' unless wait_blocked($node, $apply->pid);
	$blockers[$_]->start(sprintf('SELECT pg_sleep(%g); COMMIT', 0.6 * $timeout * ($_ + 1))) for 0 .. 2;
	is_error($apply->finish, 'TM005', qr/has a row or key that it needs/, 'a strong lock from before: its waits share it');
	$_->finish for @blockers;
}

# The ledger is written under the script's locks.
{
	my $holder = session($node);

	$holder->try($_) for 'BEGIN', 'LOCK TABLE tapmig.schema_migrations IN SHARE MODE';
	for my $script ('ALTER TABLE a ADD led int', "VACUUM b;\nALTER TABLE a ADD led int")
	{
		my $run    = session($node, options => $one);
		my $reader = session($node);
		my $began  = time;

		$run->start('CALL tapmig.run($1, $2)', bind => [ '3' . length $script, $script ]);
		wait_until($node, "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'tapmig.schema_migrations'::regclass AND NOT granted)") or die;
		$reader->start('SELECT * FROM a');
		ok($reader->finish->{ok}, 'the ledger is locked: a reader of the script\'s table goes on');
		cmp_ok(time - $began, '<', $timeout + 2, 'and has not waited for longer');
		is_error($run->finish, 'TM005', qr/ on tapmig\.schema_migrations$/, 'the script is blocked');
		sql_try($node, "SELECT tapmig.abandon('" . (3 . length $script) . "', 'test')");
	}
	$holder->try('ROLLBACK');
}

# Many waits, each too short to be cut.
{
	my $n        = 60;
	my $gap      = 0.09;
	my @tables   = map { "m$_" } 1 .. $n;
	my $run      = session($node, options => $one);
	my $reader   = session($node);
	my @blockers = map { session($node) } @tables;

	sql_try($node, join '', map { "CREATE TABLE $_ (a int);" } @tables);
	for my $i (0 .. $n - 1)
	{
		$blockers[$i]->try($_) for 'BEGIN', "LOCK TABLE $tables[$i] IN ACCESS SHARE MODE";
	}
	my $go = sql_value($node, "SELECT clock_timestamp() + interval '1 s'");
	$blockers[$_]->start(sprintf(q{SELECT pg_sleep(extract(epoch FROM '%s'::timestamptz - clock_timestamp()) + %g); COMMIT}, $go, $gap * $_)) for 0 .. $n - 1;
	$run->start('CALL tapmig.run($1, $2)', bind => [ '40', 'LOCK TABLE a, ' . join(', ', @tables) ]);
	die 'the script is not blocked' unless wait_blocked($node, $run->pid);
	my $began = time;
	$reader->start('SELECT * FROM a');
	$reader->finish;
	my $waited = time - $began;
	is_error($run->finish, 'TM005', qr/one lock after the other/, 'many short waits: they are cut');
	cmp_ok($waited, '<', $timeout + 1.5, 'many short waits: a reader has not waited for longer');
	$_->finish for @blockers;
}

done_testing();
