# pg_upgrade from an older major version of PostgreSQL to this one, by copies and
# by links: the ledger is whole, verify() is clean, what is applied is skipped, an
# interrupted migration goes on, and the extension's catalog is that of a fresh one.
#
# On the oldest version there is nothing to come from.

use strict;
use warnings;

use Cwd ();
use PostgreSQL::Test::Utils;
use TapmigCatalog;
use TapmigOlder;
use TapmigTest;
use Test::More;

my @majors = older_majors();
plan skip_all => 'no version of PostgreSQL that Debian has is older than this one' unless @majors;

# A view comes as the older server prints it, which is another text of the same:
# its columns are compared.
sub catalog { return [ grep { !/\Aview \S+: view: / } @{ extension_catalog(@_) } ]; }

chomp(my $bindir = `pg_config --bindir`);
chomp(my $version = `pg_config --version`);
my ($here) = $version =~ /^PostgreSQL (\d+)/;
my $fresh_node = tapmig_node('fresh');
my $fresh = catalog($fresh_node, 'postgres');

# The same in both, whatever the version's own defaults are
my @like = (extra => [ '--data-checksums', '--encoding=UTF8', '--locale=C' ]);

for my $major (@majors)
{
  SKIP:
	{
		my ($path, $why) = older_install($major);
		skip "PostgreSQL $major: $why", 1 unless defined $path;
		my $older = tapmig_node("from$major", install_path => $path, init => [@like]);

		# pg_upgrade carries the schema with this version's pg_dump.
		my $problem = older_dump_problem($older, $fresh_node);
		skip "not tapmig's: a dump of " . $older->safe_psql('postgres', 'SHOW server_version') . ' by the pg_dump of '
		  . $fresh_node->safe_psql('postgres', 'SHOW server_version') . " is refused: $problem", 2
		  if defined $problem;
		my $db = "source$major";
		my $dir = older_ledger($older, $db);
		my $before = ledger_contents($older, $db);
		$older->stop;

		# A link makes the old one unusable, so that it comes last.
		for my $mode ('copy', 'link')
		{
			my $name = "$major to $here, $mode";
			my $new = PostgreSQL::Test::Cluster->new("to${here}_from${major}_$mode");
			my $sockets = scratch_dir();
			my $cwd = Cwd::getcwd();

			$new->init(@like);
			$new->append_conf('postgresql.conf', "fsync = off\nmax_prepared_transactions = 10\n");
			chdir(scratch_dir()) or die "chdir: $!";
			{
				local $ENV{LD_LIBRARY_PATH} = "$path/lib";
				local $ENV{PATH} = "$bindir:$ENV{PATH}";
				ok(PostgreSQL::Test::Utils::system_log("$bindir/pg_upgrade", '-b', "$path/bin", '-B', $bindir,
						'-d', $older->data_dir, '-D', $new->data_dir, '-p', $older->port, '-P', $new->port,
						'-s', $sockets, ($mode eq 'link' ? '--link' : ())) == 0, "$name: pg_upgrade");
			}
			chdir($cwd) or die "$cwd: $!";
			$new->start;
			like($new->safe_psql('postgres', 'SHOW server_version'), qr/^$here\b/, "$name: a server of PostgreSQL $here");
			same_catalog(catalog($new, $db), $fresh, "$name: the extension's catalog is that of a fresh one");
			ledger_goes_on($name, $new, $db, $dir, $before);
			is(sql_try($new, 'CREATE EXTENSION tapmig', dbname => 'template1')->{ok}, 1, "$name: and can be made anew");
			$new->stop;
		}
	}
}

done_testing();
