# RESET in a script, most of all a stepwise one: what tapmig sets for the script stays, what the
# session had SET goes back to the session's default.

use strict;
use warnings;

use TapmigStepwise;
use TapmigTest;
use Test::More;
use Time::HiRes 'time';

my $node = tapmig_node('main');

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE public.seen (what text, value text);
CREATE TABLE public.t (a int);
CREATE ROLE hurried LOGIN SUPERUSER;
ALTER ROLE hurried SET statement_timeout = '88s';
ALTER ROLE hurried SET idle_in_transaction_session_timeout = '89s';
ALTER ROLE hurried SET lock_timeout = '90s';
ALTER ROLE hurried SET work_mem = '9MB';
ALTER ROLE hurried SET default_transaction_isolation = 'serializable';
SQL

my $see = "concat_ws('|', current_setting('lock_timeout'), current_setting('statement_timeout'),"
  . " current_setting('idle_in_transaction_session_timeout'), current_setting('work_mem'), current_setting('transaction_isolation'))";
my $n = 0;

# What the steps after $first see.
sub sees
{
	my ($what, $first, $expected, %opt) = @_;
	my $version = ++$n;
	my $s = session($node, user => $opt{user} // 'hurried');

	$s->try($_) for 'SET tapmig.lock_timeout = ' . ($opt{lock_timeout} // "'6s'"), @{ $opt{session} // [] };
	my $r = $s->try('CALL tapmig.run($1, $2)',
		bind => [ $version, ($opt{head} // '') . "VACUUM public.t;\n$first;\nVACUUM public.t;\nINSERT INTO public.seen SELECT '$version step', $see;\nDO \$\$BEGIN COMMIT; INSERT INTO public.seen SELECT '$version block', $see; END\$\$;\n" ]);
	is($r->{value}, 'applied', "$what: applied") or diag explain $r;
	is(sql_value($node, "SELECT value FROM public.seen WHERE what = '$version step'"), $expected, "$what: a step sees $expected");
	is(sql_value($node, "SELECT value FROM public.seen WHERE what = '$version block'"), $expected, "$what: so does a block that commits");
	$s->close;
	return;
}

my $ours = '6s|0|0|9MB|read committed';
sees('nothing',            'SELECT 1',               $ours);
sees('RESET ALL',          'RESET ALL',              $ours);
sees('DISCARD ALL',        'DISCARD ALL',            $ours);
sees('RESET lock_timeout', 'RESET lock_timeout',     $ours);
sees('SET TO DEFAULT',     "SET lock_timeout = '7s';\nSET lock_timeout TO DEFAULT;\nSET statement_timeout TO DEFAULT", $ours);
sees('within a block',     'DO $$BEGIN EXECUTE \'RESET ALL\'; END$$', $ours);
sees('within a block that commits', 'DO $$BEGIN COMMIT; EXECUTE \'RESET ALL\'; COMMIT; END$$', $ours);
sees("the script's own",   "SET lock_timeout = '7s';\nSET statement_timeout = '8s'", '7s|8s|0|9MB|read committed');
sees('RESET, then its own', "RESET ALL;\nSET lock_timeout = '7s'",  '7s|0|0|9MB|read committed');
sees('its own, then RESET ALL', "SET lock_timeout = '7s';\nSET work_mem = '3MB';\nVACUUM public.t;\nRESET ALL", $ours);
sees('the directive',      'RESET ALL',              '5500ms|0|0|9MB|read committed', head => "-- tapmig: lock_timeout=5500ms\n");
sees('the session\'s SET', 'RESET ALL',              $ours, session => [ "SET lock_timeout = '70s'", "SET statement_timeout = '71s'", "SET work_mem = '5MB'" ]);
sees('the session\'s SET, without RESET', 'SELECT 1', '6s|0|0|5MB|read committed', session => [ "SET lock_timeout = '70s'", "SET work_mem = '5MB'" ]);

# Where tapmig sets none, it is the session's, and its role's after a RESET.
sees('none of tapmig', 'SELECT 1', '70s|0|0|9MB|read committed', lock_timeout => 0, session => ["SET lock_timeout = '70s'"]);
sees('none of tapmig, RESET ALL', 'RESET ALL', '90s|0|0|9MB|read committed', lock_timeout => 0, session => ["SET lock_timeout = '70s'"]);

# What counts is that a wait ends: a step after RESET ALL waits for a lock.
my $holder = session($node);
$holder->try($_) for 'BEGIN', 'LOCK TABLE public.t';
my $s = session($node);
$s->try($_) for "SET tapmig.lock_timeout = '100ms'", "SET statement_timeout = '20s'", 'SET tapmig.lock_retries = 0';
my $began = time;
my $r = $s->try('CALL tapmig.run($1, $2)', bind => [ '900', "VACUUM public.seen;\nRESET ALL;\nALTER TABLE public.t ADD b int;\n" ]);
is_error($r, 'TM005', undef, 'after RESET ALL a wait for a lock still ends');
has_waited($r->{message}, 100, $began, 'when it had said so before');
$holder->try('ROLLBACK');

# The same in one transaction, in each of its tries, and in the session behind an error.
$holder->try($_) for 'BEGIN', 'LOCK TABLE public.t';
$s = session($node, user => 'hurried');
$s->try($_) for "SET tapmig.lock_timeout = '100ms'", "SET statement_timeout = '20s'", 'SET tapmig.lock_retries = 1', "SET lock_timeout = '70s'";
for my $reset ('RESET ALL', 'RESET lock_timeout', "DO \$\$BEGIN EXECUTE 'SET LOCAL lock_timeout TO DEFAULT'; END\$\$")
{
	$began = time;
	$r = $s->try('CALL tapmig.run($1, $2)', bind => [ '902', "$reset;\nALTER TABLE public.t ADD b int;\n" ]);
	is_error($r, 'TM005', undef, "after $reset in one transaction a wait for a lock ends");
	has_waited($r->{message}, 100, $began, 'at the same time');
	is($s->try('SHOW lock_timeout')->{value}, '70s', 'the session has its own');
}
$holder->try('ROLLBACK');
$s->try('RESET lock_timeout');
is($s->try('SHOW lock_timeout')->{value}, '90s', 'and RESET gives it what it did before');

# The session keeps its own.
$s = session($node, user => 'hurried');
$s->try($_) for "SET lock_timeout = '70s'", "SET work_mem = '5MB'";
$r = $s->try('CALL tapmig.run($1, $2)', bind => [ '901', "VACUUM public.t;\nRESET ALL;\n" ]);
is($r->{value}, 'applied', 'RESET ALL alone: applied') or diag explain $r;
is($s->try("SELECT concat_ws('|', current_setting('lock_timeout'), current_setting('statement_timeout'), current_setting('work_mem'))")->{value},
	'70s|88s|5MB', "the session's settings are as they were");

# A CONCURRENTLY build between, which runs without lock_timeout
sees('CONCURRENTLY after RESET ALL', "RESET ALL;\nCREATE INDEX CONCURRENTLY ON public.t (a)", $ours);
sees('RESET ALL after CONCURRENTLY', "CREATE INDEX CONCURRENTLY ON public.t (a);\nRESET ALL", $ours);

ok(no_worker($node), 'no worker is left');
done_testing();
