# TapmigOlder.pm
#
# Servers of an older major version beside this one, out of the packages of the
# Debian that has them: for dump and restore, pg_upgrade, and whatever must not
# differ between versions.
#
# older_majors()	-> the major versions before this server's that Debian has: of
#		15, 17, 18. Empty on 15.
# my ($path, $problem) = older_install($major)
#		downloads its packages from the mirror of this machine's apt, unpacks
#		them, builds the extension for it and installs that there. $path is the
#		install_path for tapmig_node. Where apt cannot get them $path is undef,
#		and $problem says why, in a line; what fails after that dies. Files of one
#		run of tests share an installation.
#
# my $problem = older_dump_problem($older, $node)
#		A minor release can write into its catalogs what another major's pg_dump of
#		an earlier date prints and its server refuses. So a database without tapmig
#		goes that way first: undef when it arrives, else the error.
#
# my $dir = older_ledger($node, $db)
#		makes in a new database a ledger with something of everything, with the
#		runner and a directory of files, which it returns: applied, registered,
#		corrected, failed, another track, and one with steps that was interrupted in
#		its index build, with settings; a later one is pending.
# ledger_contents($node, $db)	-> what the ledger's tables hold, and more, to be compared
# ledger_goes_on($name, $node, $db, $dir, $contents)	tests: the ledger is that, and
#		whole; what is applied is skipped; the interrupted one resumes; the next works.
#
# Its programs run with this system's libraries, and with the package's own where
# this system has none of that name.

package TapmigOlder;

use strict;
use warnings;

use Exporter 'import';
use Fcntl      ':flock';
use File::Copy ();
use File::Path ();
use IPC::Run   ();
use PostgreSQL::Test::Utils;
use TapmigClients;
use TapmigStepwise;
use TapmigTest;
use Test::More;

our @EXPORT = qw(older_majors older_install older_dump_problem older_ledger ledger_contents ledger_goes_on);

my %suite = (15 => 'bookworm', 17 => 'trixie', 18 => 'sid');

sub older_majors
{
	chomp(my $version = `pg_config --version`);
	my ($here) = $version =~ /^PostgreSQL (\d+)/;

	return grep { $_ < $here } sort keys %suite;
}

# ($good, $output)
sub _run
{
	my ($dir, @command) = @_;
	my $output = '';

	local %ENV = (%ENV, LC_ALL => 'C.UTF-8');
	delete @ENV{qw(PG_CONFIG MAKEFLAGS LD_LIBRARY_PATH)};
	my $good = eval {
		IPC::Run::run(\@command, '<', '/dev/null', '>', \$output, '2>&1',
			init => sub { chdir($dir) or die "$dir: $!" },
			IPC::Run::timeout(600));
	};
	$output .= $@ if $@;
	return ($good ? 1 : 0, $output);
}

sub _must
{
	my ($good, $output) = _run(@_);

	die "@_[1 .. $#_]: $output" unless $good;
	return $output;
}

# apt's options: the suite alone, from the same mirror, with lists of our own
sub _apt
{
	my ($dir, $suite) = @_;
	my (undef, $targets) = _run($dir, 'apt-get', 'indextargets', '--format', '$(ORIGIN) $(LABEL) $(REPO_URI)', 'Created-By: Packages');
	my ($uri) = $targets =~ /^Debian Debian (\S+)/m;
	my $sources = join '', map { read_file($_) } grep { -r } glob('/etc/apt/sources.list /etc/apt/sources.list.d/*');

	($uri) = $sources =~ m{(?:^deb\s+(?:\[[^\]]*\]\s+)?|^URIs:\s*)(\S+)}m unless defined $uri;
	return undef unless defined $uri;
	File::Path::make_path(map { "$dir/$_" } qw(state/lists/partial cache/archives/partial));
	write_file("$dir/sources.list", "deb $uri $suite main\n");
	write_file("$dir/status",       '');
	return [ '-o', "Dir::State=$dir/state", '-o', "Dir::State::status=$dir/status", '-o', "Dir::Cache=$dir/cache",
		'-o', "Dir::Etc::sourcelist=$dir/sources.list", '-o', 'Dir::Etc::sourceparts=/dev/null', '-o', 'Acquire::Languages=none',
		# A mirror that stands still will do.
		'-o', 'Acquire::Check-Valid-Until=false' ];
}

