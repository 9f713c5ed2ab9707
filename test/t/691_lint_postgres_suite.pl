# lint fails on no statement that the server can read: PostgreSQL's own
# regression scripts go through it, statement by statement, in the database that
# they have made; then the scripts of its contrib modules, as they are.
#
# psql runs the scripts against a server that logs every statement; the log is
# read back as a table.

use strict;
use warnings;

use IPC::Run ();
use TapmigDebian;
use TapmigTest;
use Test::More;

my $log  = scratch_dir();
chmod 0777, $log;
my $node = tapmig_node('main', conf => <<"END");
logging_collector = on
log_destination = 'csvlog'
log_directory = '$log'
log_filename = 'suite.log'
log_min_messages = log
log_min_error_statement = fatal
log_connections = off
log_disconnections = off
log_duration = off
log_statement = none
max_prepared_transactions = 2
END
my ($major) = $node->safe_psql('postgres', 'SHOW server_version_num') =~ /^(\d+)\d{4}$/;

# Lints each text of a table; says how many, and the errors of those that the
# server can read as a script.
sub lint_all
{
	my ($database, $query) = @_;

	$node->safe_psql($database, <<"SQL");
CREATE TABLE tapmig_linted (linted bigint, failed text);
DO \$\$
DECLARE
	t text;
	n bigint := 0;
BEGIN
	FOR t IN $query LOOP
		n := n + 1;
		BEGIN
			PERFORM count(*) FROM tapmig.lint(t);
		EXCEPTION WHEN OTHERS THEN
			DECLARE
				of_lint text := SQLSTATE || ' ' || SQLERRM;
			BEGIN
				PERFORM count(*) FROM tapmig.statements(t);
				INSERT INTO public.tapmig_linted (failed) VALUES (of_lint || ': ' || left(t, 200));
			EXCEPTION WHEN OTHERS THEN
				NULL;
			END;
		END;
	END LOOP;
	INSERT INTO public.tapmig_linted (linted) VALUES (n);
END
\$\$;
SQL
	my $n      = $node->safe_psql($database, 'SELECT max(linted) FROM public.tapmig_linted');
	my $failed = $node->safe_psql($database,
		'SELECT count(failed) FROM public.tapmig_linted') + 0;
	diag($node->safe_psql($database,
		'SELECT failed FROM public.tapmig_linted WHERE failed IS NOT NULL LIMIT 10')) if $failed;
	$node->safe_psql($database, 'DROP TABLE public.tapmig_linted');
	return ($n, $failed);
}

# ---------------------------------------------------------------- contrib

chomp(my $share = `pg_config --sharedir`);
my @files = (glob("$share/extension/*--*.sql"), glob("$share/*.sql"));
my $load = join '', map { "INSERT INTO scripts VALUES (" . quoted(read_file($_) =~ s/\@ext(?:schema(?::\w+)?|owner)\@/public/gr) . ");\n" } @files;
$node->safe_psql('postgres', 'CREATE TABLE scripts (sql text)');
$node->psql('postgres', $load);
my ($n, $failed) = lint_all('postgres', 'SELECT sql FROM scripts');
cmp_ok($n, '>=', 120, "contrib: $n scripts");
is($failed, 0, 'contrib: none fails');

# ---------------------------------------------------------------- regress

SKIP:
{
	my ($root, $problem) = debian_source("postgresql-$major", '*/src/test/regress/*');
	skip $problem, 3 unless $root;

	my ($regress) = glob("$root/*/src/test/regress");
	my ($schedule) = read_file("$regress/parallel_schedule");
	my @tests = map { split ' ' } $schedule =~ /^test: (.*)/mg;
	cmp_ok(scalar @tests, '>=', 180, 'the tests of the schedule');

	$node->safe_psql('postgres', 'CREATE DATABASE regression TEMPLATE template0 ENCODING UTF8');
	$node->safe_psql('postgres', "ALTER DATABASE regression SET $_")
	  for "log_statement = 'all'", "statement_timeout = '20s'", "lock_timeout = '5s'";
	local %ENV = ($node->_get_env(PGDATABASE => 'regression'), PG_ABS_SRCDIR => $regress,
		PG_ABS_BUILDDIR => scratch_dir(), PG_LIBDIR => $regress, PG_DLSUFFIX => '.so');
	for my $test (@tests)
	{
		my $ignored = '';
		eval {
			IPC::Run::run([ 'psql', '-X', '-q', '-f', "$regress/sql/$test.sql" ],
				'<', '/dev/null', '>', \$ignored, '2>&1', IPC::Run::timeout(60));
		};
	}
	$node->safe_psql('postgres', "ALTER DATABASE regression RESET log_statement");

	# The collector writes a message in parts: whole are those before one that it has
	# written whole.
	$node->safe_psql('regression', 'DO $$BEGIN RAISE LOG $x$the suite is over$x$; END$$');
	my $ends = sub {
		open(my $fh, '<:raw', "$log/suite.csv") or die "suite.csv: $!";
		seek($fh, -4000, 2);
		local $/ = undef;
		return <$fh> =~ /the suite is over.*\n\z/;
	};
	my $until = time + 60;
	select(undef, undef, undef, 0.02) until $ends->() || time > $until;
	ok($ends->(), 'the log is there');

	# Every version's log has these columns first; what follows is not wanted.
	my ($width) = (read_file("$log/suite.csv") =~ /\A((?:[^",\n]*|"(?:[^"]|"")*")(?:,(?:[^",\n]*|"(?:[^"]|"")*"))*)\n/)[0];
	my $columns = () = ($width =~ s/"(?:[^"]|"")*"//gr) =~ /,/g;
	$node->safe_psql('regression', 'CREATE SCHEMA tapmig_suite; CREATE EXTENSION tapmig; CREATE TABLE tapmig_suite.log ('
		  . join(', ', map { "c$_ text" } 0 .. $columns) . ')');
	$node->safe_psql('regression', "COPY tapmig_suite.log FROM '$log/suite.csv' (FORMAT csv)");
	($n, $failed) = lint_all('regression',
		q{SELECT substr(c13, 12) FROM tapmig_suite.log WHERE c13 LIKE 'statement: %' AND c2 = 'regression'});
	cmp_ok($n, '>=', 30000, "regression scripts: $n statements");
	is($failed, 0, 'regression scripts: none fails');
}

done_testing();
