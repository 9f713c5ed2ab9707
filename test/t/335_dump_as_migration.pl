# A plain pg_dump of a database with data is a migration like another: applied to
# an empty database it makes a database whose dump is the same text.

use strict;
use warnings;

use Digest::SHA qw(sha256_hex);
use Encode qw(encode decode);
use TapmigClients;
use TapmigTest;
use Test::More;

# Rows are compared as they lie.
my $node = tapmig_node('main', extension => 0, conf => "autovacuum = off\n");

# A source, from the fixtures named.
sub source
{
	my ($db, $encoding, @fixtures) = @_;

	sql_value($node, "CREATE DATABASE $db TEMPLATE template0 ENCODING '$encoding' LC_COLLATE 'C' LC_CTYPE 'C'");
	for my $f (@fixtures)
	{
		my ($code, $out, $err) =
		  $node->psql($db, "SET client_encoding = 'UTF8';\n" . read_file(fixture($f)), on_error_stop => 1);
		is($code, 0, "$db: $f loaded") or BAIL_OUT($err);
	}
	return $db;
}

my $n_targets = 0;
sub target
{
	my ($encoding) = @_;
	my $db = 'target' . ++$n_targets;

	sql_value($node, "CREATE DATABASE $db TEMPLATE template0 ENCODING '$encoding' LC_COLLATE 'C' LC_CTYPE 'C'");
	sql_value($node, 'CREATE EXTENSION tapmig', dbname => $db);
	return $db;
}

# What is compared: all but tapmig, in one encoding.
sub compared
{
	my ($db) = @_;
	return dump_text($node, $db, '-N', 'tapmig', '-e', 'plpgsql', '-e', 'pgcrypto', '-E', 'UTF8');
}

