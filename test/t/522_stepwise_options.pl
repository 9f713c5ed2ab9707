# A stepwise script's transaction options and RESETs mean what they mean in psql;
# an error at a commit has its place; a refused statement is not tried twice.

use strict;
use warnings;

use TapmigTest;
use Test::More;

my $node = tapmig_node('main');

sql_try($node, $_)
  for 'CREATE TABLE seen (what text, n serial)',
  'CREATE TABLE parent (i int PRIMARY KEY)',
  'CREATE TABLE child (i int REFERENCES parent DEFERRABLE INITIALLY DEFERRED)',
  'CREATE DATABASE other', "ALTER DATABASE postgres SET work_mem = '9MB'";

is_error(
	run($node, 1, "BEGIN READ ONLY;\nINSERT INTO seen VALUES ('x');\nCOMMIT;\nVACUUM seen;\n"),
	'25006', qr/read-only transaction/, 'BEGIN READ ONLY is obeyed');
is(sql_value($node, 'SELECT count(*) FROM seen'), 0, 'and nothing is written');

is( run($node, 2,
		"VACUUM seen;\nBEGIN ISOLATION LEVEL SERIALIZABLE;\n"
		  . "INSERT INTO seen SELECT current_setting('transaction_isolation');\nCOMMIT;\n"
		  . "BEGIN;\nINSERT INTO seen SELECT current_setting('transaction_isolation');\nCOMMIT;\n"
		  . "BEGIN READ ONLY;\nSELECT 1;\nCOMMIT;\n")->{value},
	'applied', 'a level for one of several transactions');
is(sql_value($node, "SELECT string_agg(what, ',' ORDER BY what DESC) FROM seen"),
	'serializable,read committed', 'holds in that one only');

sql_try($node, 'DELETE FROM seen');
is( run($node, 7,
		"BEGIN ISOLATION LEVEL SERIALIZABLE;\n"
		  . join("COMMIT AND CHAIN;\n", ("INSERT INTO seen SELECT current_setting('transaction_isolation');\n") x 3)
		  . "COMMIT;\nBEGIN;\nINSERT INTO seen SELECT current_setting('transaction_isolation');\nCOMMIT;\n")->{value},
	'applied', 'COMMIT AND CHAIN');
is(sql_value($node, "SELECT string_agg(what, ',' ORDER BY what DESC) FROM seen"),
	'serializable,serializable,serializable,read committed', 'hands the level on, COMMIT does not');
sql_try($node, 'DELETE FROM seen');
is( run($node, 9,
		"VACUUM seen;\nBEGIN;\nSET TRANSACTION ISOLATION LEVEL SERIALIZABLE;\n"
		  . join("COMMIT AND CHAIN;\n", ("INSERT INTO seen SELECT current_setting('transaction_isolation');\n") x 2)
		  . "COMMIT;\n")->{value},
	'applied', 'SET TRANSACTION, COMMIT AND CHAIN');
is(sql_value($node, "SELECT string_agg(what, ',') FROM seen"), 'serializable,serializable', 'hands that on, too');
sql_try($node, 'DELETE FROM seen');
is( run($node, 12,
		"BEGIN ISOLATION LEVEL SERIALIZABLE;\nINSERT INTO seen SELECT current_setting('transaction_isolation');\nCOMMIT AND CHAIN;\nCOMMIT;\n"
		  . "BEGIN;\nINSERT INTO seen SELECT current_setting('transaction_isolation');\nCOMMIT;\n"
		  . "BEGIN ISOLATION LEVEL REPEATABLE READ;\nCOMMIT;\n")->{value},
	'applied', 'transactions in which nothing runs');
is(sql_value($node, "SELECT string_agg(what, ',') FROM seen"), 'serializable,read committed', 'have no say in the others');
is_error(
	run($node, 8, "BEGIN READ ONLY;\nSELECT 1;\nCOMMIT AND CHAIN;\nINSERT INTO seen VALUES ('x');\nCOMMIT;\n"),
	'25006', qr/read-only transaction/, 'and READ ONLY');
sql_try($node, "SELECT tapmig.abandon('8', 'test')");

sql_try($node, 'DELETE FROM seen');
is( run($node, 3,
		"VACUUM seen;\nINSERT INTO seen SELECT current_setting('work_mem');\nRESET work_mem;\n"
		  . "INSERT INTO seen SELECT current_setting('work_mem');\n", options => '')->{value},
	'applied', 'a RESET in the worker');
my $session = session($node);
$session->try("SET work_mem = '8MB'");
$session->try("CALL tapmig.run('4', E'VACUUM seen;\\nINSERT INTO seen SELECT current_setting(''work_mem'');\\nRESET work_mem;\\nINSERT INTO seen SELECT current_setting(''work_mem'');')");
$session->close;
is(sql_value($node, "SELECT string_agg(what, ',' ORDER BY n) FROM seen"), '9MB,9MB,8MB,9MB',
	"gives the database's default, as in the session");

# Too late for an option: no statement that has to run alone.
sql_try($node, 'DELETE FROM seen');
for my $too_late ("SELECT set_config('transaction_isolation', 'serializable', true)",
	"DO 'BEGIN SET TRANSACTION ISOLATION LEVEL SERIALIZABLE; END'",
	"DO 'BEGIN SET TRANSACTION DEFERRABLE; END'", "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE")
{
	my $r = run($node, 10, "INSERT INTO seen VALUES ('x');\n$too_late;\n");
	is_error($r, '25001', qr/must be called before any query|within a subtransaction/, "transactional: $too_late");
	is(sql_value($node, 'SELECT count(*) FROM seen'), 0, 'and the script is rolled back');
	$r = run($node, 11, "VACUUM seen;\nINSERT INTO seen VALUES ('x');\n$too_late;\n");
	is_error($r, '25001', qr/must be called before any query/, "in a step: $too_late");
	is(sql_value($node, 'SELECT count(*) FROM seen'), 0, 'and the step is rolled back');
	like($r->{hint}, qr/^1 of its 2 steps are done/, 'with no wrong advice');
}

my $r = run($node, 5, "VACUUM seen;\nDO \$\$BEGIN COMMIT; INSERT INTO child VALUES (1); END\$\$;\n");
is_error($r, '23503', qr/foreign key/, 'an error at the commit of a statement that runs alone');
like($r->{context}, qr/migration 5, statement 2 of 2, line 2/, 'has its place');
is(sql_value($node, "SELECT line FROM tapmig.attempts WHERE version = '5'"), 2, 'also in the attempt');

$r = run($node, 6, "DO \$\$BEGIN RAISE NOTICE 'once more'; COMMIT; END\$\$");
is($r->{value}, 'applied', 'a DO that commits');
is(scalar(grep { /once more/ } @{ $r->{notices} }), 2,
	'runs in one try that is rolled back, and alone');

done_testing();
