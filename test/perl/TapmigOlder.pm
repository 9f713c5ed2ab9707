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
use TapmigTest;

our @EXPORT = qw(older_majors older_install);

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
		'-o', "Dir::Etc::sourcelist=$dir/sources.list", '-o', 'Dir::Etc::sourceparts=/dev/null', '-o', 'Acquire::Languages=none' ];
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
	_must("$dir/objects", 'make', '-f', top_dir() . '/Makefile', "PG_CONFIG=$path/bin/pg_config", 'WERROR=-Werror', 'install');
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

1;
