# tapmig.statements cuts the install and upgrade scripts of extensions into the
# very texts that psql sends for them.
#
# psql talks to a server of this test, which speaks just enough of the protocol
# to note each query byte for byte and to answer it; nothing is run. Beside the
# scripts of PostgreSQL's own contrib, those of some Debian packages are read,
# which are downloaded and unpacked but not installed. CREATE EXTENSION's
# placeholders, @extschema@ and the like, are no SQL: they are filled in on both
# sides.

use strict;
use warnings;

use File::Find ();
use IO::Socket::UNIX;
use IPC::Run ();
use Socket qw(SOCK_STREAM);
use TapmigTest;
use Test::More;

my $mark = 'the next file begins';

# Reads exactly $n bytes, '' at the end of the stream.
sub read_bytes
{
	my ($client, $n) = @_;
	my $bytes = '';

	while (length($bytes) < $n)
	{
		my $got = sysread($client, $bytes, $n - length($bytes), length($bytes));
		return '' unless $got;
	}
	return $bytes;
}

# Good enough for what stands before a statement.
sub without_comments
{
	my ($text) = @_;

	1 while $text =~ s{/\*(?:(?!/\*|\*/).)*\*/}{ }s;
	return $text =~ s/--[^\n]*//gr;
}

sub message { my ($type, $body) = @_; return $type . pack('N', 4 + length $body) . $body; }

# One connection: answers every query, returns their texts. The answer tells psql
# of a changed standard_conforming_strings, as the server does.
sub serve
{
	my ($client) = @_;
	my $ready    = message('Z', 'I');
	my @queries;

	read_bytes($client, unpack('N', read_bytes($client, 4)) - 4);
	syswrite($client,
		message('R', pack('N', 0))
		  . join('', map { message('S', "$_->[0]\0$_->[1]\0") }
			  [ server_version => '15.0' ],
			  [ client_encoding => 'UTF8' ],
			  [ standard_conforming_strings => 'on' ])
		  . $ready);
	while (1)
	{
		my $head = read_bytes($client, 5);
		last if $head eq '';
		my ($type, $length) = unpack('aN', $head);
		my $body = read_bytes($client, $length - 4);
		last if $type eq 'X';
		if ($type eq 'Q')
		{
			$body =~ s/\0\z//;
			push @queries, $body;
			my $setting =
			  $body eq $mark ? message('S', "standard_conforming_strings\0on\0")
			  : without_comments($body) =~ /^\s*SET\s+(?:LOCAL\s+|SESSION\s+)?standard_conforming_strings\s*(?:=|TO)\s*'?(on|off)\b/i
			  ? message('S', "standard_conforming_strings\0\L$1\0")
			  : '';
			if (without_comments($body) =~ /^\s*COPY\s.*\sFROM\s+STDIN\b/is)
			{
				syswrite($client, message('G', pack('Cn', 0, 0)));
				while (1)
				{
					my ($t, $l) = unpack('aN', read_bytes($client, 5));
					read_bytes($client, $l - 4);
					last if $t eq 'c' || $t eq 'f';
				}
			}
			syswrite($client, message('C', "DO\0") . $setting . $ready);
		}
		else
		{
			die "psql sent a message of type $type";
		}
	}
	return \@queries;
}

# What psql sends of the files, one list a file: one psql reads all, and before
# each file sends a mark.
sub psql_sends
{
	my (@files) = @_;
	my $dir     = scratch_dir();
	my ($queries, $err) = ([], "$dir/err");
	my @all;

	my $server = IO::Socket::UNIX->new(
		Type   => SOCK_STREAM,
		Local  => "$dir/.s.PGSQL.5432",
		Listen => 1) or die "listen: $!";
	my $pid = fork() // die "fork: $!";
	if ($pid == 0)
	{
		%ENV = (%ENV, PGHOST => $dir, PGPORT => 5432, PGUSER => 'x', PGDATABASE => 'x',
			PGCLIENTENCODING => 'UTF8');
		open(STDIN,  '<', '/dev/null') or die;
		open(STDOUT, '>', '/dev/null') or die;
		open(STDERR, '>', $err)        or die;
		exec('psql', '-X', '-q', map { ('-c', $mark, '-f', $_) } @files) or die;
	}
	alarm(300);
	my $client = $server->accept or die "accept: $!";
	$queries = serve($client);
	close($client);
	waitpid($pid, 0);
	alarm(0);
	die "psql: $? " . read_file($err) if $? != 0 || -s $err;

	for my $query (@$queries)
	{
		if   ($query eq $mark) { push @all, []; }
		else                   { push @{ $all[-1] }, $query; }
	}
	die 'psql read ' . @all . ' of ' . @files . ' files' unless @all == @files;
	return @all;
}

# Whether psql sends no statement, but a lone semicolon or comments.
sub is_empty
{
	return without_comments($_[0]) =~ /\A[\s;]*\z/;
}

# Whether a statement's text is what psql sends of it. psql drops the empty
# lines of a statement, and the lines of its own commands, which are blank here.
sub same_text
{
	my ($ours, $psql) = @_;
	my @psql = split /\n/, $psql, -1;

	for my $line (split /\n/, $ours, -1)
	{
		if (@psql && $line eq $psql[0]) { shift @psql; }
		elsif ($line !~ /\A\s*\z/)       { return 0; }
	}
	return !@psql;
}

