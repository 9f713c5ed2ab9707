# A worker that sends many messages: a client that reads gets each of them, and
# nothing hangs.

use strict;
use warnings;

use IPC::Run ();
use TapmigStepwise;
use TapmigTest;
use Test::More;

my $node = tapmig_node('main', conf => "log_min_messages = warning\nautovacuum = off\n");

# psql, which reads as fast as it can; its standard error in a file.
sub psql_run
{
	my ($version, $script) = @_;
	my $err = scratch_dir() . '/err';
	local %ENV = $node->_get_env(PGDATABASE => 'postgres');
	my $good = IPC::Run::run(
		[ 'psql', '-XqAt', '-c', "CALL tapmig.run('$version', " . quoted($script) . ')' ],
		'<', '/dev/null', '>', \my $out, '2>', $err, IPC::Run::timeout(120));
	return ($good, $out, read_file($err));
}

my ($good, $out, $err) = psql_run('001',
	"DO \$\$BEGIN COMMIT; FOR i IN 1..100000 LOOP RAISE NOTICE 'notice % of many', i; END LOOP; END\$\$;\n");
ok($good, '100,000 NOTICEs: the migration ends') or diag substr($err, -1000);
like($out, qr/^applied$/m, 'it is applied');
my @numbers = $err =~ /^NOTICE:  notice (\d+) of many$/mg;
is(scalar @numbers, 100_000, 'the client gets every one of them');
is(join(',', @numbers), join(',', 1 .. 100_000), 'in order');

# A NOTICE bigger than the queue
($good, $out, $err) = psql_run('002', "DO \$\$BEGIN COMMIT; RAISE NOTICE '%', repeat('x', 300000); RAISE NOTICE 'after'; END\$\$;\n");
my ($long) = $err =~ /^NOTICE:  (x+)$/m;
is(length($long // ''), 300_000, 'a NOTICE bigger than the queue comes whole');
like($err, qr/^NOTICE:  after$/m, 'and what follows it');

# So does an error, which the attempt keeps.
my $r = run($node, '003', "DO \$\$BEGIN COMMIT; RAISE EXCEPTION '%', repeat('y', 200000) USING DETAIL = repeat('z', 100), HINT = 'the hint', ERRCODE = 'AB123'; END\$\$;\n");
is_error($r, 'AB123', qr/^y+/, 'a long error comes');
is($r->{detail}, 'z' x 100, 'with its detail');
like($r->{hint}, qr/^the hint/, 'and hint');
is(attempt($node, '003')->{sqlstate}, 'AB123', 'the attempt has it');

# VACUUM VERBOSE of many tables and a big one
sql_try($node, <<'SQL');
CREATE TABLE big AS SELECT g AS a, repeat('x', 100) AS b FROM generate_series(1, 200000) g;
CREATE INDEX big_a ON big (a);
CREATE INDEX big_b ON big (b);
DELETE FROM big WHERE a % 2 = 0;
DO $$BEGIN FOR i IN 1..100 LOOP EXECUTE format('CREATE TABLE small_%s (a int primary key, b text)', i); END LOOP; END$$;
SQL

# The session's end reports what it has deleted; behind the vacuum's own report it
# would count once more.
ok(wait_until($node, "SELECT n_dead_tup >= 100000 FROM pg_stat_user_tables WHERE relname = 'big'"), 'rows are to be vacuumed');
($good, $out, $err) = psql_run('004', "VACUUM (VERBOSE, ANALYZE);\n");
ok($good, 'VACUUM VERBOSE of everything ends') or diag $err;
like($err, qr/INFO:  vacuuming "postgres.public.big"/, 'its messages come');
my @small = $err =~ /INFO:  vacuuming "postgres.public.(small_\d+)"/g;
is(scalar @small, 100, 'for every table');
cmp_ok(sql_value($node, "SELECT n_dead_tup FROM pg_stat_user_tables WHERE relname = 'big'"), '<', 100_000, 'it was vacuumed');

# What the client does not want to see does not come.
my $s = session($node);
$s->try('SET client_min_messages = warning');
$r = $s->try('CALL tapmig.run($1, $2)', bind => [ '005', "DO \$\$BEGIN COMMIT; RAISE NOTICE 'no'; RAISE WARNING 'yes'; END\$\$;" ]);
is($r->{value}, 'applied', 'client_min_messages: applied');
is(scalar(grep { /NOTICE:  no/ } @{ $r->{notices} }), 0, 'no NOTICE');
is(scalar(grep { /WARNING:  yes/ } @{ $r->{notices} }), 1, 'the WARNING');

# Each NOTICE of a script that is refused and cut comes once from the worker.
$r = run($node, '006', "CREATE TABLE t6 (i int);\nDO \$\$BEGIN RAISE NOTICE 'once'; COMMIT; END\$\$;\nCREATE INDEX CONCURRENTLY ON t6 (i);\n");
is(scalar(grep { /NOTICE:  once/ } @{ $r->{notices} }), 2, 'the NOTICE of a refused and of the final try')
  or diag join("\n", @{ $r->{notices} });

done_testing();
