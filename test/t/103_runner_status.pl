# status and plan, and the databases that up does not touch unasked.

use strict;
use warnings;

use TapmigTest;
use Test::More;

my $node = tapmig_node('main');
my $dir  = migrations_dir({
		'001_a.sql'           => "CREATE TABLE a (i int);\n",
		"002_gr\xc3\xb6\xc3\x9fe.sql" => "SELECT 1; SELECT 2;\n",
		'010_index.sql'       => "CREATE INDEX CONCURRENTLY a_i ON a (i);\n",
		'011_do.sql'          => "DO \$\$BEGIN END\$\$;\n",
	});

my ($exit, $out, $err) = run_tapmig($node, [ 'status', '--dir', $dir ]);
is($exit, 6, 'status: exit code 6 when something is pending') or diag $err;
is( $out, <<"TABLE", 'status: the table');
VERSION  NAME   STATE    DETAIL
001      a      pending
002      gr\xc3\xb6\xc3\x9fe  pending
010      index  pending
011      do     pending
TABLE
is($err, '', 'status: nothing on standard error');

($exit, $out, $err) = run_tapmig($node, [ 'plan', '--dir', $dir ]);
is($exit, 0, 'plan: exit code 0') or diag $err;
is( $out, <<"TABLE", 'plan: the table');
VERSION  NAME   STATE    SHAPE          STEPS  STATEMENTS
001      a      pending  transactional  1      1
002      gr\xc3\xb6\xc3\x9fe  pending  transactional  1      2
010      index  pending  stepwise       1      1
011      do     pending  depends        1      1
TABLE
is(sql_value($node, "SELECT to_regclass('a') IS NULL AND NOT EXISTS (SELECT FROM tapmig.schema_migrations)"), 't', 'neither runs anything');

run_tapmig($node, [ 'up', '--dir', $dir, '--to', '002' ]);
unlink "$dir/010_index.sql";
($exit, $out, $err) = run_tapmig($node, [ 'status', '--dir', $dir ]);
is($exit, 6, 'still pending');
like($out, qr/^001 +a +applied.*\n002 +\S+ +applied.*\n011 +do +pending$/m, 'the states');
($exit, $out, $err) = run_tapmig($node, [ 'plan', '--dir', $dir ]);
like($out, qr/\AVERSION .*\n011 .*\n\z/, 'plan: pending only');

run_tapmig($node, [ 'up', '--dir', $dir ]);
($exit, $out, $err) = run_tapmig($node, [ 'status', '--dir', $dir ]);
is($exit, 0, 'all applied: exit code 0');
($exit, $out, $err) = run_tapmig($node, [ 'plan', '--dir', $dir ]);
is("$exit|$out|$err", '0||', 'an empty plan');

write_file("$dir/001_a.sql", "CREATE TABLE a (i bigint);\n");
($exit, $out, $err) = run_tapmig($node, [ 'status', '--dir', $dir ]);
is($exit, 6, 'an edited file: exit code 6');
like($out, qr/^001 +a +differs/m, 'its state');
write_file("$dir/001_a.sql", "-- only a comment\nCREATE TABLE a\n(i int);\n");
($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir ]);
is($exit, 0, 'only layout differs');
like($err, qr/\Atapmig: 001_a: NOTICE:  .*\n\z/, 'a notice');
($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir ]);
is("$exit|$out|$err", '0||', 'once');
($exit, $out, $err) = run_tapmig($node, [ 'status', '--dir', $dir ]);
like($out, qr/^001 +a +applied/m, 'and the plan knows');

write_file("$dir/012_bad.sql", "SELECT nosuch();\n");
run_tapmig($node, [ 'up', '--dir', $dir ]);
($exit, $out, $err) = run_tapmig($node, [ 'status', '--dir', $dir ]);
is($exit, 6, 'a failed one: exit code 6');
like($out, qr/^012 +bad +failed +.*nosuch/m, 'with its reason');
unlink "$dir/012_bad.sql";

unlink "$dir/001_a.sql", "$dir/011_do.sql";
($exit, $out, $err) = run_tapmig($node, [ 'status', '--dir', $dir ]);
is($exit, 0, 'missing and ahead are nothing to do: exit code 0');
like($out, qr/^001 +a +missing/m, 'missing');
like($out, qr/^011 +do +ahead/m, 'ahead');
($exit, $out, $err) = run_tapmig($node, [ $_, '--strict', '--dir', $dir ]), is($exit, 4, "$_ --strict: exit code 4") for qw(status plan up);
write_file("$dir/012_next.sql", "CREATE TABLE next (i int);\n");
($exit, $out, $err) = run_tapmig($node, [ 'up', '--strict', '--dir', $dir ]);
is("$exit|$out|" . sql_value($node, "SELECT to_regclass('next') IS NULL"), '4||t', 'and --strict ran nothing');

# --------------------------------------- a database with tables and no ledger

my $old   = tapmig_database($node, 'old');
my $files = migrations_dir({ '001_a.sql' => 'CREATE TABLE a (i int)', '002_b.sql' => 'CREATE TABLE b (i int)' });
my @old   = (dbname => $old);
$node->safe_psql($old, 'CREATE TEMP TABLE t (i int); CREATE VIEW v AS SELECT 1');
($exit, $out, $err) = run_tapmig($node, [ 'plan', '--dir', $files ], @old);
is($exit, 0, 'plan does not mind');
$node->safe_psql($old, 'CREATE SCHEMA app; CREATE TABLE app.a (i int)');
($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $files ], @old);
is($exit, 4, 'up refuses: exit code 4');
like($err, qr/\Atapmig: the database has tables \(app\.a, 1 in all\) and nothing in its ledger; nothing was run\nHINT:  .*baseline.*--force-empty/,
	'its message has the ways out');
is($out . sql_value($node, "SELECT to_regclass('a') IS NULL", @old), 't', 'nothing ran');
($exit, $out, $err) = run_tapmig($node, [ 'status', '--dir', $files ], @old);
is($exit, 6, 'status shows it');
($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $files, '--force-empty', '--to', '1' ], @old);
is($exit, 0, '--force-empty') or diag $err;
($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $files ], @old);
is($exit, 0, 'afterwards the ledger is not empty');

my $other = tapmig_database($node, 'other');
$node->safe_psql($other, "CREATE TABLE a (i int); SELECT tapmig.register('1', track => 'module')");
($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', migrations_dir({ '001_c.sql' => 'CREATE TABLE c (i int)' }) ], dbname => $other);
is($exit, 0, 'a row in another track is enough') or diag $err;

my $extension = tapmig_database($node, 'extension');
$node->safe_psql($extension, 'CREATE SCHEMA x; CREATE TABLE x.member (i int); ALTER EXTENSION tapmig ADD TABLE x.member');
($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $files ], dbname => $extension);
is($exit, 0, "an extension's tables are not the user's") or diag $err;

done_testing();
