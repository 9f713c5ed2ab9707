# A database is dumped on an older major version of PostgreSQL and restored on
# this one: its ledger is whole, verify() is clean, and the same files are there
# already, since a fingerprint does not depend on the version. That is held
# against all statements of PostgreSQL's own regression suite.
#
# On the oldest version there is nothing to be restored from.

use strict;
use warnings;

use TapmigCatalog;
use TapmigDebian;
use TapmigEquality;
use TapmigOlder;
use TapmigTest;
use Test::More;

my @majors = older_majors();
plan skip_all => 'no version of PostgreSQL that Debian has is older than this one' unless @majors;

my $node = tapmig_node('main');
my ($here) = $node->safe_psql('postgres', 'SHOW server_version_num') =~ /^(\d+)\d{4}$/;
my $fresh = extension_catalog($node, 'postgres');
$node->safe_psql('postgres', 'CREATE ROLE builder NOLOGIN');

# The statements: those of the suite, and what is spelled differently by some
# versions
my ($source, $problem) = debian_source("postgresql-$here", '*/src/test/regress/sql/*');
my @statements = (
	'SELECT json_table, merge, absent, keys, scalar, string, path, plan, empty, error, conditional, nested, virtual, period, within, json FROM t',
	'CREATE TABLE merge_action (returning_ int, system_user_ text, uescape int, format text)', "SELECT U&'\\0061', U&\"\\0061\", N'a', e'\\x41', b'1', x'f'",
	'SELECT a<>b, a!=b, a::int, a:=b, a=>b, a..b', 'SELECT 1.e5, .5, 1..2, 1.5e-3, 10', 'SELECT $1, $2::int', 'SELECT $a$;$a$, $$b$$',
	'MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN DELETE', "SELECT 'a'\n'b'", "SELECT 'a' -- c\n'b'");
my $own = @statements;
SKIP:
{
	skip "PostgreSQL's own suite: $problem", 1 unless $source;
	for my $file (sort glob("$source/*/src/test/regress/sql/*.sql"))
	{
		my $text = read_file($file);
		next unless utf8::decode(my $copy = $text);
		my @pieces = grep { $_->{kind} eq 'sql' } @{ script_pieces($text, {}) };
		push @statements, (map { $_->{text} } @pieces), join('', map { $_->{text} } @pieces);
	}
	cmp_ok(scalar @statements, '>', 20_000, 'statements of the suite');
}
my $corpus = write_file(scratch_dir() . '/corpus',
	join '', map { my $t = $statements[$_]; $t =~ s/\\/\\\\/g; $t =~ s/\t/\\t/g; $t =~ s/\r/\\r/g; $t =~ s/\n/\\n/g; "$_\t$t\n" } 0 .. $#statements);

# number => [ fingerprint, statements ], of each that this server can read
sub fingerprints
{
	my ($node) = @_;

	tapmig_database($node, 'corpus');
	$node->safe_psql('corpus', <<"SQL");
SET client_min_messages = error;
SET tapmig.store_sql = off;
CREATE TABLE corpus (n int, sql text);
COPY corpus FROM '$corpus' (ENCODING 'UTF8');
DO \$\$
DECLARE
	r record;
BEGIN
	FOR r IN SELECT * FROM corpus LOOP
		BEGIN
			PERFORM tapmig.register(r.n::text, r.sql);
		EXCEPTION WHEN OTHERS THEN
			NULL;
		END;
	END LOOP;
END
\$\$;
SQL
	my %of = map { my ($n, $f, $count) = split /\|/; ($n => "$f, $count statements") } split /\n/,
	  $node->safe_psql('corpus', "SELECT version, encode(fingerprint, 'hex'), statements FROM tapmig.schema_migrations WHERE fingerprint IS NOT NULL");
	$node->safe_psql('postgres', 'DROP DATABASE corpus');
	return \%of;
}

my $ours = fingerprints($node);
my %distinct = map { $_ => 1 } values %$ours;
cmp_ok(scalar keys %distinct, '>', 0.6 * keys %$ours, 'different statements have different fingerprints');

for my $major (@majors)
{
  SKIP:
	{
		my ($path, $why) = older_install($major);
		skip "PostgreSQL $major: $why", 1 unless defined $path;
		my $older = tapmig_node("from$major", install_path => $path);
		like($older->safe_psql('postgres', 'SHOW server_version'), qr/^$major\b/, "a server of PostgreSQL $major");

		# Fingerprints
		my $theirs = fingerprints($older);
		my @both = grep { exists $ours->{$_} } keys %$theirs;
		my @differ = grep { $ours->{$_} ne $theirs->{$_} } sort { $a <=> $b } @both;
		cmp_ok(scalar @both, '>', $source ? 18_000 : $own - 2, "$major: both can read " . @both . ' of ' . @statements . ' statements');
		is(scalar @differ, 0, "$major: their fingerprints are the same") or diag explain [ map { substr($statements[$_], 0, 200) } @differ[ 0 .. ($#differ < 9 ? $#differ : 9) ] ];

		# Dumps, by the older server's pg_dump and by this one's
		my $db = "source$major";
		my $dir = older_ledger($older, $db);
		my $before = ledger_contents($older, $db);
		my @ways = ([ $older, 'plain' ], [ $older, 'custom' ], [ $node, 'plain' ], [ $node, 'directory' ]);
		my $problem = older_dump_problem($older, $node);
		my $n = 0;
	  SKIP:
		{
			last unless defined $problem;
			splice(@ways, 2);
			my $of = $older->safe_psql('postgres', 'SHOW server_version');
			skip "not tapmig's: a dump of $of by the pg_dump of " . $node->safe_psql('postgres', 'SHOW server_version') . " is refused: $problem", 2;
		}
		for my $way (@ways)
		{
			my ($with, $format) = @$way;
			my $name = join(' ', $major, 'dumped by', $with == $node ? $here : $major, $format);
			my $target = "restored_${major}_" . ++$n;
			my $file = scratch_dir() . '/dump';
			my $good;

			$node->safe_psql('postgres', "CREATE DATABASE $target TEMPLATE template0");
			{
				local %ENV = ($with->_get_env(), PGHOST => $older->host, PGPORT => $older->port);
				$good = PostgreSQL::Test::Utils::system_log('pg_dump', '--format', $format, '-f', $file, $db) == 0;
			}
			ok($good, "$name: pg_dump");
			{
				local %ENV = $node->_get_env();
				$good = PostgreSQL::Test::Utils::system_log($format eq 'plain'
					? ('psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $target, '-f', $file)
					: ('pg_restore', '--exit-on-error', ($format eq 'directory' ? '--jobs=2' : ()), '-d', $target, $file)) == 0;
			}
			ok($good, "$name: restored");
			same_catalog(extension_catalog($node, $target), $fresh, "$name: the extension's objects are this server's");
			ledger_goes_on($name, $node, $target, $dir, $before);
		}
	}
}

done_testing();
