# What psql makes of a script, tapmig makes of it: the scripts of PostgreSQL's
# own regression suite run in both, on two fresh databases, and the dumps are
# compared.
#
# Left out of a script: the commands of psql that tapmig refuses, the control of
# transactions that it refuses (TM003; what stands between runs), and what fails
# in psql, since these scripts fail on purpose again and again. All the rest of
# a script is one migration, and goes the way of any: a file and "tapmig up".
#
# A difference that is not tapmig's fault stands in equality.tsv, with the
# reason: script, kind, pattern, why, and the last PostgreSQL that it is for, if
# there is one. Kind "dump": the pattern matches lines of
# the difference, '<' psql's, '>' tapmig's. Kind "statement": it matches tapmig's
# error on a statement that runs in psql; the statement is left out then. A row
# that nothing matches fails; one of kind "statement steps" or "dump cut" counts with
# that MODE only.
#
# A part of the scripts is compared here. "make equality" takes them all, and with
# MODE=cut each only up to its first statement that fails in psql, with MODE=steps
# all of them as stepwise scripts: a VACUUM behind every fifth statement.
# EQUALITY='copy2 triggers' takes those, EQUALITY_MODE is MODE, and
# EQUALITY_KEEP=directory keeps the files, also what is left out, and why.

use strict;
use warnings;

use IPC::Run ();
use POSIX ();
use TapmigDebian;
use TapmigEquality;
use TapmigTest;
use Test::More;

my @some = qw(alter_table constraints copy2 create_procedure create_view enum inherit
  insert plpgsql rules sequence strings temp triggers vacuum);

# What is prepared for the scripts that come behind these.
my @prepared = qw(create_function_c create_misc create_operator create_procedure create_type
  create_index create_view create_aggregate create_cast);

# Scripts that are nothing without the tables of others: one script with them.
my %behind = (geometry => [qw(point lseg line box path polygon circle)]);

# Scripts about psql or a whole cluster; infinite_recurse only fails.
my %not_ours = map { $_ => 1 } qw(test_setup infinite_recurse psql psql_crosstab);

