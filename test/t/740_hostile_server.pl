# A server that lies: whatever stands in its rows and messages, the runner
# executes none of it, and sends no control character to a terminal.
#
# Between psql and the server stands a proxy that puts a payload in the place of
# one column's values, or of the text of messages.

use strict;
use warnings;

use Encode ();
use IO::Select;
use IO::Socket::UNIX;
use POSIX ();
use TapmigTest;
use Test::More;

my $node  = tapmig_node('main');
my $place = scratch_dir();
my $seen  = "$place/columns";
my $rule  = "$place/rule";
my $canary = "$place/canary";
my $port  = 5432;

# ------------------------------------------------------------------- the proxy

# The rule: a file of two lines, the column's name and the payload in hex; the
# column "*message*" stands for messages, "as NAME" for the first column of all
# rows, which gets that name. Without the file all passes, and the names of the
# columns are written down.
sub rewrite
{
	my ($type, $body, $columns) = @_;
	my ($column, $payload) = split(/\n/, eval { read_file($rule) } // '');

	$payload = pack('H*', $payload) if defined $payload;
	if ($type eq 'T')
	{
		my ($n, $rest) = unpack('n a*', $body);
		my @names;

		for (1 .. $n)
		{
			(my $name, $rest) = unpack('Z* x18 a*', $rest);
			push @names, $name;
		}
		@$columns = @names;
		if (defined $column && $column =~ /^as (.*)/ && $n > 0)
		{
			$columns->[0] = $column;
			$body = unpack('a2', $body) . "$1\0" . substr($body, 3 + length $names[0]);
		}
		if (!defined $column)
		{
			open(my $fh, '>>', $seen) or die;
			print $fh "$_\n" for @names;
			close $fh;
		}
	}
	elsif ($type eq 'D' && defined $column)
	{
		my ($n, $rest) = unpack('n a*', $body);
		my $new = pack('n', $n);

		for my $i (0 .. $n - 1)
		{
			(my $len, $rest) = unpack('l> a*', $rest);
			my $value;

			($value, $rest) = unpack("a$len a*", $rest) if $len >= 0;
			$value = $payload if ($columns->[$i] // '') eq $column;
			$new .= defined $value ? pack('N/a*', $value) : pack('l>', -1);
		}
		$body = $new;
	}
	elsif (($type eq 'E' || $type eq 'N') && defined $column && $column eq '*message*')
	{
		my $new = '';

		while ($body =~ /\G([^\0])([^\0]*)\0/g)
		{
			my ($field, $text) = ($1, $2);

			$new .= $field . ($field =~ /[MDHW]/ ? $text . $payload : $text) . "\0";
		}
		$body = "$new\0";
	}
	return $type . pack('N', 4 + length $body) . $body;
}

sub carry
{
	my ($client, $server) = @_;
	my $select = IO::Select->new($client, $server);
	my ($from_server, @columns) = ('');

	for (;;)
	{
		for my $ready ($select->can_read(60))
		{
			my $n = sysread($ready, my $bytes, 65536);

			POSIX::_exit(0) if !$n;
			if ($ready == $client)
			{
				syswrite($server, $bytes);
				next;
			}
			$from_server .= $bytes;
			my $out = '';
			while (length $from_server >= 5)
			{
				my ($type, $len) = unpack('a N', $from_server);

				last if length $from_server < 1 + $len;
				$out .= rewrite($type, substr($from_server, 5, $len - 4), \@columns);
				substr($from_server, 0, 1 + $len, '');
			}
			syswrite($client, $out) if length $out;
		}
	}
}

my $listener = IO::Socket::UNIX->new(Local => "$place/.s.PGSQL.$port", Listen => 16) or die $!;
my $proxy = fork() // die;
if ($proxy == 0)
{
	$SIG{CHLD} = 'IGNORE';
	while (my $client = $listener->accept)
	{
		next if fork();
		# No END block of the test's must run here.
		eval { carry($client, IO::Socket::UNIX->new(Peer => $node->host . '/.s.PGSQL.' . $node->port) || die $!); };
		POSIX::_exit(1);
	}
	POSIX::_exit(0);
}

END { kill 'KILL', $proxy if $proxy; }

# ---------------------------------------------------------------- the commands

sql_value($node, $_) for (
	'CREATE TABLE other (version text PRIMARY KEY, applied_at timestamptz, source text)',
	q{INSERT INTO other VALUES ('900', now(), 'by hand')});
my $dir = migrations_dir({
	'001_a.sql' => 'CREATE TABLE IF NOT EXISTS a (i int)',
	'002_b.sql' => "-- tapmig: compensates=001\nSELECT 1;",
	'003_c.sql' => "DO \$\$ BEGIN RAISE NOTICE 'notice'; RAISE WARNING 'warning'; END \$\$;",
	'004_d.sql' => 'VACUUM a',
	'005_e.sql' => "DO \$\$ BEGIN RAISE EXCEPTION 'no' USING DETAIL = 'detail', HINT = 'hint'; END \$\$;" });
my $few = migrations_dir({ '001_a.sql' => 'SELECT 1', '002_b.sql' => "-- tapmig: loses=a\nSELECT 2;" });
my $double = migrations_dir({ '001_a.sql' => 'SELECT 1', '01_a.sql' => 'SELECT 1' });
my $report = "$place/report";

sub through
{
	my ($args, %opt) = @_;

	return run_tapmig($node, $args, env => { PGHOST => $place, PGPORT => $port, %{ $opt{env} // {} } },
		timeout => 60);
}

# All of the surface; a run changes as little as it can.
my @commands = (
	[ 'status', '--dir', $dir ], [ 'status', '--json', '--dir', $dir ],
	[ 'plan', '--dir', $dir ], [ 'plan', '--markdown', '--dir', $dir ], [ 'plan', '--json', '--dir', $dir ],
	[ 'up', '--dir', $double ],
	[ 'up', '--force-empty', '--track', 'TRACK', '--dir', $dir ],
	[ 'up', '--json', '--force-empty', '--track', 'TRACK', '--dir', $few ],
	[ 'up', '--window', '00:00-00:01', '--force-empty', '--track', 'TRACK', '--dir', $few ],
	[ 'lint', '--dir', $few ], [ 'lint', '--format', 'github', '--dir', $few ], [ 'rehearse', '001', '--dir', $few ],
	[ 'adopt', '--from', 'other', '--dir', $few ],
	[ 'adopt', '--yes', '--dir', $few, '--track', 'TRACK' ],
	[ 'register', '777', '--track', 'TRACK' ], [ 'baseline', '002', '--track', 'TRACK', '--dir', $few ],
	[ 'accept', '001', '--why', 'so', '--dir', $few ], [ 'require', '001' ], [ 'wait', '001', '--timeout', '100ms' ],
	[ 'promote', '--from', $report, '--soak', '0h', '--force-empty', '--track', 'TRACK', '--dir', $few ],
	[ 'dump', '--out', '-', '--dir', $dir ]);

# What is tried in the place of each column: what psql, sed and a shell would
# execute, rows of the runner's own tables, and what a terminal obeys. "read" gets
# the first line.
my $csi = Encode::encode('UTF-8', "\x{9b}31m");
my $bidi = Encode::encode('UTF-8', "\x{202e}\x{2066}");
my $terminal = "x\e]0;title\a\e[31m$csi$bidi\x7f\b";
my %payloads = (
	'sed, rows' => "1e touch $canary;:\npicked\tx\trunbook\t1 \\! touch $canary\tf\t' \\! touch $canary\n"
	  . "adopt\t0\tregister\t1$terminal\t`touch $canary`\t\t\t`touch $canary`\nwanted\t1\t`touch $canary`$terminal\n",
	'flyway' => "x\npicked\tx\tflyway\t0\tf\t0\nadopt\t1 \\! touch $canary\tregister\t1\t\tx\t\t78\n"
	  . "adopt\t1\tregister\t1\t\tx\t\t78\n",
	'psql, shell' => "x[\$(touch $canary)]`touch $canary`\$(touch $canary)' `touch $canary` '$terminal\n"
	  . "1 \\! touch $canary\n\\! touch $canary");

my $n_track = 0;
sub attack
{
	my ($command, $column, $payload) = @_;
	my @args = map { $_ eq 'TRACK' ? 'track' . ++$n_track : $_ } @$command;

	unlink $canary;
	write_file($rule, "$column\n" . unpack('H*', $payload) . "\n");
	my @r = through(\@args);
	unlink $rule;
	return (-e $canary ? 0 : 1, @r);
}

# The report for promote: a track of its own, in the place of staging's.
{
	my ($exit, $out, $err) = through([ 'status', '--json', '--dir', $dir ]);
	like($out, qr/^\{/, 'the proxy carries') or BAIL_OUT($err);
	write_file($report, $out);
}

# What every session asks is tried with three commands only.
my %common = map { $_ => 3 } qw(newer began probe doubled one other);

# A server may name its columns as it likes, and psql makes variables of them.
{
	my $source = read_file(tapmig_bin());
	my %variables = map { $_ => 1 } $source =~ /\\set (\w+)/g, $source =~ /-v (\w+)=/g;
	my @executed;

	cmp_ok(scalar keys %variables, '>', 15, 'the runner has variables');
	for my $variable (sort keys %variables)
	{
		my ($good) = attack([ 'up', '--force-empty', '--track', 'TRACK', '--dir', $few ], "as $variable", "1 \n\\! touch $canary\n");

		push @executed, $variable if !$good;
	}
	is_deeply(\@executed, [], 'none of which is a column of the server\'s') or diag(join(', ', @executed));
}

my $tried = 0;
my $runner = read_file(top_dir() . '/bin/tapmig');
for my $command (@commands)
{
	my $name = join(' ', grep { !m{^/} } @$command);
	my @args = map { $_ eq 'TRACK' ? 'track' . ++$n_track : $_ } @$command;

	if ($command->[0] eq 'promote')
	{
		my $text = read_file($report);
		$text =~ s/"track" *: *"[^"]*"/"track": "$args[-3]"/;
		write_file($report, $text);
	}
	unlink $seen;
	through(\@args);
	my %columns;
	$columns{$_} = 1 for -e $seen ? split(/\n/, read_file($seen)) : ();
	cmp_ok(scalar keys %columns, '>', 0, "$name: has columns");
	# pg_dump's own columns, hundreds, are pg_dump's to look after.
	if ($command->[0] eq 'dump')
	{
		delete @columns{ grep { $runner !~ /\bAS \Q$_\E\b|\b\Q$_\E\(/ && $_ ne '?column?' } keys %columns };
	}
	for (keys %common)
	{
		delete $columns{$_} if $columns{$_} && $common{$_}-- <= 0 && "@$command" !~ /^up/;
	}

	# JSON is for programs, and a schema for psql.
	my $shown = !grep { $_ eq '--json' || $_ eq 'dump' } @$command;
	my (@executed, @raw);
	for my $column (sort(keys %columns), '*message*')
	{
		for my $payload (sort keys %payloads)
		{
			next if $payload eq 'flyway' && $command->[0] ne 'adopt';
			my ($good, $exit, $out, $err) = attack($command, $column, $payloads{$payload});
			my ($what) = "$out$err" =~ /([\x01-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]|\xe2\x80[\xaa-\xae]|\xe2\x81[\xa6-\xa9])/;

			push @executed, "$column: $payload" if !$good;
			push @raw, "$column: $payload: " . unpack('H*', $what) if $shown && defined $what;
			$tried++;
		}
	}
	is_deeply(\@executed, [], "$name: no value of the server's is executed") or diag(join(', ', @executed));
	is_deeply(\@raw, [], "$name: nor reaches the terminal as it is") or diag(join(', ', @raw));
}
cmp_ok($tried, '>', 200, 'that was all of the surface');

done_testing();