# Compares the files of one origin; at least so many of each must be there.
sub compare
{
	my ($node, $origin, $least_files, $least_statements, @files) = @_;
	my $dir     = scratch_dir();
	my $session = session($node);
	my ($statements, %differs) = (0);
	my (@texts, @copies);

	for my $file (@files)
	{
		my $text = read_file($file) =~ s/\@ext(?:schema(?::\w+)?|owner)\@/public/gr;

		push @texts, $text;
		# psql would obey the \quit that stops it from loading an extension's script.
		push @copies, write_file("$dir/" . @copies . '.sql', $text =~ s/^\\echo .*\\quit\s*?$//mgr);
	}
	my @sent = psql_sends(@copies);

	for my $i (0 .. $#files)
	{
		utf8::decode($texts[$i]);
		my $r = $session->try('SELECT sql FROM tapmig.statements($1) ORDER BY statement',
			bind => [ $texts[$i] ]);
		my @ours = $r->{ok} ? map { $_->[0] } @{ $r->{rows} } : ();
		my @psql = grep { !is_empty($_) } @{ $sent[$i] };

		utf8::encode($_) for grep { utf8::is_utf8($_) } @ours;
		$statements += @psql;
		if (!$r->{ok})
		{
			$differs{ $files[$i] } = "$r->{sqlstate} $r->{message} ($r->{context})";
			next;
		}
		my ($at) = grep { !same_text($ours[$_] // '', $psql[$_] // '') }
		  0 .. (@ours > @psql ? $#ours : $#psql);
		$differs{ $files[$i] } = sprintf("%d statements, psql %d; the first that differs is %d:\n%s\npsql:\n%s",
			scalar @ours, scalar @psql, $at + 1, $ours[$at] // '(none)', $psql[$at] // '(none)')
		  if defined $at;
	}
	is(scalar keys %differs, 0, "$origin: $statements statements of " . @files . ' files are cut as psql cuts them')
	  or diag map { "$_: $differs{$_}\n" } (sort keys %differs)[ 0 .. (keys %differs > 5 ? 4 : keys(%differs) - 1) ];
	cmp_ok(scalar @files, '>=', $least_files,      "$origin: files");
	cmp_ok($statements,   '>=', $least_statements, "$origin: statements");
	return;
}

my $node = tapmig_node('main');
chomp(my $share = `pg_config --sharedir`);

compare($node, 'contrib', 120, 2500, sort glob("$share/extension/*--*.sql"));

# What the scripts above hold little of; the last one has no semicolon.
my $mixed = write_file(scratch_dir() . '/mixed.sql', <<'END');
-- a comment
/* a block /* in a block */ */ -- and a line
SELECT 1; SELECT 2 /* ; */ ; ; ;; /* nothing */ ;
SELECT ';' -- ;
	|| ';' "a;b"; SELECT $$;$$, $x$ $$ ; $y$ $x$;

CREATE FUNCTION f() RETURNS int BEGIN ATOMIC
	SELECT CASE WHEN true THEN 1 END;
	SELECT 2;
END;
CREATE RULE r AS ON INSERT TO t DO ALSO (DELETE FROM a; DELETE FROM b);
SELECT 'a'
	'b;c', E'it\'s;', U&'d\0061t;a', B'01', X'1F';
SET standard_conforming_strings = off;
SELECT 'it\'s;'; SELECT 'a\\';
SET standard_conforming_strings = on;
SELECT '\'; SELECT 3
END
compare($node, 'mixed', 1, 13, $mixed);

# Packages that bring SQL for extensions, for any PostgreSQL. They are looked at
# only, so that they need not fit this server.
my @packages = qw(postgresql-15-pgtap postgresql-15-partman postgresql-15-cron
  postgresql-15-postgis-3-scripts postgresql-15-pgrouting-scripts);
SKIP:
{
	my $dir = scratch_dir();
	my ($out, $err) = ('', '');

	skip 'there is no apt-get', 3 if system('command -v apt-get >/dev/null') != 0;
	for my $package (@packages)
	{
		IPC::Run::run([ 'sh', '-c', 'cd "$1" && apt-get download -q "$2"', 'sh', $dir, $package ],
			'<', '/dev/null', '>', \$out, '2>', \$err, IPC::Run::timeout(300));
	}
	my @debs = glob("$dir/*.deb");
	skip "no package could be downloaded: $err", 3 unless @debs;

	system('dpkg-deb', '-x', $_, "$dir/unpacked") == 0 or die "dpkg-deb -x $_" for @debs;
	my @files;
	File::Find::find(
		{ wanted => sub { push @files, $File::Find::name if /--.*\.sql\z/ && -f }, no_chdir => 1 },
		"$dir/unpacked");

	# Upgrades to one version from many hold the same again and again.
	my %large;
	@files = grep { -s $_ < 200_000 || $large{ s/--.*//r }++ < 2 } sort @files;
	compare($node, 'packages', 150, 5000, @files);
}

done_testing();
