# What a try that was rolled back had left in the session is gone before the next
# one, or before the worker's: advisory locks and prepared statements know of no
# rollback.

use strict;
use warnings;

use TapmigStepwise;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');
my $fast = '-c tapmig.lock_timeout=200ms';
my $held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = %d";

sql_try($node, $_) for 'CREATE TABLE t (a int)', 'CREATE TABLE seen (what text)', 'CREATE TABLE v ()';

# The caller's own try is refused at the DO: what it took would keep the worker out.
{
	my $s = session($node, options => $fast);
	$s->try('SELECT pg_advisory_lock(6)');
	my $r = $s->try('CALL tapmig.run($1, $2)', bind => [ '1_refused',
		"SELECT pg_advisory_lock(5);\nDO 'BEGIN INSERT INTO seen VALUES (1); COMMIT; END';\n" ]);
	is($r->{value}, 'applied', 'refused: the worker has the lock that the caller had') or diag explain $r;
	is(sql_value($node, sprintf($held, 5)), 0, 'refused: nobody has it any more');
	is(sql_value($node, sprintf($held, 6)), 1, 'refused: the session keeps its own');
}

# A lock, and a statement, that each try makes anew.
my $script = "SELECT pg_advisory_lock(%d);\nPREPARE p AS INSERT INTO seen VALUES ('%d');\nEXECUTE p;\nALTER TABLE t ADD a%d int;\nSELECT pg_advisory_unlock(%d);\n";

for my $way ([ 10, 'run', 'CALL tapmig.run($1, $2)', '' ],
	[ 11, 'apply',  'SELECT tapmig.apply($1, $2)', '' ],
	[ 12, 'a step', 'CALL tapmig.run($1, $2)', "VACUUM v;\n" ],
	[ 13, 'a step that is cut', 'CALL tapmig.run($1, $2)', "VACUUM v;\n", "DO 'BEGIN COMMIT; END';\n" ])
{
	my ($n, $what, $sql, $before, $behind) = @$way;
	my $blocker = session($node);
	my $s       = session($node, options => $fast);

	$blocker->try($_) for 'BEGIN', 'SELECT * FROM t';
	$s->start($sql, bind => [ "${n}_again", $before . sprintf($script, ($n) x 4) . ($behind // '') ]);
	ok(wait_until($node, "SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE 'tapmig %${n}_again: waits to try again'"), "$what: it pauses");
	is(sql_value($node, sprintf($held, $n)), 0, "$what: and holds nothing meanwhile");
	$blocker->try('COMMIT');
	my $r = $s->finish;
	is($r->{value}, 'applied', "$what: applied by the next try") or diag explain $r;
	is(sql_value($node, "SELECT count(*) FROM seen WHERE what = '$n'"), 1, "$what: its effect is there once");
	is(sql_value($node, sprintf($held, $n)), 0, "$what: unlocked once, it is free");
}

# Only what the try made itself goes.
{
	my $s = session($node, options => $fast);
	$s->try($_) for 'PREPARE own AS SELECT 1', "PREPARE p AS SELECT 'own'", 'SELECT pg_advisory_lock(20)';
	is_error($s->try('SELECT tapmig.apply($1, $2)', bind => [ '20_own', 'PREPARE q AS SELECT 2; PREPARE p AS SELECT 3' ]), '42P05', undef, 'a name of the session is taken');
	is(join(',', map { $s->try("EXECUTE $_")->{value} } qw(own p)), '1,own', 'the session keeps its own statements');
	is_error($s->try('EXECUTE q'), '26000', undef, 'what a failed script prepared is gone');
	is(sql_value($node, sprintf($held, 20)), 1, 'and the session keeps its lock');
}

done_testing();
