# TapmigNpm.pm
#
# Packages of Node for tests.
#
# my ($dir, $problem) = node_modules($name, $version)
#		installs that version with npm into $dir/node_modules, $dir being a new
#		directory that goes at the end of the test: a program in $dir finds it.
#		Where there is no node or npm, or npm cannot reach its registry, $dir is
#		undef and $problem says so. Dies when the registry is reached and the
#		installation fails all the same.
# run_node($node, $dir, $file, %opt)	-> (exit good, standard output, standard error)
#		of "node $file" in $dir, against the server $node. env => { NAME => value }.

package TapmigNpm;

use strict;
use warnings;

use Exporter 'import';
use IPC::Run ();
use TapmigTest;

our @EXPORT = qw(node_modules run_node);

sub _npm
{
	my ($dir, @arguments) = @_;
	my $output = '';

	# Nothing of the user's own npm: its cache may belong to somebody else.
	local %ENV = (%ENV,
		npm_config_cache           => "$dir/cache",
		npm_config_userconfig      => "$dir/npmrc",
		npm_config_update_notifier => 'false');
	my $good = eval {
		IPC::Run::run([ 'npm', @arguments ], '<', '/dev/null', '>', \$output, '2>&1',
			init => sub { chdir($dir) or die "$dir: $!" },
			IPC::Run::timeout(300));
	};
	return ($good ? 1 : 0, $output . ($@ // ''));
}

sub node_modules
{
	my ($name, $version) = @_;
	my $dir = scratch_dir();

	for my $program (qw(node npm))
	{
		return (undef, "there is no $program here")
		  unless grep { -x "$_/$program" } split /:/, $ENV{PATH};
	}
	my ($reached) = _npm($dir, 'view', "$name\@$version", 'version',
		'--fetch-retries=1', '--fetch-timeout=20000');
	return (undef, 'npm cannot reach its registry') unless $reached;

	write_file("$dir/package.json", qq({"name": "client", "private": true}\n));
	my ($good, $output);
	for (1 .. 3)
	{
		($good, $output) = _npm($dir, 'install', '--no-audit', '--no-fund',
			'--ignore-scripts', '--save-exact', "$name\@$version");
		last if $good;
	}
	die "npm cannot install $name $version: $output" unless $good;
	return ($dir, undef);
}

sub run_node
{
	my ($node, $dir, $file, %opt) = @_;
	my ($out, $err) = ('', '');

	# pg takes the user's name from the environment, where there may be none.
	local %ENV = ($node->_get_env(PGDATABASE => 'postgres', PGUSER => (getpwuid($>))[0]),
		%{ $opt{env} // {} });
	my $good = IPC::Run::run([ 'node', $file ], '<', '/dev/null', '>', \$out, '2>', \$err,
		init => sub { chdir($dir) or die "$dir: $!" },
		IPC::Run::timeout(120));
	return ($good ? 1 : 0, $out, $err);
}

1;
