# META.json by PGXN's specification; debian/, built with dpkg-buildpackage (which
# runs the regression tests in a cluster of its own), unpacked over a copy of
# PostgreSQL without the extension, and used.

use strict;
use warnings;

use IPC::Run ();
use JSON::PP ();
use TapmigTest;
use Test::More;

my $top = top_dir();
my ($version) = read_file("$top/tapmig.control") =~ /^default_version = '(.*)'$/m;

# ------------------------------------------------------------------------ PGXN

my $meta = JSON::PP->new->utf8->decode(read_file("$top/META.json"));
my $semver  = qr/\A(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)(?:-?[A-Za-z][-0-9A-Za-z]*)?\z/;
my $term    = qr{\A[^\s/\\\x00-\x1f\x7f]{2,}\z};
my $string  = qr/\S/;
my %license = map { $_ => 1 } qw(agpl_3 apache_1_1 apache_2_0 artistic_1 artistic_2 bsd freebsd gfdl_1_2 gfdl_1_3 gpl_1
  gpl_2 gpl_3 lgpl_2_1 lgpl_3_0 mit mozilla_1_0 mozilla_1_1 openssl perl_5 postgresql qpl_1_0 ssleay sun zlib open_source
  restricted unrestricted unknown);

# What is wrong, as far as the specification's section on a field says.
sub meta_problems
{
	my ($m) = @_;
	my @bad;
	my %known = map { $_ => 1 } qw(name abstract description version maintainer license release_status provides
	  prereqs tags resources no_index generated_by meta-spec);

	push @bad, map { "unknown field $_" } grep { !$known{$_} && !/^[Xx]_/ } sort keys %$m;
	push @bad, map { "no $_" } grep { !defined $m->{$_} } qw(name abstract version maintainer license provides meta-spec);
	return @bad if @bad;
	push @bad, 'name'     unless $m->{name} =~ $term;
	push @bad, 'abstract' unless $m->{abstract} =~ $string;
	push @bad, 'version'  unless $m->{version} =~ $semver;
	push @bad, 'maintainer' if grep { !/$string/ } ref $m->{maintainer} ? @{ $m->{maintainer} } : $m->{maintainer};
	push @bad, 'license' unless !ref $m->{license} && $license{ $m->{license} };
	push @bad, 'release_status' if defined $m->{release_status} && $m->{release_status} !~ /\A(?:stable|testing|unstable)\z/;
	push @bad, 'provides' unless ref $m->{provides} eq 'HASH' && %{ $m->{provides} };
	for my $extension (sort keys %{ $m->{provides} })
	{
		my $p = $m->{provides}{$extension};
		push @bad, "provides $extension" unless $extension =~ $term;
		push @bad, "version of $extension" unless ($p->{version} // '') =~ $semver;
		push @bad, map { "$_ of $extension" }
		  grep { ($p->{$_} // '') !~ $string || !-e "$top/$p->{$_}" } ('file', defined $p->{docfile} ? 'docfile' : ());
		push @bad, map { "unknown $_ of $extension" } grep { !/\A(?:file|docfile|version|abstract|[Xx]_.*)\z/ } sort keys %$p;
	}
	for my $phase (sort keys %{ $m->{prereqs} // {} })
	{
		push @bad, "phase $phase" unless $phase =~ /\A(?:configure|build|test|runtime|develop)\z/;
		for my $relation (sort keys %{ $m->{prereqs}{$phase} })
		{
			push @bad, "relation $relation" unless $relation =~ /\A(?:requires|recommends|suggests|conflicts)\z/;
			push @bad, map { "prerequisite $_" }
			  grep { $m->{prereqs}{$phase}{$relation}{$_} !~ $semver } sort keys %{ $m->{prereqs}{$phase}{$relation} };
		}
	}
	push @bad, map { "tag $_" } grep { !length || length > 255 || m{[/\\\x00-\x1f\x7f]} } @{ $m->{tags} // [] };
	push @bad, 'meta-spec' unless $m->{'meta-spec'}{version} eq '1.0.0' && $m->{'meta-spec'}{url} =~ m{\Ahttps?://pgxn\.org/meta/spec\.txt\z};
	return @bad;
}

is_deeply([ meta_problems($meta) ], [], "META.json is as PGXN's specification wants it");
for my $case ([ name => 'a/b' ], [ version => '0.1' ], [ license => 'PostgreSQL' ], [ abstract => undef ], [ release_status => 'new' ],
	[ provides => {} ], [ prereqs => { runtime => { requires => { PostgreSQL => '15' } } } ], [ home => 'x' ], [ tags => [''] ])
{
	isnt(scalar meta_problems({ %$meta, $case->[0] => $case->[1] }), 0, "a wrong $case->[0] is noticed");
}
is_deeply([ $meta->{name}, $meta->{version}, $meta->{provides}{tapmig}{version} ], [ 'tapmig', $version, $version ],
	'its versions are the extension\'s');

# ---------------------------------------------------------------------- Debian

my ($latest) = read_file("$top/debian/changelog") =~ /\Atapmig \((\S+)\)/;
is($latest, $version, 'debian/changelog begins with this version');
is(read_file("$top/debian/control"), read_file("$top/debian/control.in") =~ s/PGVERSION/15/gr, 'debian/control is made from control.in');
like(`'$top/bin/tapmig' --version`, qr/\Atapmig \Q$version\E\n\z/, 'the runner is of this version');

SKIP:
{
	my $skipped = 13;
	skip 'PG_CONFIG names another PostgreSQL than Debian\'s', $skipped if $ENV{PG_CONFIG};
	for my $program (qw(dpkg-buildpackage dh pg_buildext pg_virtualenv))
	{
		skip "there is no $program here", $skipped if system("command -v $program >/dev/null") != 0;
	}
	chomp(my $major = `bash '$top/test/lib/packages.sh' major`);
	my $work = scratch_dir();
	my $home = scratch_dir();
	system('cp', '-R', $top, "$work/tapmig") == 0 or die;

	# A builder's environment has nothing of this test's.
	my @clean = ('env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'LC_ALL=C.UTF-8', "HOME=$home", 'TMPDIR=' . ($ENV{TMPDIR} // '/tmp'));
	my $command = sub {
		my ($dir, @command) = @_;
		my $output = '';
		my $h = IPC::Run::start([ @clean, @command ], '<', '/dev/null', '>', \$output, '2>&1',
			init => sub { chdir($dir) or die "$dir: $!" }, IPC::Run::timeout(900));
		$h->finish;
		return ($h->result(0) // 255, $output);
	};
	$command->("$work/tapmig", 'pg_buildext', 'updatecontrol') if $major ne '15';
	my ($exit, $output) = $command->("$work/tapmig", 'dpkg-buildpackage', '-us', '-uc');
	is($exit, 0, 'dpkg-buildpackage') or diag substr($output, -6000);
	like($output, qr/^# All \d+ tests passed|^ All \d+ tests passed/m, 'it ran the regression tests');
	my ($server) = glob("$work/postgresql-$major-tapmig_${version}_*.deb");
	my ($runner) = glob("$work/tapmig_${version}_all.deb");
	ok(defined $server && -s $server, "postgresql-$major-tapmig is built");
	ok(defined $runner && -s $runner, 'tapmig is built');
	last SKIP unless defined $server && defined $runner;
	ok(-s "$work/tapmig_$version.dsc", 'and the source package');
	(undef, $output) = $command->($work, 'dpkg-deb', '-f', $server, 'Depends');
	like($output, qr/\bpostgresql-$major\b/, 'it depends on the server');

	# Over a copy of PostgreSQL as Debian's packages have it: the system is not
	# touched.
	my $root = scratch_dir();
	for my $path ("usr/lib/postgresql/$major", "usr/share/postgresql/$major")
	{
		system("mkdir -p '$root/$path' && cp -R '/$path/.' '$root/$path/'") == 0 or die;
	}
	system("find '$root' -name 'tapmig*' -delete") == 0 or die;
	my $node = PostgreSQL::Test::Cluster->new('packaged', install_path => "$root/usr/lib/postgresql/$major");
	$node->init;
	$node->start;
	is_error(sql_error($node, 'CREATE EXTENSION tapmig'), '0A000', qr/not available/, 'without the package there is no extension');
	for my $package ($server, $runner)
	{
		($exit, $output) = $command->($work, 'dpkg', '-x', $package, $root);
		is($exit, 0, "unpacked: $package") or diag $output;
	}
	is(sql_try($node, 'CREATE EXTENSION tapmig')->{sqlstate}, '', 'with it there is');
	is(sql_value($node, q{SELECT extversion FROM pg_extension WHERE extname = 'tapmig'}), $version, 'of this version');
	my $dir = migrations_dir({ '001_a.sql' => "CREATE TABLE a (i int);\n", '002_b.sql' => "CREATE INDEX CONCURRENTLY ON a (i);\n" });
	{
		local $ENV{TAPMIG_BIN} = "$root/usr/bin/tapmig";
		my ($status, $out, $err) = run_tapmig($node, [ 'up', '--dir', $dir ]);
		is("$status$err" . $out =~ s/\(\d+ ms\)//gr, "0applied 001_a \napplied 002_b \n", 'the packaged runner applies migrations');
	}
	is(sql_value($node, 'SELECT count(*) FROM tapmig.verify()'), 0, 'the ledger is sound');
	$node->stop;
}

done_testing();
