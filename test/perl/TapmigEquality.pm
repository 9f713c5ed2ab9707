# TapmigEquality.pm
#
# One script, run by psql and by tapmig, on two fresh databases that are then
# compared by what pg_dump says of them.
#
# script_pieces($text, \%variables)	-> [ { text, kind }, ... ], the pieces of a
#		script: their texts, joined, are the script, with psql's variables filled
#		in. kind: 'sql', 'command' (of psql, without effect in tapmig) or
#		'refused' (what tapmig refuses to run; it is left out).
# equality($node, $template, $pieces, %opt)	-> hash reference:
#		all, pieces, kept	statements of the script; those that are not refused by
#						kind; those that were compared
#		steps			steps of the script in tapmig, 0 where it was transactional
#		left			[ [ text, error ], ... ]: failed, and were left out
#		one				the same, of these only what failed in tapmig and not in psql
#		psql, error		what psql, tapmig says when the rest does not run, or ''
#		differs			[ lines of the dumps' difference, '<' psql, '>' tapmig ]
#	Options: env => { for psql and the runner }, keep => directory for the files,
#		cut => 1: the script ends before the first statement that fails in psql,
#		split => N: a VACUUM behind each Nth statement makes a stepwise script of it;
#		bound => seconds for one run of a script, default 600.
#	Every database but postgres and base_... is dropped, every role but nobody's.

package TapmigEquality;

use strict;
use warnings;

use Exporter 'import';
use File::Path ();
use IPC::Run   ();
use TapmigTest;

our @EXPORT = qw(script_pieces equality);

my $database = 'equality';

# ---------------------------------------------------------------- the pieces

# The commands of psql that change only what psql prints.
my $shown = qr/\\(?:echo|qecho|warn|pset|x|t|a|timing)\b|\\set\s+ON_ERROR_STOP\b|\\unset\s+ON_ERROR_STOP\b/;

sub _bare
{
	my ($text) = @_;

	1 while $text =~ s{/\*(?:(?!/\*|\*/).)*\*/}{ }s;
	$text =~ s/--[^\n]*//g;
	return $text =~ s/^\s+//r;
}

# The value of \set's arguments: they are joined, quotes taken off, variables filled in.
sub _joined
{
	my ($arguments, $variables) = @_;
	my $value = '';

	while ($arguments =~ /\G\s*(?:'((?:[^']|'')*)'|:(\w+)|([^\s':]+))/gc)
	{
		$value .= defined $1 ? $1 =~ s/''/'/gr : defined $2 ? $variables->{$2} // ":$2" : $3;
	}
	return $value;
}