sub same_text
{
	my ($got, $expected, $name) = @_;

	return pass($name) if $got eq $expected;
	fail($name);
	my @a = split /\n/, $expected;
	my @b = split /\n/, $got;
	for my $i (0 .. $#a)
	{
		next if defined $b[$i] && $a[$i] eq $b[$i];
		diag("line @{[ $i + 1 ]}\n  wanted: $a[$i]\n  got:    " . ($b[$i] // '(end)'));
		last;
	}
	return 0;
}

# As pg_dump writes it, its \restrict lines too.
sub dump_file
{
	my ($db, @arguments) = @_;
	my $file = scratch_dir() . '/dump.sql';

	$node->command_ok([ 'pg_dump', '-f', $file, @arguments, $db ], "pg_dump @arguments of $db");
	return read_file($file);
}

# What a dump sets for itself
my $settings = q{SELECT string_agg(name || '=' || setting, '; ' ORDER BY name) FROM pg_settings
	 WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'client_encoding',
		'standard_conforming_strings', 'search_path', 'check_function_bodies', 'xmloption', 'client_min_messages',
		'row_security', 'default_tablespace', 'default_table_access_method')};

# One dump, sent and compared. The script is bytes in the client's encoding;
# DBD::Pg wants characters where that is UTF-8.
sub round_trip
{
	my ($name, $source, $dump, %opt) = @_;
	my $db = target($opt{into} // 'UTF8');
	my %session = (dbname => $db, encoding => $opt{encoding} // 'UTF8');
	my $call = $opt{call} // 'SELECT tapmig.apply($1, $2)';
	my $session = session($node, %session);
	my $before = $session->try($settings)->{value};
	my $sent = $opt{encoding} ? $dump : decode('UTF-8', $dump);
	my $r = $session->try($call, bind => [ '001_baseline', $sent ]);

	is($r->{value}, 'applied', "$name: applied")
	  or diag(join "\n", map { "$_: " . ($r->{$_} // '') } qw(sqlstate message detail hint context));
	is($session->try($settings)->{value}, $before, "$name: the session's settings are as before");
	same_text(compared($db), compared($source), "$name: the dumps are the same text");
	is($session->try($call, bind => [ '001_baseline', $sent ])->{value}, 'skipped', "$name: skipped the second time");
	my $utf8 = $opt{encoding} ? encode('UTF-8', decode($opt{encoding}, $dump)) : $dump;
	is(sql_value($node, q{SELECT encode(checksum, 'hex') FROM tapmig.schema_migrations}, dbname => $db),
		sha256_hex($utf8), "$name: the checksum is of the text in UTF-8");
	verify_is_clean($node, $name, dbname => $db);
	return $db;
}

my $run = 'CALL tapmig.run($1, $2)';

# UTF-8 to UTF-8
my $full = source('complete', 'UTF8', 'dump_source.sql', 'dump_source_unicode.sql');
my $dump = dump_file($full);
cmp_ok(length $dump, '>', 1_000_000, 'a dump of some size');
like($dump, qr/$_/m, "it has $_") for (
	'^COPY app\.note .* FROM stdin;$', 'BEGIN ATOMIC', 'SELECT pg_catalog\.setval', '^.restrict ', 'CREATE RULE',
	'GENERATED ALWAYS AS IDENTITY', 'CREATE POLICY', 'REFRESH MATERIALIZED VIEW', 'ATTACH PARTITION',
	'CREATE EVENT TRIGGER');
round_trip('apply', $full, $dump);
my $copy = round_trip('run', $full, $dump, call => $run);

# Of the copy, which has tapmig, as the hint has it.
round_trip('from a database with tapmig', $full, dump_file($copy, '-N', 'tapmig'));
round_trip('with inserts', $full, dump_file($full, '--inserts', '--quote-all-identifiers'), call => $run);

# CRLF ends of lines, outside of values (whose ends COPY escapes)
{
	my $lines = dump_file($full, '--schema-only') =~ s/\n/\r\n/gr;
	my $db = target('UTF8');

	is(apply($node, '001', $lines, dbname => $db)->{value}, 'applied', 'CRLF, schema only: applied');
	is(sql_value($node, q{SELECT count(*) FROM pg_class WHERE relnamespace = 'app'::regnamespace}, dbname => $db),
		sql_value($node, q{SELECT count(*) FROM pg_class WHERE relnamespace = 'app'::regnamespace}, dbname => $full),
		'CRLF, schema only: all is there');
}

# A client in LATIN1 sends the text in LATIN1; "SET client_encoding" in the
# script has no effect.
my $latin = source('latin', 'UTF8', 'dump_source.sql');
my $utf8 = dump_file($latin);
my $bytes = encode('iso-8859-1', decode('UTF-8', $utf8));
isnt(length $bytes, length $utf8, 'the text differs in LATIN1');
for my $how ('apply', 'run')
{
	round_trip("from a LATIN1 client, $how", $latin, $bytes, encoding => 'LATIN1',
		$how eq 'run' ? (call => $run) : ());
}

# Into and out of a database in LATIN1
my $latin1 = source('latin1', 'LATIN1', 'dump_source.sql');
my $latin1_dump = dump_file($latin1);
like($latin1_dump, qr/^SET client_encoding = 'LATIN1'/m, 'a dump in LATIN1');
round_trip('LATIN1 client and databases', $latin1, $latin1_dump, encoding => 'LATIN1', into => 'LATIN1');
round_trip('UTF-8 client, LATIN1 database', $latin, $utf8, into => 'LATIN1', call => $run);
round_trip('LATIN1 dump and client, UTF-8 database', $latin1, $latin1_dump, encoding => 'LATIN1');

# Characters that the database cannot hold: nothing is there after.
{
	my $db = target('LATIN1');
	is_error(apply($node, '001', decode('UTF-8', $dump), dbname => $db, encoding => 'UTF8'), '22P05', undef, 'characters beyond LATIN1 are refused');
	is(sql_value($node, 'SELECT count(*) FROM tapmig.schema_migrations', dbname => $db), 0, 'and nothing is recorded');
	is(sql_value($node, q{SELECT count(*) FROM pg_namespace WHERE nspname = 'app'}, dbname => $db), 0, 'or there');
}

# A dump with tapmig's own tables is refused, with the way out.
{
	my $db = target('UTF8');
	my $r = apply($node, '001', dump_file($copy), dbname => $db);
	is_error($r, '55000', undef, "a dump with tapmig's tables is refused");
	like($r->{hint}, qr/pg_dump -N tapmig/, 'with the way out');
	is(sql_value($node, q{SELECT count(*) FROM pg_namespace WHERE nspname = 'app'}, dbname => $db), 0, 'nothing is there');
	verify_is_clean($node, 'refused dump', dbname => $db);
}

done_testing();
