# Inside of a transaction block, a function, a DO block, psql -1 or a driver
# without autocommit: TM003 at once for stepwise scripts, with the way out;
# transactional ones work.

use strict;
use warnings;

use TapmigStepwise;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');
my $stepwise = "CREATE TABLE IF NOT EXISTS never (i int);\nCREATE INDEX CONCURRENTLY never_idx ON t (a);\n";
my $n = 100;

sql_try($node, 'CREATE TABLE t (a int)');
sql_try($node, <<'SQL');
CREATE FUNCTION call_run(v text, s text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE o text; BEGIN CALL tapmig.run(v, s, NULL, o); RETURN o; END $$;
SQL
sql_try($node, <<'SQL');
CREATE FUNCTION call_run_dynamic(v text, s text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN EXECUTE format('CALL tapmig.run(%L, %L)', v, s); END $$;
SQL

sub refused
{
	my ($r, $what) = @_;

	is_error($r, 'TM003', undef, "$what: TM003");
	like(join("\n", $r->{message}, $r->{detail} // ''), qr/CREATE INDEX CONCURRENTLY/, "$what: names the statement");
	like($r->{hint}, qr/autocommit/, "$what: hints at autocommit");
	is(sql_value($node, "SELECT to_regclass('never') IS NULL"), 't', "$what: nothing was done");
	is(sql_value($node, "SELECT count(*) FROM pg_stat_activity WHERE $a_worker"), 0, "$what: no worker");
}

# what, SQL with two %s, is the call's outcome its value?
my @ways = (
	[ 'apply',          'SELECT tapmig.apply(%s, %s)' ],
	[ 'function',       'SELECT call_run(%s, %s)' ],
	[ 'EXECUTE in a function', 'SELECT call_run_dynamic(%s, %s)' ],
	[ 'simple query of two statements', 'SELECT 1; CALL tapmig.run(%s, %s)' ],
);

for my $way (@ways)
{
	my ($what, $sql) = @$way;
	my $version = $n++;

	refused(sql_try($node, sprintf($sql, "'$version'", quoted($stepwise))), $what);
	my $r = sql_try($node, sprintf($sql, "'$version'", quoted("CREATE TABLE t$version (i int)")));
	ok($r->{ok}, "$what: a transactional script works") or diag explain $r;
	is(sql_value($node, "SELECT tapmig.is_applied('$version') AND to_regclass('t$version') IS NOT NULL"), 't', "$what: and is recorded");
}

# DO block: the CALL inherits the DO's nonatomic context, but is not top level
{
	my $version = $n++;
	my $do = "DO \$do\$ DECLARE o text; BEGIN CALL tapmig.run('$version', %s, NULL, o); END \$do\$";
	refused(sql_try($node, sprintf($do, quoted($stepwise))), 'DO block');
	my $r = sql_try($node, sprintf($do, quoted("CREATE TABLE t$version (i int)")));
	ok($r->{ok}, 'DO block: a transactional script works') or diag explain $r;
}

# A procedure that calls it
{
	my $version = $n++;
	sql_try($node, 'CREATE PROCEDURE proc_run(v text, s text) LANGUAGE plpgsql AS $$ DECLARE o text; BEGIN CALL tapmig.run(v, s, NULL, o); END $$');
	refused(sql_try($node, "CALL proc_run('$version', " . quoted($stepwise) . ')'), 'procedure');
	my $r = sql_try($node, "CALL proc_run('$version', 'CREATE TABLE t$version (i int)')");
	ok($r->{ok}, 'procedure: a transactional script works') or diag explain $r;
}

# BEGIN
{
	my $version = $n++;
	my $s = session($node);
	$s->try('BEGIN');
	refused($s->try('CALL tapmig.run($1, $2)', bind => [ $version, $stepwise ]), 'BEGIN');
	$s->try('ROLLBACK');
	$s->try('BEGIN');
	my $r = $s->try('CALL tapmig.run($1, $2)', bind => [ $version, "CREATE TABLE t$version (i int)" ]);
	is($r->{value}, 'applied', 'BEGIN: a transactional script works') or diag explain $r;
	is(sql_value($node, "SELECT tapmig.is_applied('$version')"), 'f', 'BEGIN: not before its COMMIT');
	$s->try('COMMIT');
	is(sql_value($node, "SELECT tapmig.is_applied('$version')"), 't', 'BEGIN: and with it');

	# A savepoint in it
	$version = $n++;
	$s->try('BEGIN');
	$s->try('SAVEPOINT s');
	refused($s->try('CALL tapmig.run($1, $2)', bind => [ $version, $stepwise ]), 'SAVEPOINT');
	$s->try('ROLLBACK TO s');
	is($s->try('CALL tapmig.run($1, $2)', bind => [ $version, 'SELECT 1' ])->{value}, 'applied', 'SAVEPOINT: a transactional script works');
	$s->try('COMMIT');
}

# psql -1
{
	my $version = $n++;
	my ($rc, $out, $err) = $node->psql('postgres', "CALL tapmig.run('$version', " . quoted($stepwise) . ')',
		extra_params => [ '-1', '-v', 'VERBOSITY=verbose' ]);
	isnt($rc, 0, 'psql -1: fails');
	like($err, qr/ERROR:  TM003:.*CREATE INDEX CONCURRENTLY/, 'psql -1: TM003');
	like($err, qr/HINT:  .*autocommit/, 'psql -1: the hint');
	($rc, $out, $err) = $node->psql('postgres', "CALL tapmig.run('$version', 'SELECT 1')", extra_params => ['-1']);
	is("$rc $out", '0 applied', 'psql -1: a transactional script works');
}

# A driver without autocommit, as psycopg2 is by default
{
	my $version = $n++;
	my $s = session($node);
	$s->{dbh}{AutoCommit} = 0;
	refused($s->try('CALL tapmig.run($1, $2)', bind => [ $version, $stepwise ]), 'driver without autocommit');
	$s->{dbh}->rollback;
	is($s->try('CALL tapmig.run($1, $2)', bind => [ $version, 'SELECT 1' ])->{value}, 'applied', 'driver without autocommit: a transactional script works');
	$s->{dbh}->commit;
}

# What only the server's refusal shows
{
	my $version = $n++;
	my $s = session($node);
	for my $script ("DO \$\$BEGIN COMMIT; END\$\$", "DO \$\$BEGIN EXECUTE 'VACUUM'; END\$\$",
		"CREATE TYPE e AS ENUM ('a'); COMMIT; BEGIN; ALTER TYPE e ADD VALUE 'b'; COMMIT")
	{
		$s->try('BEGIN');
		my $r = $s->try('CALL tapmig.run($1, $2)', bind => [ $version, $script ]);
		is_error($r, 'TM003', undef, "in a block: $script");
		like($r->{hint}, qr/autocommit/, 'with the hint');
		$s->try('ROLLBACK');
	}
}

is(sql_value($node, 'SELECT count(*) FROM tapmig.attempts'), 0, 'no attempt is recorded');
done_testing();
