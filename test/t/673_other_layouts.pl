# Other tools' directories on a new database: up runs the up parts, as they
# are, and nothing else.

use strict;
use warnings;

use TapmigTest;
use Test::More;

my $node = tapmig_node('main');
my $n    = 0;

# layout NAME, [ labels in order ], { files }, tables that are there afterwards
sub layout
{
	my ($name, $labels, $files, $tables, %opt) = @_;
	my $database = tapmig_database($node, 'layout' . ++$n);
	my $dir      = migrations_dir($files);

	my ($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir ], dbname => $database);
	is($exit, 0, "$name: up") or diag $err;
	is($out =~ s/ \(\d+ ms\)//gr, join('', map { "applied $_\n" } @$labels), "$name: what is applied");
	is($err, $opt{err} // '', "$name: no other word") if !ref $opt{err};
	like($err, $opt{err}, "$name: what is said") if ref $opt{err};
	is(sql_value($node, "SELECT coalesce(string_agg(relname, ' ' ORDER BY relname), '') FROM pg_class WHERE relkind IN ('r', 'i') AND relnamespace = 'public'::regnamespace", dbname => $database),
		$tables, "$name: what is there");
	is(sql_value($node, "SELECT encode(checksum, 'hex') FROM tapmig.schema_migrations ORDER BY tapmig.version_key(version) LIMIT 1", dbname => $database),
		sha256_file("$dir/$opt{first}"), "$name: the checksum is the file's")
	  if $opt{first};
	($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir ], dbname => $database);
	is("$exit|$out", '0|', "$name: nothing to do") or diag $err;
	return ($database, $dir);
}

my ($database, $dir) = layout('dbmate', [ '20200101120000_a', '20200102120000_b' ],
	{
		'20200101120000_a.sql' => "-- migrate:up\nCREATE TABLE a (i int);\nCREATE TABLE a2 (i int)\n\n-- migrate:down\nDROP TABLE a;\n",
		'20200102120000_b.sql' => "-- migrate:up transaction:false\nCREATE INDEX CONCURRENTLY a_i ON a (i);\n\n-- migrate:down transaction:false\nDROP INDEX CONCURRENTLY a_i;\n",
	},
	'a a2 a_i', first => '20200101120000_a.sql');
# An edit of the down part is none
write_file("$dir/20200101120000_a.sql", "-- migrate:up\nCREATE TABLE a (i int);\nCREATE TABLE a2 (i int)\n\n-- migrate:down\nDROP TABLE a, a2;\n");
my ($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir ], dbname => $database);
is("$exit|$out", '0|', 'an edited down part is not run');
like($err, qr/NOTICE:  .*layout or comments only/, 'but mentioned');
write_file("$dir/20200101120000_a.sql", "-- migrate:up\nCREATE TABLE a (i int);\n\n-- migrate:down\nDROP TABLE a, a2;\n");
($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir ], dbname => $database);
is($exit, 4, 'an edited up part is TM001') or diag $err;
($exit, $out, $err) = run_tapmig($node, [ 'plan', '--dir', migrations_dir({ '1_a.sql' => "-- migrate:up\nSELECT 1;\n-- migrate:down\nVACUUM;\nSELECT 2;" }) ], dbname => tapmig_database($node, 'planned'));
like($out, qr/^1 +a +pending +transactional +1 +1$/m, 'plan counts the up part alone') or diag $err;

layout('goose', [ '00001_a', '00002_b' ],
	{
		'00001_a.sql' => "-- +goose Up\nCREATE TABLE a (i int);\n\n-- +goose StatementBegin\nCREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS \$\$\nBEGIN\n\tRETURN 1;\nEND;\n\$\$\n-- +goose StatementEnd\n\n-- +goose Down\nDROP FUNCTION f();\nDROP TABLE a;\n",
		'00002_b.sql' => "-- +goose NO TRANSACTION\n-- +goose Up\nCREATE INDEX CONCURRENTLY a_i ON a (i);\n-- +goose Down\nDROP INDEX CONCURRENTLY a_i;\n",
		'00003_go.go' => "package migrations\n" },
	'a a_i', first => '00001_a.sql');

layout('sql-migrate', [ '1_a', '2_b' ],
	{
		'1_a.sql' => "-- +migrate Down\nDROP TABLE a;\n-- +migrate Up\nCREATE TABLE a (i int);\n",
		'2_b.sql' => "-- +migrate Up notransaction\nCREATE INDEX CONCURRENTLY a_i ON a (i);\n-- +migrate Down\nDROP INDEX a_i;\n" },
	'a a_i');

