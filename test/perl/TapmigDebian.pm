# TapmigDebian.pm
#
# Files out of Debian packages that are not installed: real input for tests.
#
# my ($root, $problem) = debian_package($name)
#		downloads the package of that name (apt-get download) and unpacks it
#		(dpkg -x) in a new directory, which goes at the end of the test. $root is
#		that directory, so that /usr/share/x of the package is $root/usr/share/x.
#		Where apt cannot get it, $root is undef and $problem says why, in a line.
#		Needs no root, installs nothing. Where the machine's package lists don't
#		know the package, lists of the test's own are fetched first.
# debian_source($name, $pattern)	-> ($dir, $problem): likewise the files of a
#		source package's original archive that match the tar pattern.
# gunzipped($path)	-> what the file holds.

package TapmigDebian;

use strict;
use warnings;

use Exporter 'import';
use File::Path ();
use IPC::Run   ();
use TapmigTest;

our @EXPORT = qw(debian_package debian_source gunzipped);

my $own_state;

sub _run
{
	my ($dir, @command) = @_;
	my $output = '';

	local $ENV{LC_ALL} = 'C.UTF-8';
	my $good = eval {
		IPC::Run::run(\@command, '<', '/dev/null', '>', \$output, '2>&1',
			init => sub { chdir($dir) or die "$dir: $!" },
			IPC::Run::timeout(300));
	};
	$output .= $@ if $@;
	return ($good ? 1 : 0, $output);
}

# Lists and cache of our own: the machine's belong to root.
sub _own_lists
{
	return @$own_state if $own_state;

	my $dir = scratch_dir();
	for my $path (qw(state/lists/partial cache/archives/partial))
	{
		File::Path::make_path("$dir/$path");
	}
	my @options = ('-o', "Dir::State=$dir/state",
		'-o', 'Dir::State::status=/var/lib/dpkg/status', '-o', "Dir::Cache=$dir/cache");
	_run($dir, 'apt-get', @options, '-q', 'update');
	$own_state = \@options;
	return @options;
}

sub debian_package
{
	my ($name) = @_;
	my $dir    = scratch_dir();
	my ($good, $output);

	return (undef, "$name: there is no apt-get here")
	  unless grep { -x "$_/apt-get" } split /:/, $ENV{PATH};
	($good, $output) = _run($dir, 'apt-get', '-q', 'download', $name);
	($good, $output) = _run($dir, 'apt-get', _own_lists(), '-q', 'download', $name)
	  unless $good;
	unless ($good)
	{
		my ($error) = $output =~ /^E: (.*)/m;
		return (undef, "$name: apt cannot get it: " . ($error // 'no message'));
	}

	# From here on nothing depends on the network: what fails is a failure.
	my ($file) = glob("$dir/*.deb");
	($good, $output) = _run($dir, 'dpkg', '-x', $file, "$dir/root");
	die "$file: $output" unless $good;
	return ("$dir/root", undef);
}

# The machine's sources, as sources of source packages.
sub _source_options
{
	my ($dir) = @_;

	File::Path::make_path("$dir/parts", map { "$dir/$_" } qw(state/lists/partial cache/archives/partial));
	for my $file (glob('/etc/apt/sources.list /etc/apt/sources.list.d/*'))
	{
		next unless -r $file;
		my $name = $file =~ s{.*/}{}r;
		my $text = read_file($file) =~ s/^(Types:)\s+deb\s*$/$1 deb-src/mgr =~ s/^deb\s/deb-src /mgr;
		write_file("$dir/parts/$name", $text);
	}
	return ('-o', "Dir::State=$dir/state", '-o', 'Dir::State::status=/var/lib/dpkg/status',
		'-o', "Dir::Cache=$dir/cache", '-o', 'Dir::Etc::sourcelist=/dev/null',
		'-o', "Dir::Etc::sourceparts=$dir/parts", '-o', 'Acquire::Check-Valid-Until=false');
}

sub debian_source
{
	my ($name, $pattern) = @_;
	my $dir = scratch_dir();

	return (undef, "$name: there is no apt-get here")
	  unless grep { -x "$_/apt-get" } split /:/, $ENV{PATH};
	my @options = _source_options($dir);
	_run($dir, 'apt-get', @options, '-q', 'update');
	my (undef, $known) = _run($dir, 'apt-cache', @options, '-q', 'showsrc', $name);
	my ($good, $output, $file) = (0, "E: not among the sources\n");

	# Newest first; a mirror need not have what the lists name.
	for my $version (reverse sort { $a cmp $b } $known =~ /^Version: (\S+)/mg)
	{
		($good, $output) = _run($dir, 'apt-get', @options, '-q', 'source', '--download-only', "$name=$version");
		($file) = glob("$dir/*.orig.tar.*");
		last if $good && $file;
	}
	unless ($good && $file)
	{
		my ($error) = $output =~ /^E: (.*)/m;
		return (undef, "$name: apt cannot get its source: " . ($error // 'no message'));
	}
	($good, $output) = _run($dir, 'tar', '-xf', $file, '--wildcards', $pattern);
	die "$file: $output" unless $good;
	return ($dir, undef);
}

sub gunzipped
{
	my ($path) = @_;
	my $text = '';

	IPC::Run::run([ 'gzip', '-dc', $path ], '>', \$text) or die "gzip -dc $path failed";
	return $text;
}

1;