# The libraries that these programs miss
sub _missing
{
	my ($path) = @_;
	my $output = '';

	local $ENV{LD_LIBRARY_PATH} = "$path/lib";
	IPC::Run::run([ 'ldd', map { "$path/bin/$_" } qw(postgres psql pg_dump pg_upgrade initdb pg_basebackup) ], '>', \$output, '2>&1');
	my %missing = map { $_ => 1 } $output =~ /^\s*(\S+) => not found/mg;
	return sort keys %missing;
}

sub _make_install
{
	my ($dir, $major) = @_;
	my $suite = $suite{$major};
	my ($good, $output);

	return (undef, 'there is no apt-get here') unless grep { -x "$_/apt-get" } split /:/, $ENV{PATH};
	my $apt = _apt($dir, $suite) or return (undef, "this machine's apt names no mirror of Debian");
	($good, $output) = _run($dir, 'apt-get', @$apt, '-q', 'update');
	my (undef, $depends) = _run($dir, 'apt-cache', @$apt, 'depends', "postgresql-$major", "postgresql-client-$major");

	# Libraries that this Debian has under another name; that for just-in-time compilation isn't missed.
	my %libraries = map { $_ => 1 } grep { !/^libllvm/ && _must($dir, 'sh', '-c', 'dpkg-query -W -f=\'${db:Status-Status}\' "$1" 2>/dev/null || :', 'sh', $_) ne 'installed' }
	  $depends =~ /^\s*Depends: (lib\S+)/mg;
	mkdir "$dir/$_" for qw(postgresql libraries);
	for ([ 'postgresql', map { "$_-$major" } qw(postgresql postgresql-client postgresql-server-dev) ], [ 'libraries', sort keys %libraries ])
	{
		my ($where, @names) = @$_;
		next unless @names;
		($good, $output) = _run("$dir/$where", 'apt-get', @$apt, '-q', 'download', @names);
		unless ($good)
		{
			my ($error) = $output =~ /^E: (.*)/m;
			return (undef, "apt cannot get PostgreSQL $major of $suite: " . ($error // 'no message'));
		}
		# From here on nothing depends on the network: what fails is a failure.
		_must($dir, 'dpkg', '-x', $_, "$dir/$where/root") for glob("$dir/$where/*.deb");
	}

	my $path = "$dir/postgresql/root/usr/lib/postgresql/$major";
	while (my @missing = _missing($path))
	{
		for my $name (@missing)
		{
			my ($file) = glob("$dir/libraries/root/{usr/,}lib/*/$name");
			die "PostgreSQL $major misses $name here" unless defined $file;
			File::Copy::copy($file, "$path/lib/$name") or die "$name: $!";
		}
	}
	mkdir "$dir/objects";
	mkdir "$dir/objects/src";
	# The headers of older versions are of C before C23, which newer compilers begin with.
	_must("$dir/objects", 'make', '-f', top_dir() . '/Makefile', "PG_CONFIG=$path/bin/pg_config", 'WERROR=-Werror', 'COPT=-std=gnu17', 'install');
	return ($path, undef);
}

sub older_install
{
	my ($major) = @_;
	my $dir = "$PostgreSQL::Test::Utils::tmp_check/older-$major";
	my ($path, $problem);

	mkdir $dir;
	open(my $lock, '>>', "$dir/lock") or die "$dir/lock: $!";
	flock($lock, LOCK_EX) or die "$dir/lock: $!";
	if (!-e "$dir/result")
	{
		($path, $problem) = _make_install($dir, $major);
		write_file("$dir/result", defined $path ? "path $path" : "problem $problem");
	}
	close($lock);
	my ($what, $value) = read_file("$dir/result") =~ /^(\w+) (.*)/s;
	return $what eq 'path' ? ($value, undef) : (undef, $value);
}

sub older_dump_problem
{
	my ($older, $node) = @_;
	my $file = scratch_dir() . '/dump';
	my ($good, $output);

	$older->safe_psql('postgres', 'CREATE DATABASE without_tapmig');
	$older->safe_psql('without_tapmig', <<'SQL');
CREATE TABLE t AS SELECT 1 AS a, 'x'::text AS b;
ALTER TABLE t ADD c int DEFAULT 5, ALTER a TYPE bigint, ADD PRIMARY KEY (a);
CREATE INDEX ON t ((c + 1));
CREATE VIEW v AS SELECT * FROM t;
CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT c FROM t; END;
SQL
	$node->safe_psql('postgres', 'CREATE DATABASE without_tapmig TEMPLATE template0');
	{
		local %ENV = ($node->_get_env(), PGHOST => $older->host, PGPORT => $older->port);
		_must('.', 'pg_dump', '-f', $file, 'without_tapmig');
	}
	{
		local %ENV = $node->_get_env();
		($good, $output) = _run('.', 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', 'without_tapmig', '-f', $file);
	}
	$_->safe_psql('postgres', 'DROP DATABASE without_tapmig') for $older, $node;
	return undef if $good;
	my ($error) = $output =~ /(ERROR: .*)/;
	die "a dump without tapmig: $output" unless defined $error;
	return $error;
}

# ---------------------------------------------------------------- the ledger

my %files = (
	'001_first.sql'  => "-- Why: the first,\n-- of many\n-- tapmig: store=off\nCREATE SCHEMA app;\nCREATE TABLE app.t (id int PRIMARY KEY, note text);\n",
	"002_n\xc3\xa4me.sql" => "INSERT INTO app.t VALUES (1, 'Gr\xc3\xbc\xc3\x9fe, \\ \t und \xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e');\n",
	'003_layout.sql' => "BEGIN;\r\n-- a comment\r\nINSERT INTO app.t\r\n\tVALUES (3, E'a\\'b');\r\nCOMMIT;\r\n",
	'004_steps.sql'  => "CREATE INDEX CONCURRENTLY t_note ON app.t (note);\nVACUUM app.t;\n",
	'005_data.sql'   => "\\restrict abc\nSET client_encoding = 'UTF8';\nCOPY app.t (id, note) FROM stdin;\n50\tone\\ttwo\n51\t\\N\n\\.\n\nSELECT pg_catalog.set_config('search_path', '', false);\n\\unrestrict abc\n",
	'006_bodies.sql' => <<'SQL',
CREATE FUNCTION app.atomic(a int) RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT CASE WHEN a > 0 THEN a ELSE 0 END; SELECT a + 1; END;
CREATE FUNCTION app.body() RETURNS text LANGUAGE plpgsql AS $x$BEGIN RETURN $$a;b$$; END$x$;
CREATE VIEW app.v AS SELECT 1.5e-3 AS n, .5 AS m, 0 AS o, U&'d\0061t\+000061' AS u, B'101' AS b, X'1F' AS x, U&"\0061" FROM (SELECT 1 AS a) s;
CREATE TABLE app.words (json_table int, merge int, system_user_ int, virtual int, absent int, keys int, scalar int, string int, path int, plan int, empty int, error int,
	conditional int, a_name_that_is_longer_than_the_sixty_three_bytes_which_an_identifier_can_have int);
COMMENT ON TABLE app.t IS 'a' 
	'b'; /* nested /* comment */ */
SQL
	'010_steps.sql' => <<'SQL',
SET search_path = app, public;
SET ROLE builder;
SET work_mem = '7MB';
CREATE TABLE items AS SELECT g AS a FROM generate_series(1, 100) g;
CREATE UNIQUE INDEX CONCURRENTLY items_a ON items (a);
CREATE TABLE log AS SELECT concat_ws(' ', current_user, current_schema, current_setting('work_mem')) AS what;
SQL
	'011_later.sql' => "CREATE TABLE app.later ();\n");

sub older_ledger
{
	my ($node, $db) = @_;
	my $dir = migrations_dir(\%files);
	my %db  = (dbname => $db);

	$node->psql('postgres', 'CREATE ROLE builder NOLOGIN');
	tapmig_database($node, $db);
	my ($exit, $out, $err) = run_tapmig($node, [ 'up', '--to', '006', '--dir', $dir ], %db);
	is($exit, 0, "$db: six are applied") or diag $err;
	is(run($node, '003_layout', "begin; insert into APP.t values (3, E'a\\'b'); commit;", %db)->{value}, 'skipped', "$db: another layout");
	is(apply($node, $_, 'SELECT 1', %db, track => 'second')->{value}, 'applied', "$db: $_ on another track") for '1.2', '1.10';
	sql_value($node, q{SELECT tapmig.register('007', 'SELECT 7', applied_at => '2001-02-03 04:05:06.789+00')}, %db);
	sql_value($node, q{SELECT tapmig.register('008')}, %db);
	sql_value($node, q{SELECT tapmig.withdraw('008', 'it was not')}, %db);
	sql_value($node, q{SELECT tapmig.accept('007', 'SELECT 77', 'a better text')}, %db);
	sql_try($node, q{INSERT INTO tapmig.schema_migrations (version) VALUES ('009')}, %db);
	is_error(run($node, '008.5', "SELECT 1;\nSELECT 1/0", %db), '22012', undef, "$db: a failed one");
	sql_try($node, 'GRANT CREATE, USAGE ON SCHEMA app TO builder', %db);
	my $holder = holder($node, %db);
	my $up = start_tapmig($node, [ 'up', '--dir', $dir ], %db);
	ok(wait_build($node, %db), "$db: an index build");
	$node->psql('postgres', "SELECT pg_terminate_backend(@{[ worker_pid($node) ]})");
	isnt(($up->finish)[0], 0, "$db: is stopped");
	$holder->close;
	is(valid($node, 'app.items_a', %db), 'f', "$db: and leaves an INVALID index");
	return $dir;
}

sub ledger_contents
{
	my ($node, $db) = @_;
	my %all;

	for my $query (
		(map { "SELECT x::text FROM tapmig.$_ x ORDER BY 1" } qw(schema_migrations history scripts attempts)),
		(map { "SELECT last_value, is_called FROM tapmig.$_" } qw(history_seq attempts_id_seq)),
		q{SELECT tgrelid::regclass, tgname, tgenabled FROM pg_trigger WHERE tgrelid::regclass::text LIKE 'tapmig.%' ORDER BY 1, 2},
		'SELECT track, applied, last_version, last_applied_at, failed, interrupted, ledger_ok FROM tapmig.health ORDER BY track')
	{
		my $r = sql_try($node, $query, dbname => $db);
		$all{$query} = $r->{ok} ? $r->{rows} : "$r->{sqlstate} $r->{message}";
	}
	return \%all;
}

sub ledger_goes_on
{
	my ($name, $node, $db, $dir, $contents) = @_;
	my %db = (dbname => $db);

	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is_deeply(ledger_contents($node, $db), $contents, "$name: the ledger is the same");
	verify_is_clean($node, $name, %db);
	my ($exit, $out, $err) = run_tapmig($node, [ 'status', '--dir', $dir ], %db);
	is(join(' ', $out =~ /^(\d+) .*? (?:applied|interrupted|pending|missing)\b/mg), '001 002 003 004 005 006 007 009 010 011', "$name: status has them all") or diag "$out$err";
	is(valid($node, 'app.items_a', %db), undef, "$name: an INVALID index is not dumped");
	for my $file (sort grep { /^00/ } keys %files)
	{
		my ($label) = $file =~ /^(.*)\.sql\z/;
		utf8::decode($label);
		# Not a byte of it is the same, but for what counts
		my $text = $files{$file};
		utf8::decode($text);
		my $other = "-- another layout\n" . $text;
		is(run($node, $label, $text, %db)->{value}, 'skipped', "$name: $label is skipped");
		my $r = run($node, $label, $other, %db);
		is($r->{value}, 'skipped', "$name: and in another layout") or diag explain $r;
		ok(scalar(grep { /layout/ } @{ $r->{notices} }), "$name: which is said");
	}
	is_error(run($node, '003_layout', 'SELECT 3', %db), 'TM001', undef, "$name: other content is refused");

	($exit, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir ], %db);
	is($exit, 0, "$name: up") or diag $err;
	is($out =~ s/ \(\d+ ms\)//gr, "applied 010_steps\napplied 011_later\n", "$name: goes on with the interrupted one");
	like($err, qr/goes on with step 2 of 3/, "$name: at its second step");
	is(rows_of($node, 'SELECT what FROM app.log', %db), 'builder app 7MB', "$name: with role and settings");
	is(valid($node, 'app.items_a', %db), 't', "$name: its index is valid");
	is(rows_of($node, 'SELECT count(*) FROM app.items', %db), 100, "$name: its table was made once");
	is(run($node, '012', 'CREATE INDEX CONCURRENTLY i ON app.items ((a + 1)); SELECT 1;', %db)->{value}, 'applied', "$name: another with steps");
	is_error(run($node, '013', 'SELECT 1/0', %db), '22012', undef, "$name: an attempt is written");
	is(sql_value($node, 'SELECT max(seq) = (SELECT last_value FROM tapmig.history_seq) FROM tapmig.history', %db), 't', "$name: the numbering goes on");
	is(sql_value($node, q{SELECT count(*) FROM tapmig.verify((SELECT chain FROM tapmig.history WHERE track = 'main' AND version = '007' ORDER BY seq LIMIT 1))}, %db), 0,
		"$name: verify() knows a head from before");
	verify_is_clean($node, "$name, after more", %db);
	verify_sees($node, $name, %db);
	return;
}

1;