layout('MyBatis', ['20200101120000_a'],
	{ '20200101120000_a.sql' => "-- // create a\n-- Migration SQL that makes the change goes here.\n\nCREATE TABLE a (i int);\n\n-- //\@UNDO\n-- SQL to undo the change goes here.\n\nDROP TABLE a;\n" }, 'a');

layout('node-pg-migrate', [ '1600000000000_a', '1600000100000_b' ],
	{
		'1600000000000_a.sql' => "-- Up Migration\nCREATE TABLE a (i int);\n-- Down Migration\nDROP TABLE a;\n", '1600000100000_b.up.sql' => 'CREATE TABLE b (i int)',
		'1600000100000_b.down.sql' => 'DROP TABLE b', '1600000200000_c.js' => "exports.up = (pgm) => {};\n" },
	'a b');

layout('Flyway', [ 'V1__a', 'V1_2__b', 'V1.10__c', 'V2__d' ],
	{
		'V1__a.sql' => 'CREATE TABLE a (i int)', 'V1_2__b.sql' => 'CREATE TABLE b (i int)', 'V1.10__c.sql' => 'CREATE TABLE c (i int)', 'V2__d.sql' => 'CREATE TABLE d (i int)',
		'U2__d.sql' => 'DROP TABLE d', 'R__views.sql' => 'CREATE TABLE r (i int)', 'V2__d.sql.conf' => 'executeInTransaction=false' },
	'a b c d', err => qr{\Atapmig: WARNING:  \S+/R__views\.sql is ignored: a repeatable migration has no version; .*\n\z});

layout('NNN/up.sql', [ '001', '2' ], { '001/up.sql' => 'CREATE TABLE a (i int)', '001/down.sql' => 'DROP TABLE a', '2/up.sql' => 'CREATE TABLE b (i int)', '2/down.sql' => 'DROP TABLE b' }, 'a b');

layout('Diesel', [ '00000000000000_diesel_initial_setup', '2020-01-02-100000_a' ],
	{
		'00000000000000_diesel_initial_setup/up.sql' => 'CREATE TABLE s (i int)', '00000000000000_diesel_initial_setup/down.sql' => 'DROP TABLE s',
		'2020-01-02-100000_a/up.sql' => 'CREATE TABLE a (i int)', '2020-01-02-100000_a/down.sql' => 'DROP TABLE a', '2020-01-02-100000_a/metadata.toml' => "run_in_transaction = false\n" },
	'a s');

layout('Prisma', ['20240101100000_a'], { '20240101100000_a/migration.sql' => "-- CreateTable\nCREATE TABLE \"a\" (i int);\n", 'migration_lock.toml' => '' }, 'a');

layout('golang-migrate', [ '000001_a', '000002_b' ],
	{ '000001_a.up.sql' => 'CREATE TABLE a (i int)', '000001_a.down.sql' => 'DROP TABLE a', '000002_b.up.sql' => "BEGIN;\nCREATE TABLE b (i int);\nCOMMIT;\n", '000002_b.down.sql' => 'DROP TABLE b' }, 'a b');

layout('graphile-migrate', ['000001'],
	{ 'committed/000001.sql' => "--! Previous: -\n--! Hash: sha1:e00e\n\nCREATE TABLE a (i int);\n", 'current.sql' => 'CREATE TABLE current (i int)' }, 'a', first => 'committed/000001.sql');

layout('Sqitch', [ '20190101100000_a', '20190101100000.2_b' ],
	{
		'sqitch.plan' => "%syntax-version=1.0.0\n%project=x\n\na 2019-01-01T10:00:00Z Ann <a\@b.c> # one\n# a comment\nb [a !c] 2019-01-01T10:00:00Z Ann <a\@b.c> # 2018-01-01T00:00:00Z is no time of it\n\@v1 2019-01-01T10:00:00Z Ann <a\@b.c> # tag\n",
		'sqitch.conf' => "[core]\n", 'deploy/a.sql' => "-- Deploy x:a to pg\n\nBEGIN;\n\nCREATE TABLE a (i int);\n\nCOMMIT;\n", 'deploy/b.sql' => 'CREATE TABLE b (i int)',
		'deploy/unplanned.sql' => 'CREATE TABLE unplanned (i int)', 'revert/a.sql' => 'DROP TABLE a', 'verify/a.sql' => 'SELECT 1 / 0' },
	'a b', first => 'deploy/a.sql');
($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', migrations_dir({ 'sqitch.plan' => "a 2019-01-01T10:00:00Z Ann <a\@b.c> # one\n" }) ], dbname => 'layout1');
is($exit, 2, 'a plan without its script: exit code 2');
like($err, qr{cannot read \S+/deploy/a\.sql}, 'its message');

done_testing();
