# A migration that takes another one back; the plan as Markdown.

use strict;
use warnings;

use JSON::PP ();
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');
my $dir  = migrations_dir({
		'035_a.sql' => "CREATE TABLE a (i int);\n",
		'036_b.sql' => "ALTER TABLE a ADD COLUMN j int;\n",
	});

sub tapmig { return run_tapmig($node, [ @_, '--dir', $dir ]); }

# ---------------------------------------------------------------- new

my ($exit, $out, $err) = tapmig('new', '--compensates', '36', 'drop j');
is("$exit|$out", "0|$dir/037_drop_j.sql\n", 'new --compensates') or diag $err;
is(read_file("$dir/037_drop_j.sql"), "-- Why: \n-- tapmig: compensates=036\n\n",
	"the skeleton names the version as its file does");
($exit, $out, $err) = tapmig('new', '--compensates', '99', 'x');
is("$exit|$out", '2|', 'a version without a file is refused');
like($err, qr/no file of version 99 in/, 'its message');
ok(!-e "$dir/038_x.sql", 'and no file is made');
is((tapmig('new', '--compensates', '036_b', 'label'))[0], 0, 'a label will do');
like(read_file("$dir/038_label.sql"), qr/compensates=036$/m, 'and is cut to its version');
unlink "$dir/038_label.sql";
($exit, $out, $err) = tapmig('new', '');
is("$exit|$out", '2|', "new ''");
like($err, qr/a migration's name needs a letter or a digit/, 'its message');
($exit, $out, $err) = tapmig('up', '--compensates', '36');
like($err, qr/--compensates does not belong to up/, 'it is for new only');

# ---------------------------------------------------------------- plan --markdown

write_file("$dir/037_drop_j.sql", read_file("$dir/037_drop_j.sql") . "ALTER TABLE a DROP COLUMN j;\n");
write_file("$dir/038_x|y`\\.sql", "CREATE INDEX CONCURRENTLY ON a (i);\nSELECT 1;\n");
($exit, $out, $err) = tapmig('plan', '--markdown');
is("$exit|$err", '0|', 'plan --markdown');
is($out, <<'TABLE', 'is a table, with what Markdown knows quoted');
| version | name | shape | steps |
|---|---|---|---|
| 035 | a | transactional | 1 |
| 036 | b | transactional | 1 |
| 037 | drop_j | transactional | 1 |
| 038 | x\|y\`\\ | stepwise | 2 |
TABLE
unlink "$dir/038_x|y`\\.sql";

# ---------------------------------------------------------------- status

# Before it is applied its file says so, whatever else is in the directory.
write_file("$dir/038_it's.sql", "-- tapmig: compensates=99\nSELECT 1;\n");
write_file("$dir/039_not_read.sql", "-- tapmig: compensates=35, nosuch=1\nSELEC;\n");
($exit, $out, $err) = tapmig('status');
is("$exit|$err", '6|', 'status with a pair that is pending');
like($out, qr/^036 +b +pending +compensated by 037, which is pending$/m, 'what is taken back');
like($out, qr/^037 +drop_j +pending +compensates 036$/m, 'and what will do it');
like($out, qr/^038 +it's +pending +compensates 99, which is unknown$/m, 'a version that nobody knows');
like($out, qr/^039 +not_read +pending$/m, 'a file that the server cannot read');
my $json = JSON::PP::decode_json((tapmig('status', '--json'))[1]);
is_deeply([ map { $_->{compensates} } @{ $json->{versions} } ], [ undef, undef, ['036'], ['99'], undef ], 'status --json');
$node->safe_psql('postgres', 'CREATE ROLE reader LOGIN; GRANT EXECUTE ON FUNCTION tapmig.plan, tapmig.report TO reader');
for my $arguments ([], ['--json'])
{
	($exit, $out, $err) = run_tapmig($node, [ 'status', '--dir', $dir, @$arguments ], env => { PGUSER => 'reader' });
	is("$exit|$err", '6|', "a role that may read plans only @$arguments");
	like($out, qr/drop_j/, 'sees the rest');
}
unlink "$dir/038_it's.sql", "$dir/039_not_read.sql";
($exit, $out, $err) = tapmig('up', '--to', '36');
is($exit, 0, 'up --to') or diag $err;
like((tapmig('status'))[1], qr/^036 .* by \w+; compensated by 037, which is pending$/m, 'after what is applied');

($exit, $out, $err) = tapmig('up');
is($exit, 0, 'up') or diag $err;
($exit, $out, $err) = tapmig('status');
like($out, qr/^035 .* by \w+$/m, 'status: no word of a pair where there is none');
like($out, qr/^036 .* by \w+; compensated by 037$/m, 'what is taken back');
like($out, qr/^037 .* by \w+; compensates 036$/m, 'and what takes it back');

# A by-hand row may bring what no script could.
sql_value($node, <<'SQL');
INSERT INTO tapmig.schema_migrations (version, directives) VALUES ('050', '{"compensates": 7}')
SQL
is((tapmig('status'))[0], 0, 'a directive of another form does not hurt');

# ---------------------------------------------------------------- refused

write_file("$dir/060_wrong.sql", "-- tapmig: compensates=099\nDROP TABLE a;\n");
($exit, $out, $err) = tapmig('up');
is("$exit|$out", '1|', 'an unknown version is refused');
like($err, qr/^tapmig: 060_wrong: ERROR:  migration 060_wrong compensates 099, which is not applied\nDETAIL:  .*\nHINT:  Correct the version/,
	'its message');
like($err, qr/SQLSTATE TM006/, 'and code');
is(sql_value($node, "SELECT to_regclass('a')"), 'a', 'nothing of it ran');
write_file("$dir/060_wrong.sql", "-- tapmig: compensates=060\nDROP TABLE a;\n");
like((tapmig('up'))[2], qr/SQLSTATE TM006/, 'it cannot take back itself');
write_file("$dir/060_wrong.sql", "-- tapmig: compensates=35\nCREATE INDEX CONCURRENTLY ON a (i);\n");
is((tapmig('up'))[0], 0, 'a stepwise one, another way to write the version');
like((tapmig('status'))[1], qr/^060 .*; compensates 35$/m, 'is a pair too');

# ---------------------------------------------------------------- one bad script

write_file("$dir/061_bad.sql", "SELEC;\n");
write_file("$dir/062_good.sql", "SELECT 1;\n");
($exit, $out, $err) = tapmig('plan');
is($exit, 1, 'plan: a script that the server cannot read: exit code 1');
is($out, <<'TABLE', 'the others are shown all the same');
VERSION  NAME  STATE    SHAPE          STEPS  STATEMENTS
061      bad   pending  unreadable
062      good  pending  transactional  1      1
TABLE
like($err, qr/^tapmig: 061_bad: ERROR:  syntax error.*^tapmig: the server cannot read every script/ms, 'its message');

done_testing();