sub script_pieces
{
	my ($text, $variables) = @_;
	my @pieces;
	my ($piece, $depth, $atomic, $conforming, $own, @words) = ('', 0, 0, 1, 0);
	my $end = sub {
		my ($kind) = @_;
		push @pieces, { text => $piece, kind => $own ? 'refused' : $kind };
		($piece, $depth, $atomic, $own, @words) = ('', 0, 0, 0);
	};

	pos($text) = 0;
	while (pos($text) < length $text)
	{
		if ($text =~ /\G(?:\s+|--[^\n]*|\d[\w.]*)/gc) { $piece .= $&; }
		elsif ($text =~ m{\G/\*}gc)
		{
			my $nested = 1;
			$piece .= '/*';
			while ($nested && $text =~ m{\G(?:(/\*)|(\*/)|.)}gcs)
			{
				$piece .= $&;
				$nested += defined $1 ? 1 : defined $2 ? -1 : 0;
			}
		}
		elsif ($text =~ /\G[eE]'(?:[^'\\]|\\.|'')*'/gcs) { $piece .= $&; }
		elsif (!$conforming && $text =~ /\G'(?:[^'\\]|\\.|'')*'/gcs) { $piece .= $&; }
		elsif ($text =~ /\G(?:'(?:[^']|'')*'|"(?:[^"]|"")*")/gcs)     { $piece .= $&; }
		elsif ($text =~ /\G(\$(?:[A-Za-z_\x80-\xff][\w\x80-\xff]*)?\$).*?\1/gcs) { $piece .= $&; }
		elsif ($text =~ /\G(?:::|:=)/gc) { $piece .= $&; }
		elsif ($text =~ /\G:(['"]?)(?:LASTOID|LAST_ERROR_\w+|ERROR|SQLSTATE|ROW_COUNT|DBNAME|USER|HOST|PORT|(?:SERVER_)?VERSION\w*)\b\g1/gc)
		{
			# psql's own variables
			$piece .= $&;
			$own = 1;
		}
		elsif ($text =~ /\G:(['"]?)(\w+)\1/gc)
		{
			my ($all, $quote, $value) = ($&, $1, $variables->{$2});
			$piece .= !defined $value ? $all : $quote eq "'" ? quoted($value) : "$quote$value$quote";
		}
		elsif ($text =~ /\G[A-Za-z_\x80-\xff][\w\$\x80-\xff]*/gc)
		{
			my $word = lc $&;
			$piece .= $&;
			push @words, $word if @words < 4;
			my $body = @words > 1 && $words[0] eq 'create'
			  && ($words[1] =~ /^(?:function|procedure)$/
				|| (@words > 3 && "$words[1] $words[2] $words[3]" =~ /^or replace (?:function|procedure)$/));
			if    ($body && !$depth && $word eq 'begin')   { $atomic++; }
			elsif ($atomic && $word eq 'case')             { $atomic++; }
			elsif ($atomic && $word eq 'end')              { $atomic--; }
		}
		elsif ($text =~ /\G\\([^\n]*)/gc)
		{
			my ($all, $line) = ($&, $1);

			if (_bare($piece) ne '')
			{
				# \gset and the like: the statement and the rest of its line
				$piece .= $all;
				$end->('refused');
				next;
			}
			$piece .= $all;
			if ($line =~ /^getenv\s+(\w+)\s+(\w+)/) { $variables->{$1} = $ENV{$2}; }
			elsif ($line =~ /^set\s+(\w+)\s*(.*)/)
			{
				my ($name, $value) = ($1, _joined($2, $variables));
				# Of psql's own variables none is filled in.
				if ($value =~ /^:/) { delete $variables->{$name}; }
				else                { $variables->{$name} = $value; }
			}
			$end->($all =~ /^$shown/ && $line !~ /[:`\\]/ ? 'command' : 'refused');
		}
		elsif ($text =~ /\G[;]/gc)
		{
			$piece .= ';';
			next if $depth > 0 || $atomic > 0;
			my $bare = _bare($piece);
			$conforming = lc $1 eq 'on' ? 1 : 0
			  if $bare =~ /^SET\s+(?:LOCAL\s+|SESSION\s+)?standard_conforming_strings\s*(?:=|TO)\s*'?(on|off)\b/i;
			if ($bare =~ /^COPY\b.*\bFROM\s+STD(?:IN|OUT)\b/is && $text =~ /\G([^\n]*\n)(.*?^\\\.(?:\n|\z))/gcms)
			{
				$piece .= $1 . $2;
			}
			$end->($bare =~ /^COPY\b.*\bTO\s+STD(?:IN|OUT)\b/is ? 'refused' : 'sql');
		}
		else
		{
			$text =~ /\G./gcs;
			$piece .= $&;
			$depth++ if $& eq '(';
			$depth-- if $& eq ')' && $depth > 0;
		}
	}
	$end->(_bare($piece) eq '' ? 'command' : 'sql') if $piece ne '';
	_transactions(\@pieces);
	return \@pieces;
}

# A block of BEGIN and COMMIT stays; of any other the transaction control is
# taken out, and what is within runs. What has an effect in a transaction block
# only goes out as well where there is none: tapmig's step is one.
sub _transactions
{
	my ($pieces) = @_;
	my ($begin, @control, @local);
	my $refuse = sub { $_->{kind} = 'refused' for @control, @local; @control = @local = (); undef $begin; };

	for my $piece (@$pieces)
	{
		next if $piece->{kind} ne 'sql' || $piece->{failed};
		my $bare = _bare($piece->{text});

		if ($bare =~ /^(?:BEGIN|START\s+TRANSACTION)\b/i)
		{
			$refuse->() if $begin;
			$begin = $piece;
			@control = ($piece);
		}
		elsif ($bare =~ /^(?:ROLLBACK|ABORT|SAVEPOINT|RELEASE|PREPARE\s+TRANSACTION|COMMIT\s+PREPARED|(?:COMMIT|END|ROLLBACK)\b.*\bAND\s+CHAIN)\b/i)
		{
			push @control, $piece;
			if ($bare =~ /^(?:SAVEPOINT|RELEASE|ROLLBACK\s+(?:(?:WORK|TRANSACTION)\s+)?TO)\b/i && $begin)
			{
				$begin->{bad} = 1;
				next;
			}
			$refuse->();
		}
		elsif ($bare =~ /^(?:COMMIT|END)\b/i)
		{
			push @control, $piece;
			if (!$begin || $begin->{bad}) { $refuse->(); }
			else                          { @control = @local = (); undef $begin; }
		}
		elsif ($bare =~ /^SET\s+(?:LOCAL|TRANSACTION|CONSTRAINTS)\b/i)
		{
			push @local, $piece;
			$refuse->() unless $begin;
		}
	}
	$refuse->();
	return;
}

# ---------------------------------------------------------------- the servers

sub _command
{
	my ($node, $env, $bound, @command) = @_;
	my ($stdin, $out) = ('', '');

	local %ENV = ($node->_get_env(PGDATABASE => $database), %$env);
	my $done = eval {
		IPC::Run::run(\@command, '<', \$stdin, '>', \my $ignored, '2>', \$out, IPC::Run::timeout($bound));
		1;
	};
	$out .= "psql:x:0: ERROR:  no end within $bound s\n" unless $done;
	return ($? >> 8, $out);
}

# A new database, and a cluster without what earlier scripts left outside of it.
my $clean = <<"SQL";
SELECT count(*) AS there FROM pg_database WHERE datname = '$database' \\gset
\\if :there
\\c $database
SQL
$clean .= <<'SQL';
SELECT format('ALTER SUBSCRIPTION %I DISABLE', subname), format('ALTER SUBSCRIPTION %I SET (slot_name = NONE)', subname),
	format('DROP SUBSCRIPTION %I', subname)
FROM pg_subscription WHERE subdbid = (SELECT oid FROM pg_database WHERE datname = current_database()) \gexec
\c postgres
\endif
ALTER SYSTEM RESET ALL;
SELECT pg_reload_conf();
SELECT format('ALTER DATABASE %I IS_TEMPLATE false', datname), format('DROP DATABASE %I WITH (FORCE)', datname)
FROM pg_database WHERE datname NOT LIKE 'template%' AND datname NOT LIKE 'base\_%' AND datname <> 'postgres' \gexec
SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots;
SELECT format('DROP OWNED BY %I', rolname), format('DROP ROLE %I', rolname) FROM pg_roles WHERE oid >= 16384 \gexec
SELECT format('DROP TABLESPACE %I', spcname) FROM pg_tablespace WHERE spcname NOT LIKE 'pg\_%' \gexec
SQL

sub _fresh
{
	my ($node, $template) = @_;
	my $out = '';

	local %ENV = $node->_get_env(PGDATABASE => 'postgres');
	my $sql = "$clean\nCREATE DATABASE $database TEMPLATE $template;\n";
	IPC::Run::run([ 'psql', '-X', '-q' ], '<', \$sql, '>', \my $ignored, '2>', \$out, IPC::Run::timeout(300));
	die "a new database: $out" if $out =~ /ERROR|FATAL/;
	return;
}

# The dump, with the rows of each table in one order: a table that is read in its
# physical order differs by what vacuum and HOT made room for. A client is gone
# before its backend has dropped its temporary tables, and what depends on them.
sub _dump
{
	my ($node) = @_;
	my ($out, $err) = ('', '');

	wait_until($node, "SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = '$database'"
		  . " AND backend_type !~ '^(autovacuum|logical replication) '", timeout => 60)
	  or die "a session of the script does not end\n";
	local %ENV = $node->_get_env();
	IPC::Run::run([ 'pg_dump', '-N', 'tapmig', $database ], '>', \$out, '2>', \$err);
	my $globals = '';
	IPC::Run::run([ 'pg_dumpall', '--globals-only', '--no-role-passwords' ], '>', \$globals, '2>', \$err);
	$out = "$globals$out$err";
	$out =~ s/^\\(?:un)?restrict .*\n//mg;
	$out =~ s{^(COPY [^\n]*FROM stdin;\n)(.*?)(^\\\.\n)}{$1 . join('', sort split /^/m, $2) . $3}gmse;
	return $out;
}

sub _difference
{
	my ($one, $other) = @_;
	my $dir = scratch_dir();
	my $out = '';

	return [] if $one eq $other;
	write_file("$dir/one",   $one);
	write_file("$dir/other", $other);
	IPC::Run::run([ 'diff', '-a', "$dir/one", "$dir/other" ], '>', \$out);
	return [ grep { /^[<>]/ } split /\n/, $out ];
}

# ---------------------------------------------------------------- equality

# What is still to be run. A COMMIT that failed takes its BEGIN with it.
sub _wanted
{
	my ($pieces) = @_;

	_transactions($pieces);
	return grep { $_->{kind} ne 'refused' && !$_->{failed} } @$pieces;
}

# Which pieces psql's messages blame, where each begins on a line of its own.
sub _blame
{
	my ($pieces, $between, $messages) = @_;
	my ($line, $blamed) = (1, 0);
	my @ends;

	for my $piece (@$pieces)
	{
		$line += $piece->{text} =~ tr/\n//;
		push @ends, $line;
		$line += $between;
	}
	while ($messages =~ /^psql:[^:\n]*:(\d+): ((?:ERROR|FATAL|error|\\).*)/mg)
	{
		my ($at, $error) = ($1, $2);
		my ($first) = grep { $ends[$_] >= $at } 0 .. $#ends;
		next if !defined $first;
		# Of several statements that end on one line: the first that has not failed.
		my ($i) = grep { $ends[$_] == $ends[$first] && !$pieces->[$_]{failed} } $first .. $#ends;
		next if !defined $i;
		$pieces->[$i]{failed} = $error;
		$blamed++;
	}
	return $blamed;
}

# Nothing is left behind the first statement that failed in psql.
sub _cut
{
	my ($pieces) = @_;
	my $cut = 0;

	for my $piece (@$pieces)
	{
		$cut ||= defined $piece->{failed};
		$piece->{kind} = 'refused' if $cut;
	}
	return;
}

# What cannot run in a transaction block, behind each nth statement that is in none.
sub _split
{
	my ($pieces, $every) = @_;
	my ($n, $block) = (0, 0);
	my @with;

	for my $piece (@$pieces)
	{
		my $bare = _bare($piece->{text});

		push @with, $piece;
		next if $piece->{kind} ne 'sql';
		$block = 1 if $bare =~ /^(?:BEGIN|START\s+TRANSACTION)\b/i;
		$block = 0 if $bare =~ /^(?:COMMIT|END)\b/i;
		next if $block || ++$n % $every;
		push @with, { text => "\nVACUUM pg_catalog.pg_am;\n", kind => 'sql', added => 1 };
	}
	@$pieces = @with;
	return;
}

# How many steps tapmig made of the script that it has just run.
sub _steps
{
	my ($node) = @_;
	my $steps = '';

	local %ENV = ($node->_get_env(PGDATABASE => $database));
	IPC::Run::run([ 'psql', '-X', '-q', '-A', '-t', '-c', 'SELECT coalesce(max(steps), 0) FROM tapmig.attempts' ],
		'>', \$steps, '2>', \my $ignored);
	return $steps =~ /^(\d+)/ ? $1 : 0;
}

sub equality
{
	my ($node, $template, $pieces, %opt) = @_;
	my $dir = $opt{keep} // scratch_dir();
	my $env = $opt{env} // {};
	my $bound = $opt{bound} // 600;
	my %r   = (
		all    => scalar(grep { $_->{kind} ne 'command' && _bare($_->{text}) !~ /^\\/ } @$pieces),
		pieces => scalar(grep { $_->{kind} eq 'sql' } @$pieces),
		steps  => 0, one => [], error => '', psql => '', differs => []);
	my ($exit, $err);

	File::Path::make_path("$dir/migrations");
	_split($pieces, $opt{split}) if $opt{split};

	# What fails in psql is left out.
	for (1 .. 3)
	{
		my @wanted = _wanted($pieces);

		write_file("$dir/probe.sql", join "\n", map { $_->{text} } @wanted);
		_fresh($node, $template);
		($exit, $err) = _command($node, $env, $bound, 'psql', '-X', '-q', '-f', "$dir/probe.sql");
		last if _blame(\@wanted, 1, $err) < 3;
	}
	_cut($pieces) if $opt{cut};
	my $rounds = 25;
	while ($rounds-- > 0)
	{
		my @wanted = _wanted($pieces);
		my $script = join '', map { $_->{text} } @wanted;
		my $file   = write_file("$dir/migrations/001_script.sql", $script);

		_fresh($node, $template);
		($exit, $err) = _command($node, $env, $bound, 'psql', '-X', '-q', '-f', $file);
		write_file("$dir/psql.err", $err);
		$r{psql} = $err =~ /: (?:ERROR|error|FATAL): / ? $err : '';
		if ($r{psql} && _blame(\@wanted, 0, $err))
		{
			_cut($pieces) if $opt{cut};
			next;
		}
		my $dump = _dump($node);

		_fresh($node, $template);
		($exit, $err) = _command($node, $env, $bound, tapmig_bin(), 'up', '--force-empty', '--dir', "$dir/migrations");
		write_file("$dir/tapmig.err", $err);
		$r{error} = $exit == 0 ? '' : $err;
		if ($r{error} && $err =~ /ERROR:  (.*)/)
		{
			my $message = $1;
			last unless $err =~ /, statement (\d+) of \d+, line (\d+)/;
			my $at = $2;
			my ($line, $found) = (1);
			for my $piece (@wanted)
			{
				my $last = $line + ($piece->{text} =~ tr/\n//);
				if ($piece->{kind} eq 'sql' && $last >= $at) { $found = $piece; last; }
				$line = $last;
			}
			last unless $found;
			$found->{failed} = $message;
			push @{ $r{one} }, [ $found->{text}, $message ];
			next;
		}
		my $ours = _dump($node);
		write_file("$dir/psql.dump",   $dump);
		write_file("$dir/tapmig.dump", $ours);
		$r{differs} = _difference($dump, $ours);
		$r{steps} = _steps($node);
		last;
	}
	$r{kept} = grep { $_->{kind} eq 'sql' && !$_->{added} } _wanted($pieces);
	$r{left} = [ map { [ $_->{text}, $_->{failed} ] } grep { $_->{failed} } @$pieces ];
	write_file("$dir/left", join '', map { ($_->{failed} // $_->{kind}) . "\t" . $_->{text} =~ s/\s+/ /gr . "\n" } grep { $_->{failed} || $_->{kind} eq 'refused' } @$pieces);
	return \%r;
}

1;