my $all     = ($ENV{EQUALITY} // '') eq 'all';
my $mode    = $ENV{EQUALITY_MODE} // '';
my %mode    = ('' => [], cut => [ cut => 1 ], steps => [ split => 5 ]);
# Of all there are some that wait for others, and those are many.
my @mode    = (@{ $mode{$mode} // die "EQUALITY_MODE is cut or steps, not $mode" }, $all ? (bound => 150) : ());
my $workers = $all ? 2 : 1;
my @nodes   = map {
	tapmig_node("equal$_", conf => "wal_level = logical\nautovacuum = off\nmax_worker_processes = 16\n")
} 1 .. $workers;
my ($major) = $nodes[0]->safe_psql('postgres', 'SHOW server_version_num') =~ /^(\d+)\d{4}$/;
my %env = (PGTZ => 'PST8PDT', PGDATESTYLE => 'Postgres, MDY', PGOPTIONS => '-c intervalstyle=postgres_verbose');

# ---------------------------------------------------------------- the comparison itself

sub base
{
	my ($node, $name, $from, @files) = @_;
	my $out = '';

	$node->safe_psql('postgres', "CREATE DATABASE $name TEMPLATE $from");
	local %ENV = ($node->_get_env(PGDATABASE => $name), %env);
	for my $file (@files)
	{
		eval { IPC::Run::run([ 'psql', '-X', '-q', '-f', $file ], '<', '/dev/null', '>', \$out, '2>&1', IPC::Run::timeout(600)); };
	}
	return;
}

$nodes[0]->safe_psql('postgres', q{CREATE DATABASE base_empty TEMPLATE template0 ENCODING UTF8 LOCALE 'C.UTF-8'});
$nodes[0]->safe_psql('base_empty', 'CREATE EXTENSION tapmig');
my $example = <<'END';
\set table 'kept'
CREATE TABLE :table (i int, "it's" text DEFAULT 'a;b');
CREATE TABLE kept (i int);
COPY kept FROM stdin;
1	;
2	x
\.
SELECT count(*) FROM kept \gset
BEGIN; INSERT INTO kept VALUES (3); SAVEPOINT s; ROLLBACK TO s; COMMIT;
BEGIN; INSERT INTO kept VALUES (4); COMMIT;
CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT 1; SELECT CASE WHEN true THEN 2 END; END;
CREATE TABLE differs AS SELECT clock_timestamp() AS at, 1 AS same;
CREATE TEMP TABLE gone (i int);
CREATE DOMAIN goes_along AS gone[];
DO $$ BEGIN FOR i IN 1 .. 500 LOOP EXECUTE format('CREATE TEMP TABLE gone_%s (t text UNIQUE)', i); END LOOP; END $$;
END
my $self = equality($nodes[0], 'base_empty', script_pieces($example, {}), env => \%env);
is(join('|', map { $_->[1] } @{ $self->{left} }), 'ERROR:  relation "kept" already exists', 'what fails in psql is left out');
is("$self->{kept} of $self->{pieces} of $self->{all}", '11 of 12 of 17', 'and nothing else');
is(join('', map { substr $_, 0, 1 } @{ $self->{differs} }), '<>', 'a difference is seen') or diag @{ $self->{differs} };
is($self->{error}, '', 'no error of tapmig');
is($self->{steps}, 3, 'its block of BEGIN and COMMIT makes three steps of it');
$self = equality($nodes[0], 'base_empty', script_pieces($example, {}), env => \%env, split => 2);
is("$self->{kept} in $self->{steps}, @{[ map { substr $_, 0, 1 } @{ $self->{differs} } ]}", '11 in 11, < >', 'the same, cut into more steps');
$self = equality($nodes[0], 'base_empty', script_pieces($example, {}), env => \%env, cut => 1);
is("$self->{kept} of $self->{pieces} in $self->{steps}, @{ $self->{differs} }", '1 of 12 in 0, ', 'cut at what fails in psql: one transaction');
$self = equality($nodes[0], 'base_empty', script_pieces("CREATE TABLE a ();\nBEGIN;\nCREATE TABLE b ();\n", {}), env => \%env);
is(join('|', map { "$_->[0]: $_->[1]" } @{ $self->{one} }), '', 'a transaction without an end is taken apart');

# ---------------------------------------------------------------- the suite

my @rows;
for my $line (grep { /\S/ && !/^#/ } split /\n/, read_file(top_dir() . '/test/equality.tsv'))
{
	my ($script, $kind, $pattern, $why, $last) = split /\t/, $line;

	die "equality.tsv: $line" unless length($why // '') > 20 && $kind =~ s/^(dump|statement)(?: (steps|cut))?$/$1/;
	my $only = $2;
	next if defined $only && $only ne $mode || $last && $major > $last;
	# Of a script that is cut the other rows' differences may not be left.
	push @rows, { script => $script, kind => $kind, pattern => qr/$pattern/, used => $mode eq 'cut' && !defined $only, shown => "$script $kind $pattern" };
}

sub explained
{
	my ($script, $kind, $text) = @_;
	my @found = grep { $_->{script} eq $script && $_->{kind} eq $kind && $text =~ $_->{pattern} } @rows;

	$_->{used}++ for @found;
	return @found > 0;
}

SKIP:
{
	my ($root, $problem) = $ENV{EQUALITY_SOURCE} ? ($ENV{EQUALITY_SOURCE}) : debian_source("postgresql-$major", '*/src/test/regress/*');
	skip $problem, 6 unless $root;

	my ($regress)  = grep { -d } "$root/src/test/regress", glob("$root/*/src/test/regress");
	my @scripts    = grep { !$not_ours{$_} } map { split ' ' } read_file("$regress/parallel_schedule") =~ /^test: (.*)/mg;
	my ($at)       = grep { $scripts[$_] eq $prepared[-2] } 0 .. $#scripts;
	my %first      = map { $_ => 1 } @scripts[ 0 .. $at ], @prepared;
	my %wanted     = map { $_ => 1 } $all ? @scripts : $ENV{EQUALITY} ? split(' ', $ENV{EQUALITY}) : @some;
	my $results    = scratch_dir();
	my $pg_config  = $ENV{PG_CONFIG} // "/usr/lib/postgresql/$major/bin/pg_config";
	my @files      = map { "$regress/sql/$_.sql" } @prepared;
	my @compared   = grep { $wanted{$_} } @scripts;
	my @children;

	for my $i (0 .. $#nodes)
	{
		my $pid = fork() // die "fork: $!";
		if ($pid) { push @children, $pid; next; }

		# A worker: a server of its own, every second script.
		eval {
			my ($node, $dir) = ($nodes[$i], scratch_dir());

			mkdir "$dir/results" or die;
			# Without a compiler its functions are not there, and what needs them is left out.
			system("cc -shared -fPIC -O1 -w -I\$($pg_config --includedir-server) -o $dir/regress.so $regress/regress.c 2>/dev/null");
			%ENV = (%ENV, %env, PG_ABS_SRCDIR => $regress, PG_ABS_BUILDDIR => $dir, PG_LIBDIR => $dir, PG_DLSUFFIX => '.so');
			base($node, 'base_first', q{template0 ENCODING UTF8 LOCALE 'C.UTF-8'}, "$regress/sql/test_setup.sql");
			$node->safe_psql('base_first', 'CREATE EXTENSION tapmig');
			base($node, 'base_later', 'base_first', @files);

			for my $script (@compared[ grep { $_ % @nodes == $i } 0 .. $#compared ])
			{
				my $begun = time;
				my $pieces = [ map { @{ script_pieces(read_file("$regress/sql/$_.sql"), {}) } } @{ $behind{$script} // [] }, $script ];
				my $r = eval {
					equality($node, $first{$script} ? 'base_first' : 'base_later', $pieces, env => \%env, @mode,
						$ENV{EQUALITY_KEEP} ? (keep => "$ENV{EQUALITY_KEEP}/$script") : ());
				} // { error => $@ };
				write_file("$results/$script", join '', map { s/\s*\n\s*/ /gr . "\n" } (
					(map { "$_ " . ($r->{$_} // 0) } qw(kept all steps)), 'seconds ' . (time - $begun),
					$r->{error} ? "error $r->{error}" : (),
					$r->{psql} ? "error psql: $r->{psql}" : (),
					(map { "statement $_->[1]: $_->[0]" } @{ $r->{one} }),
					(map { "dump $_" } @{ $r->{differs} })));
				diag "$script: " . ($r->{kept} // 'none') . ' of ' . ($r->{all} // 'no') . ' statements, '
				  . ($r->{steps} ? "$r->{steps} steps, " : '') . @{ $r->{one} // [] } . ' in psql alone, '
				  . @{ $r->{differs} // [] } . ' lines differ ' . ($r->{error} // '') if $ENV{EQUALITY};
			}
			1;
		} or diag "worker $i: $@";
		POSIX::_exit(0);
	}
	waitpid($_, 0) for @children;

	my %sum = map { $_ => 0 } qw(kept all stepwise);
	for my $script (@compared)
	{
		my $result = -e "$results/$script" ? read_file("$results/$script") : "error there is no result\n";
		my ($kept, $of, $steps, $seconds) = $result =~ /^kept (\d+)\nall (\d+)\nsteps (\d+)\nseconds (\d+)$/m;
		my @unexplained;

		$sum{kept} += $kept // 0;
		$sum{all} += $of // 0;
		$sum{stepwise}++ if $steps;

		for my $line (split /\n/, $result)
		{
			my ($kind, $text) = $line =~ /^(\w+) (.*)/;

			push @unexplained, $line
			  if !defined $kind || $kind eq 'error'
			  || (($kind eq 'statement' || $kind eq 'dump') && !explained($script, $kind, $text));
		}
		push @unexplained, 'error nothing was compared' if !defined $kept;
		is(scalar @unexplained, 0, defined $kept ? "$script, $kept of $of statements in $seconds s" : $script)
		  or diag map { substr($_, 0, 400) . "\n" } @unexplained[ 0 .. (@unexplained > 9 ? 9 : $#unexplained) ];
	}
	diag "$sum{kept} of $sum{all} statements of " . @compared . " scripts compared, $sum{stepwise} scripts stepwise" if $ENV{EQUALITY};
	is_deeply([ map { $_->{shown} } grep { $wanted{ $_->{script} } && !$_->{used} } @rows ], [], 'each row of equality.tsv is needed');
	cmp_ok(scalar @compared, '>=', $all ? 180 : $ENV{EQUALITY} ? 1 : 15, 'scripts');
	cmp_ok($sum{kept}, '>=', $mode eq 'cut' || ($ENV{EQUALITY} && !$all) ? 1 : $all ? 25000 : 4000, 'statements');
	cmp_ok($sum{stepwise}, '>', 0, 'stepwise scripts') if !$ENV{EQUALITY} || $all;
	cmp_ok(@compared - $sum{stepwise}, '>', 0, 'and transactional ones') if !$ENV{EQUALITY} || ($all && $mode ne 'steps');
}

done_testing();
