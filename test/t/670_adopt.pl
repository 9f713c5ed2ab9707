# Moving in: each tool's ledger is found, shown, and registered with its times
# and sources; its files are read as they are; what it says has failed is not
# taken for applied.

use strict;
use warnings;

use Compress::Zlib ();
use Digest::SHA ();
use TapmigTest;
use Test::More;

my $node = tapmig_node('main', conf => "timezone = 'Europe/Berlin'\n");

# A ledger's fixture in a database of its own; %{$opt{replace}}: what stands in it.
sub moved_in
{
	my ($tool, %opt) = @_;
	my $database = tapmig_database($node, "adopt_$tool" =~ tr/-/_/r);
	my $sql      = read_file(fixture("ledgers/$tool.sql"));

	$sql =~ s/\Q$_\E/$opt{replace}{$_}/g for keys %{ $opt{replace} || {} };
	$node->safe_psql($database, "$sql\n" . ($opt{also} // ''));
	return $database;
}

# The ledger as lines: label, time in UTC, source, has it a checksum?
sub ledger
{
	my ($database) = @_;
	my $r = sql_try($node,
		"SELECT concat_ws('_', version, name), to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US'), source,"
		  . " CASE WHEN checksum IS NULL THEN 'no file' ELSE 'file' END, kind FROM tapmig.schema_migrations"
		  . ' ORDER BY tapmig.version_key(version) COLLATE "C"',
		dbname => $database);

	return [ map { join '|', @$_ } @{ $r->{rows} } ];
}

# %opt: files, dir (below the directory), rows (of the ledger afterwards, in
# UTC; undef as time: now), left (regexp for what is not registered), up (what
# up then applies), replace, also.
sub adopts
{
	my ($tool, %opt) = @_;
	my $database = moved_in($tool, %opt);
	my $dir      = migrations_dir($opt{files}) . ($opt{dir} // '');
	my @where    = ('--dir', $dir);

	my ($exit, $out, $err) = run_tapmig($node, [ 'adopt', @where ], dbname => $database);
	is($exit, 0, "$tool: shown") or diag $err;
	like($out, qr/\A\S+ is the ledger of: \Q$tool\E\n/, "$tool: the tool is named");
	my @registered = $out =~ /^register +(\S+)/mg;
	is(scalar @registered, scalar @{ $opt{rows} }, "$tool: what it would register") or diag $out;
	is(sql_value($node, 'SELECT count(*) FROM tapmig.schema_migrations', dbname => $database), 0, "$tool: and does not");
	like($out, $opt{shown}, "$tool: more of it") if $opt{shown};

	($exit, $out, $err) = run_tapmig($node, [ 'adopt', '--yes', @where ], dbname => $database);
	is($exit, 0, "$tool: adopted") or diag $err;
	is_deeply([ $out =~ /^registered (\S+)/mg ], \@registered, "$tool: each is named");
	if ($opt{left}) { like($err, $opt{left}, "$tool: what is left out") }
	else            { is($err, '', "$tool: nothing is left out") }

	my @rows = @{ ledger($database) };
	for my $i (0 .. $#{ $opt{rows} })
	{
		my ($label, $at, $source, $file) = @{ $opt{rows}[$i] };
		my @is = split /\|/, $rows[$i] // '';

		$is[1] = 'now' if !defined $at;
		is(join('|', @is), join('|', $label, $at // 'now', $source, $file ? 'file' : 'no file', 'registered'), "$tool: $label");
	}
	is(scalar @rows, scalar @{ $opt{rows} }, "$tool: no other row");

	($exit, $out, $err) = run_tapmig($node, [ 'adopt', '--yes', @where ], dbname => $database);
	is($exit, 0, "$tool: adopted again");
	like($out, qr/\Anothing to do: /, "$tool: nothing to do");

	($exit, $out, $err) = run_tapmig($node, [ 'up', @where ], dbname => $database);
	is($exit, 0, "$tool: up") or diag $err;
	is($out =~ s/ \(\d+ ms\)//gr, join('', map { "applied $_\n" } @{ $opt{up} || [] }), "$tool: runs what is new");
	is(sql_value($node, 'SELECT count(*) FROM tapmig.verify()', dbname => $database), 0, "$tool: verify");
	return $database;
}

# Would fail if it were run: what is registered is not.
my $applied = "SELECT 1 / 0;\n";

# As Flyway does it: over the lines without their ends and without a BOM, signed.
sub flyway_checksum
{
	return unpack 'l', pack 'L', Compress::Zlib::crc32($_[0] =~ s/\A\xef\xbb\xbf//r =~ s/[\r\n]//gr);
}

my $lines = "\xef\xbb\xbf-- gr\xc3\xbcn\r\n$applied\r\n\n-- end\r-- without";
adopts('flyway',
	files => {
		'V0.9__older.sql' => $applied, 'V1__old.sql' => $applied, 'V1_2__create_hosts.sql' => $applied, 'V1.10__add_index.sql' => $applied,
		'V3__undone.sql' => 'CREATE TABLE t3 (i int)', 'U3__undone.sql' => 'DROP TABLE t3', 'V4__again.sql' => $lines,
		'V6__concurrent_index.sql' => 'CREATE TABLE t6 (i int)', 'V7__new.sql' => 'CREATE TABLE t7 (i int)' },
	rows => [
		[ '0.9_older', '2022-01-01 08:00:00.000000', 'flyway: << Flyway Baseline >> (app)', 1 ],
		[ '1_old', '2022-01-01 08:00:00.000000', 'flyway: << Flyway Baseline >> (app)', 1 ],
		[ '1.2_create_hosts', '2022-01-02 08:00:00.500000', 'flyway: V1_2__create_hosts.sql (app)', 1 ],
		[ '1.10_add_index', '2022-01-03 08:00:00.000000', 'flyway: V1.10__add_index.sql (app)', 0 ],
		[ '2_seed', '2022-01-04 08:00:00.000000', 'flyway: db.migration.V2__seed (app)', 0 ],
		[ '4_again', '2022-01-09 08:00:00.000000', 'flyway: V4__again.sql (app)', 1 ] ],
	replace => { ' 1234567,' => ' ' . flyway_checksum($applied) . ',', "'V4__again.sql', 5," => "'V4__again.sql', " . flyway_checksum($lines) . ',' },
	shown => qr/^register +V1\.10__add_index .*(?<!\.sql)  its file was edited since: recorded without its content\n(?s:.*)^pending +V7__new /m,
	left  => qr/\A(?=.*V3__undone is not in force by the old ledger, and not recorded: undone\n)(?=.*5_deleted .*deleted by flyway repair\n)(?=.*V6__concurrent_index .*: failed\n)(?=.*R__views .*repeatable)(?:tapmig: WARNING:.*\n){4}\z/s,
	up => [ 'V3__undone', 'V6__concurrent_index', 'V7__new' ]);

adopts('golang-migrate',
	files => {
		'000001_one.up.sql' => $applied, '000001_one.down.sql' => $applied, '000002_two.up.sql' => $applied, '000002_two.down.sql' => $applied,
		'000003_three.up.sql' => 'CREATE TABLE t3 (i int)', '000003_three.down.sql' => $applied },
	rows  => [ [ '000001_one', undef, 'golang-migrate', 1 ], [ '000002_two', undef, 'golang-migrate', 1 ] ],
	shown => qr/^register +000001_one +not known .*at or below 2$/m,
	up    => ['000003_three']);

adopts('goose',
	files => {
		'20210501101112_a.sql' => "-- +goose Up\n$applied", '20210502101112_b.sql' => "-- +goose Up\n$applied",
		'20210503101112_c.sql' => "-- +goose Up\nCREATE TABLE c (i int);\n-- +goose Down\nDROP TABLE c;\n" },
	rows => [ [ '20210501101112_a', '2021-05-01 08:00:01.000000', 'goose', 1 ], [ '20210502101112_b', '2021-05-04 08:00:00.000000', 'goose', 1 ] ],
	left => qr/20210503101112_c .*: rolled back\n\z/,
	up   => ['20210503101112_c']);

adopts('dbmate',
	files => {
		'20200101120000_a.sql' => "-- migrate:up\n$applied-- migrate:down\n$applied", '20200202120000_b.sql' => "-- migrate:up\n$applied-- migrate:down\n",
		'20200303120000_c.sql' => "-- migrate:up\nCREATE TABLE c (i int)\n\n-- migrate:down\nDROP TABLE c\n" },
	rows => [ [ '20200101120000_a', undef, 'dbmate', 1 ], [ '20200202120000_b', undef, 'dbmate', 1 ] ],
	up   => ['20200303120000_c']);

adopts('sqitch',
	files => {
		'sqitch.plan' => "%syntax-version=1.0.0\n%project=flipr\n%uri=https://example.com/\n\n"
		  . "appschema 2019-01-01T10:00:00Z Ann <ann\@example.com> # Adds a schema\n"
		  . "users [appschema] 2019-01-02T10:00:00Z Ann <ann\@example.com> # Users\n"
		  . "lists [appschema users] 2019-01-02T10:00:00Z Ann <ann\@example.com> # Lists\n"
		  . "\@v0.9 2019-01-03T10:00:00Z Ann <ann\@example.com> # A tag\n"
		  . "\@v1.0 2019-01-03T11:00:00Z Ann <ann\@example.com> # Another\n\n"
		  . "users [users\@v1.0] 2019-01-04T10:00:00Z Ann <ann\@example.com> # Reworked\n"
		  . "new/flips [users] 2019-01-05T10:00:00Z Ann <ann\@example.com> # New\n",
		'deploy/appschema.sql' => $applied, 'deploy/users@v1.0.sql' => $applied, 'deploy/users.sql' => $applied, 'deploy/lists.sql' => $applied,
		'deploy/new/flips.sql' => "-- Deploy flipr:new/flips to pg\n-- requires: users\n\nBEGIN;\n\nCREATE TABLE flips (i int);\n\nCOMMIT;\n",
		'revert/users.sql' => $applied, 'verify/users.sql' => $applied },
	rows => [
		[ '20190101100000_appschema', '2019-02-01 10:00:00.000000', 'sqitch: flipr:appschema (Ann)', 1 ],
		[ '20190102100000_users', '2019-02-01 10:00:01.000000', 'sqitch: flipr:users (Ann)', 1 ],
		[ '20190102100000.2_lists', '2019-02-01 10:00:02.000000', 'sqitch: flipr:lists (Ann)', 1 ],
		[ '20190104100000_users', '2019-02-03 10:00:00.000000', 'sqitch: flipr:users (Bob)', 1 ] ],
	shown => qr{^register +20190102100000_users .*/deploy/users\@v1\.0\.sql$}m,
	left  => qr{\A.*20190102100000\.3_gone .*: reverted\n.*20190105100000_new/flips .*: failed\n\z},
	up    => ['20190105100000_new/flips']);

my $init = "$applied-- init\n";
adopts('prisma',
	files => {
		'20240101100000_init/migration.sql' => $init, '20240102100000_again/migration.sql' => $applied,
		'20240103100000_rolled/migration.sql' => 'CREATE TABLE r (i int)', '20240104100000_failed/migration.sql' => 'CREATE TABLE f (i int)',
		'migration_lock.toml' => "provider = \"postgresql\"\n" },
	replace => { '@CHECKSUM@' => sha256_file(write_file(scratch_dir() . '/init', $init)) },
	rows    => [
		[ '20240101100000_init', '2024-01-01 10:00:05.000000', 'prisma: 20240101100000_init', 1 ],
		[ '20240102100000_again', '2024-01-02 12:00:01.000000', 'prisma: 20240102100000_again', 0 ] ],
	shown => qr/^register +20240102100000_again .*its file was edited since: recorded without its content$/m,
	left  => qr/\A.*_rolled .*: rolled back\n.*_failed .*: failed: it has no end\n\z/,
	up    => [ '20240103100000_rolled', '20240104100000_failed' ]);

adopts('diesel',
	files => {
		'00000000000000_diesel_initial_setup/up.sql' => $applied, '00000000000000_diesel_initial_setup/down.sql' => $applied,
		'2020-01-02-100000_hosts/up.sql' => $applied, '2020-01-02-100000_hosts/down.sql' => $applied,
		'2020-01-03-100000_new/up.sql' => 'CREATE TABLE n (i int)', '2020-01-03-100000_new/down.sql' => 'DROP TABLE n' },
	rows => [
		[ '00000000000000_diesel_initial_setup', '2020-01-01 08:00:00.000000', 'diesel', 1 ],
		[ '20200102100000_hosts', '2020-01-02 09:00:00.250000', 'diesel', 1 ] ],
	up => ['2020-01-03-100000_new']);

adopts('sqlx',
	files => {
		'0001_create_hosts.up.sql' => $applied, '0001_create_hosts.down.sql' => $applied, '0002_add_index.sql' => $applied,
		'0003_failed.sql' => 'CREATE TABLE f (i int)' },
	replace => { "(1, 'create hosts', '2021-01-01 10:00:00+00', true, '\\x00'" => "(1, 'create hosts', '2021-01-01 10:00:00+00', true, '\\x" . Digest::SHA::sha384_hex($applied) . "'" },
	rows => [ [ '0001_create_hosts', '2021-01-01 10:00:00.000000', 'sqlx', 1 ], [ '0002_add_index', '2021-01-02 10:00:00.000000', 'sqlx', 0 ] ],
	shown => qr/^register +0002_add_index .*its file was edited since: recorded without its content$/m,
	left => qr/0003_failed .*: failed\n\z/,
	up   => ['0003_failed']);

for my $below ('', '/committed')
{
	$node->safe_psql('postgres', 'DROP DATABASE IF EXISTS adopt_graphile_migrate');
	adopts('graphile-migrate',
		files => {
			'committed/000001.sql' => "--! Previous: -\n--! Hash: sha1:e00ec93314a423ee5cc68d1182ad52f16442d7df\n\n$applied",
			'committed/000002-index.sql' => "--! Previous: sha1:e00e\n--! Hash: sha1:35c1\n--! Message: index\n\n$applied",
			'committed/000003-new.sql' => "--! Previous: sha1:35c1\n--! Hash: sha1:0000\n--! Message: new\n\n--! no-transaction\nCREATE TABLE n (i int)",
			'current.sql' => "-- Enter migration here\n$applied" },
		dir  => $below,
		rows => [
			[ '000001', '2022-02-01 10:00:00.000000', 'graphile-migrate: 000001.sql', 1 ],
			[ '000002_index', '2022-02-02 10:00:00.000000', 'graphile-migrate: 000002-index.sql', 1 ] ],
		up => ['000003-new']);
}

adopts('node-pg-migrate',
	files => {
		'1600000000000_create-hosts.sql' => "-- Up Migration\n$applied-- Down Migration\n$applied", '1600000100000_add-index.sql' => "-- Up Migration\n$applied",
		'1600000200000_new.sql' => "-- Up Migration\nCREATE TABLE n (i int);\n\n-- Down Migration\nDROP TABLE n;\n" },
	rows => [
		[ '1600000000000_create-hosts', '2020-09-13 10:26:40.000000', 'node-pg-migrate: 1600000000000_create-hosts', 1 ],
		[ '1600000100000_add-index', '2020-09-13 10:28:20.000000', 'node-pg-migrate: 1600000100000_add-index', 1 ] ],
	up => ['1600000200000_new']);

adopts('sql-migrate',
	files => {
		'1_init.sql' => "-- +migrate Up\n$applied-- +migrate Down\n$applied", '2_record.sql' => "-- +migrate Up\n$applied",
		'3_new.sql' => "-- +migrate Up\nCREATE TABLE n (i int);\n-- +migrate Down\nDROP TABLE n;\n" },
	rows => [ [ '1_init', '2019-06-01 10:00:00.000000', 'sql-migrate: 1_init.sql', 1 ], [ '2_record', '2019-06-02 10:00:00.000000', 'sql-migrate: 2_record.sql', 1 ] ],
	up => ['3_new']);

adopts('supabase',
	files => { '20230101100000_hosts.sql' => $applied, '20230103100000_new.sql' => 'CREATE TABLE n (i int)' },
	rows  => [ [ '20230101100000_hosts', undef, 'supabase', 1 ], [ '20230102100000_second', undef, 'supabase', 0 ] ],
	shown => qr/^register +20230102100000_second .*no file: recorded without its content$/m,
	up    => ['20230103100000_new']);

# The document has a row for each tool, with the table that the tool makes
my $document = read_file(top_dir() . '/doc/adopt.md');
for my $fixture (glob(fixture('ledgers') . '/*.sql'))
{
	my ($tool)  = $fixture =~ m{([^/]+)\.sql$};
	my ($table) = read_file($fixture) =~ /^create table (?:if not exists )?(?:"?public"?\.)?"?([\w.]+?)"? ?\((?![^;]*sqitch\.projects|\n    project  )/mi;

	like($document, qr/^\| (?:a )?\Q$tool\E.*`\Q$table\E/mi, "adopt.md: $tool, $table");
}

done_testing();
