# ALTER EXTENSION tapmig UPDATE makes of an older version's objects what a fresh
# CREATE EXTENSION makes: the same catalog, whatever the path of updates.
#
# The scripts of released versions are in fixtures/versions; src/README.md says
# how one comes there. That the comparison sees a difference is shown on versions
# made here, each with one part that its update script forgets.

use strict;
use warnings;

use TapmigCatalog;
use TapmigTest;
use Test::More;

my $top = top_dir();
my $sql = read_file("$top/sql/tapmig.sql");
my ($current) = read_file("$top/tapmig.control") =~ /^default_version *= *'(.*)'/m;
my %released = map { m{/tapmig--([^/]+?)\.sql\z} ? ($1 => read_file($_)) : () } glob("$top/test/fixtures/versions/*.sql");
my @updates  = map { m{/tapmig--(.+?)--(.+)\.sql\z} ? [ $1, $2 ] : () } glob("$top/sql/tapmig--*--*.sql");

# What an older version could have had instead, and the update script's part:
# name => [ what of the script, instead, update, what the comparison must name ]
my $acl = 'REVOKE ALL ON FUNCTION tapmig.%s FROM PUBLIC;';
my %older = (
	'a new function' => [ qr/^CREATE FUNCTION tapmig\.directives\(.*?;\nCOMMENT ON FUNCTION tapmig\.directives.*?;\n/ms, '',
		sub { $_[0] . sprintf($acl, 'directives(text)') }, qr/^\+ function tapmig\.directives\(pg_catalog\.text\): member/ ],
	'rights of a new function' => [ qr/^CREATE FUNCTION tapmig\.lint\(.*?;\nCOMMENT ON FUNCTION tapmig\.lint.*?;\n/ms, '',
		sub { $_[0] . sprintf($acl, 'lint(text)') }, qr/^- function tapmig\.lint\(pg_catalog\.text\): right: =X/, sub { $_[0] } ],
	'another body' => [ qr/SELECT md5\(coalesce\(string_agg\(r::text, E'\\n'\), ''\)\) FROM tapmig\.foreign_rows\(ledger\) r/, "SELECT md5('')",
		sub { "CREATE OR REPLACE FUNCTION tapmig.foreign_digest(ledger regclass) RETURNS text LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp SET timezone = 'UTC'\nAS \$\$\n$_[0]\n\$\$;" },
		qr/function tapmig\.foreign_digest.*definition/ ],
	"a function's setting" => [ qr/(?<=SET search_path = pg_catalog, pg_temp) SET timezone = 'UTC'/, '',
		sub { "ALTER FUNCTION tapmig.foreign_digest(regclass) SET timezone = 'UTC';" }, qr/function tapmig\.foreign_digest.*definition/ ],
	"a function's estimate" => [ qr/ ROWS 10;/, ';', sub { 'ALTER FUNCTION tapmig.verify(bytea) ROWS 10;' }, qr/function tapmig\.verify.*definition/ ],
	'a new column' => [ qr/,\n\tcuts\s+int\[\]\n/, "\n", sub { 'ALTER TABLE tapmig.attempts ADD cuts int[]; COMMENT ON COLUMN tapmig.attempts.cuts IS ' . ($sql =~ /attempts\.cuts IS (.*?);\n/)[0] . ';' },
		qr/^\+ table tapmig\.attempts: column: \d+ cuts integer/ ],
	'a comment' => [ qr/^COMMENT ON COLUMN tapmig\.history\.state IS .*?;\n/m, '', sub { $_[0] }, qr/table tapmig\.history: column: 12 state/ ],
	'a check' => [ qr/,\s+'repeated'/, '', sub { "ALTER TABLE tapmig.history DROP CONSTRAINT history_event_check, ADD CHECK (event IN ('applied', 'registered', 'accepted', 'withdrawn', 'abandoned', 'step_done', 'repeated'));" },
		qr/table tapmig\.history: constraint/ ],
	'an index' => [ qr/^CREATE INDEX attempts_track_version\n.*?;\n/ms, '', sub { $_[0] }, qr/^\+ table tapmig\.attempts: index: CREATE INDEX attempts_track_version/ ],
	'a trigger' => [ qr/^CREATE TRIGGER refuse_statement BEFORE TRUNCATE ON tapmig\.scripts\n.*?;\n/ms, '',
		sub { "$_[0] ALTER TABLE tapmig.scripts ENABLE ALWAYS TRIGGER refuse_statement;" }, qr/^\+ table tapmig\.scripts: trigger/ ],
	'when a trigger fires' => [ qr/^ALTER TABLE tapmig\.history ENABLE ALWAYS TRIGGER insert_row;\n/m, '', sub { $_[0] }, qr/table tapmig\.history: trigger.* O$/ ],
	'a grant' => [ qr/^GRANT SELECT ON tapmig\.history, tapmig\.attempts, /m, 'GRANT SELECT ON tapmig.history, ', sub { 'GRANT SELECT ON tapmig.attempts TO pg_monitor;' },
		qr/^\+ table tapmig\.attempts: right: pg_monitor/ ],
	'what is dumped' => [ qr/^SELECT pg_extension_config_dump\('tapmig\.attempts_id_seq', ''\);\n/m, '', sub { $_[0] }, qr/^\+ extension: dumped by pg_dump: tapmig\.attempts_id_seq/ ],
	'a sequence' => [ qr/^(CREATE SEQUENCE tapmig\.attempts_id_seq AS) bigint [^;]*/m, 'CREATE SEQUENCE tapmig.attempts_id_seq AS int', sub { 'ALTER SEQUENCE tapmig.attempts_id_seq AS bigint MAXVALUE 4611686018427387904 CYCLE;' },
		qr/sequence tapmig\.attempts_id_seq: sequence/ ],
	'a view' => [ qr/^CREATE VIEW tapmig\.health AS.*?;\n/ms, 'CREATE VIEW tapmig.health AS SELECT track, 0::bigint AS applied FROM tapmig.schema_migrations;' . "\n",
		sub { 'DROP VIEW tapmig.health; ' . $_[0] . join('', $sql =~ /^COMMENT ON (?:VIEW|COLUMN) tapmig\.health\b.*?;\n/msg)
			  . 'REVOKE ALL ON tapmig.health FROM PUBLIC; GRANT SELECT ON tapmig.health TO pg_monitor;' }, qr/view tapmig\.health: view/ ],
);

# An old version with all of these and a right update; one for each, whose
# update script forgets it.
my (%file, %forgets);
my ($all_old, $all_update) = ($sql, '');
# What the script says of a part that the older version has not
sub without
{
	my ($t) = @_;

	$t =~ s/^COMMENT ON COLUMN tapmig\.health\.(?!applied\b)\w+ IS.*?;\n//msg if $t =~ /0::bigint AS applied FROM/;
	$t =~ s/^COMMENT ON COLUMN tapmig\.attempts\.cuts .*?;\n//m if $t !~ /^\tcuts\s/m;
	$t =~ s/^ALTER TABLE tapmig\.scripts ENABLE ALWAYS TRIGGER refuse_statement;\n//m
	  if $t !~ /^CREATE TRIGGER refuse_statement BEFORE TRUNCATE ON tapmig\.scripts\n/m;
	return $t;
}
my $n = 0;
for my $name (sort keys %older)
{
	my ($what, $instead, $update, $like, $wrong) = @{ $older{$name} };
	my $old = $sql;
	my ($part) = $sql =~ /($what)/;
	ok($old =~ s/$what/$instead/, "$name: the script has it") or next;
	$all_old =~ s/$what/$instead/;
	$all_update .= $update->($part) . "\n";
	my $version = '0.0.8.' . ++$n;
	$file{"tapmig--$version.sql"} = without($old);
	$file{"tapmig--$version--$current.sql"} = $wrong ? $wrong->($part) . "\n" : "SELECT 1;\n";
	$forgets{$version} = [ $name, $like ];
}
$file{'tapmig--0.0.9.sql'} = without($all_old);
$file{"tapmig--0.0.9--$current.sql"} = $all_update;
$file{"tapmig--$_.sql"} = $released{$_} for keys %released;
my $node = tapmig_node('main', install_path => installation_with(\%file));
my $fresh = extension_catalog($node, 'postgres');

cmp_ok(scalar @$fresh, '>', 300, 'the catalog of a fresh extension');
$node->safe_psql('postgres', 'CREATE DATABASE again');
$node->safe_psql('again', 'CREATE TABLE other (); CREATE EXTENSION tapmig');
same_catalog(extension_catalog($node, 'again'), $fresh, 'is that of another');

# A database with the older version, updated
sub updated
{
	my ($version, $then) = @_;
	my $db = 'from_' . ($version =~ tr/./_/r);

	$node->safe_psql('postgres', "CREATE DATABASE $db");
	$node->safe_psql($db, "CREATE EXTENSION tapmig VERSION '$version'");
	$then->($db) if $then;
	my $r = sql_try($node, 'ALTER EXTENSION tapmig UPDATE', dbname => $db);
	is($r->{ok}, 1, "$version: updated") or diag $r->{message};
	is(sql_value($node, 'SELECT extversion FROM pg_extension WHERE extname = $$tapmig$$', dbname => $db), $current, "$version: to $current");
	return $db;
}

# Every path there is, of what was released
my @paths = @{ sql_try($node, <<"SQL")->{rows} };
SELECT source, path FROM pg_extension_update_paths('tapmig')
WHERE target = '$current' AND path IS NOT NULL AND source NOT LIKE '0.0.%' ORDER BY source
SQL
my %has_path = map { $_->[0] => 1 } @paths;
ok($has_path{$_}, "there is a path from $_, which was released, to $current") for sort grep { $_ ne $current } keys %released;
ok($released{ $_->[0] }, "fixtures/versions has $_->[0], from which sql/tapmig--$_->[0]--$_->[1].sql leads") for @updates;
for my $path (@paths)
{
	my $db = updated($path->[0]);
	same_catalog(extension_catalog($node, $db), $fresh, "$path->[1]: the catalog is that of a fresh one");
}
is($sql, $released{$current}, "fixtures/versions has $current as it is released") if exists $released{$current};

# The comparison sees what an update script forgets
for my $version (sort keys %forgets)
{
	my ($name, $like) = @{ $forgets{$version} };
	my $db = updated($version);
	my $difference = catalog_difference(extension_catalog($node, $db), $fresh);
	ok(scalar(grep { $_ =~ $like } @$difference), "$name, forgotten, is seen") or diag explain $difference;
}

# An update that forgets nothing, of a ledger with rows
my %before;
sub contents
{
	my ($db) = @_;
	my %all;

	for my $table (qw(schema_migrations history scripts))
	{
		my $r = sql_try($node, "SELECT x::text FROM tapmig.$table x ORDER BY 1", dbname => $db);
		$all{$table} = $r->{ok} ? $r->{rows} : $r->{message};
	}
	return \%all;
}
apply($node, '001_first', 'CREATE TABLE first ()');
apply($node, '002_second', "-- Why: so\nCREATE TABLE second ()");
run($node, '003', 'SELECT 1/0');
my $rows_of = contents('postgres');
my $dump = dump_text($node, 'postgres', '--data-only', '-t', 'tapmig.schema_migrations', '-t', 'tapmig.history', '-t', 'tapmig.scripts');
my $db = updated('0.0.9', sub {
	my ($db) = @_;

	# The library and the objects are of one version, or nothing goes.
	my $r = apply($node, '001', 'SELECT 1', dbname => $db);
	is_error($r, '55000', qr/^extension "tapmig" is at version 0\.0\.9, its library at version \Q$current\E$/, '0.0.9: refused before');
	like($r->{hint}, qr/^Run ALTER EXTENSION tapmig UPDATE\b/, '0.0.9: with the way out');
	my ($exit, undef, $err) = run_tapmig($node, [ 'status', '--dir', migrations_dir({ '001.sql' => 'SELECT 1' }) ], dbname => $db);
	is($exit, 3, '0.0.9: the runner too');
	like($err, qr/at version 0\.0\.9, its library at.*ALTER EXTENSION tapmig UPDATE/s, '0.0.9: and says how to go on');
	$node->safe_psql($db, $dump);
	$before{rows} = contents($db);
});
is_deeply($before{rows}, $rows_of, '0.0.9: rows came before');
same_catalog(extension_catalog($node, $db), $fresh, '0.0.9: the catalog is that of a fresh one');
is_deeply(contents($db), $rows_of, '0.0.9: the ledger is as it was');
is(sql_value($node, 'SELECT count(*) FROM tapmig.verify()', dbname => $db), 0, '0.0.9: verify() is clean');
is(apply($node, '001_first', 'CREATE TABLE first ()', dbname => $db)->{value}, 'skipped', '0.0.9: what was there is there');
is(apply($node, '004_next', 'CREATE TABLE next ()', dbname => $db)->{value}, 'applied', '0.0.9: and it goes on');

done_testing();
