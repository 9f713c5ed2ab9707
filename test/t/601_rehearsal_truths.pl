# The rehearsal against fixtures/lint_rules.tsv: what was measured of each hazard,
# its strongest lock on each relation, rewrite and scan. fixtures/rehearsal/RULE.sql
# has the rule's cases:
#
#	-- case: title
#	-- setup			SQL that is committed before, after common.sql; may be absent
#	-- script			what is rehearsed
#	-- not rehearsable: 1 2		numbers of statements
#	-- shows: relation | LOCK | rewritten | scanned		all of them, or: nothing
#	-- fails: SQLSTATE
#	-- before: 18, -- from: 18	the versions that the case is of
#
# "-- differs: why" above the cases: where the table says something else.

use strict;
use warnings;

use TapmigTest;
use Test::More;

my $dir  = top_dir() . '/test/fixtures';
my $node = tapmig_node('main', conf => "allow_in_place_tablespaces = on\ntapmig.rehearse_limit = '1min'\n");
my $session = session($node);
my ($major) = $session->try('SHOW server_version_num')->{value} =~ /^(\d+)\d{4}$/;
my @strength = ('ACCESS SHARE', 'ROW SHARE', 'ROW EXCLUSIVE', 'SHARE UPDATE EXCLUSIVE', 'SHARE',
	'SHARE ROW EXCLUSIVE', 'EXCLUSIVE', 'ACCESS EXCLUSIVE');
my %strength = map { $strength[$_] => $_ + 1 } 0 .. $#strength;

# ---------------------------------------------------------------- the table

my %rules;
for my $line (split /\n/, read_file("$dir/lint_rules.tsv"))
{
	my ($rule, undef, undef, undef, $lock, $scan, undef, undef, undef, undef, undef, $evidence) =
	  split /\t/, $line, -1;
	$rules{$rule} = { lock => $lock, scan => $scan }
	  if $evidence =~ /^measured/;
}

# The strongest lock that a cell of the table names, undef where it names none.
sub strongest_named
{
	my ($cell) = $_[0] =~ s/\(not AE\)//r;
	my %short = (AE => 'ACCESS EXCLUSIVE', SRE => 'SHARE ROW EXCLUSIVE', SUE => 'SHARE UPDATE EXCLUSIVE');
	my $modes = join '|', map { quotemeta } sort { length $b <=> length $a } @strength, keys %short;
	my ($strongest) = sort { $strength{$b} <=> $strength{$a} } map { $short{$_} // $_ } $cell =~ /\b($modes)\b/g;

	return $strongest;
}

# ---------------------------------------------------------------- the fixtures

sub cases
{
	my ($text) = @_;
	my @cases;
	my $into;

	for my $line (split /\n/, $text)
	{
		if ($line =~ /^-- case: (.*)/)     { push @cases, { title => $1, setup => '', shows => [] }; $into = undef; }
		elsif ($line eq '-- setup')        { $into = 'setup'; }
		elsif ($line eq '-- script')       { $into = 'script'; }
		elsif ($line eq '-- shows: nothing') { $cases[-1]{nothing} = 1; }
		elsif ($line =~ /^-- shows: (.*)/) { push @{ $cases[-1]{shows} }, $1; }
		elsif ($line =~ /^-- (before|from): (\d+)$/)      { $cases[-1]{left} ||= $1 eq 'from' ? $major < $2 : $major >= $2; }
		elsif ($line =~ /^-- fails: (\w{5})$/)            { $cases[-1]{fails} = $1; }
		elsif ($line =~ /^-- not rehearsable: ([\d ]+)$/) { $cases[-1]{left_out} = $1; }
		elsif ($line =~ /^-- /)            { die "not understood: $line" unless $line =~ /^-- differs: / && !@cases; }
		elsif (defined $into)              { $cases[-1]{$into} .= "$line\n"; }
	}
	return grep { !$_->{left} } @cases;
}

my $query = q{
	SELECT relation, coalesce(max(array_position($2, lock_mode)), 0),
		bool_or(rewritten) AS rewritten, bool_or(scanned) AS scanned
	FROM tapmig.rehearse($1) WHERE relation IS NOT NULL
	GROUP BY relation ORDER BY relation COLLATE "C"};
my $array = '{' . join(',', map { "\"$_\"" } @strength) . '}';

sub good { my ($sql) = @_; my $r = $session->try($sql); die "$sql: $r->{message}" unless $r->{ok}; return $r; }

good('CREATE ACCESS METHOD other TYPE TABLE HANDLER heap_tableam_handler');
good("CREATE TABLESPACE other LOCATION ''");
my $common = read_file("$dir/rehearsal/common.sql");
my $n = 0;
my %seen;
for my $rule (sort keys %rules)
{
	next unless -e "$dir/rehearsal/$rule.sql";
	my $text = read_file("$dir/rehearsal/$rule.sql");
	my ($strongest, $rewritten, $scanned) = (0, 0, 0);

	for my $case (cases($text))
	{
		my $schema = 's' . $n++;
		my $name = "$rule, $case->{title}";

		good("RESET ALL; CREATE SCHEMA $schema; SET search_path = $schema");
		good($common . $case->{setup});
		my $r = $session->try($query, bind => [ $case->{script}, $array ]);
		if ($case->{fails})
		{
			is_error($r, $case->{fails}, undef, "$name: fails as the script would");
			like($r->{context}, qr/^migration rehearsal, statement 1 of 1, line 1/m, "$name: with its place");
			next;
		}
		if (!$r->{ok})
		{
			fail($name);
			diag explain $r;
			next;
		}
		my @shown = map {
			my ($relation, $lock, $rewrite, $scan) = @$_;
			$strongest = $lock if $lock > $strongest;
			$rewritten ||= $rewrite eq 't';
			$scanned   ||= $scan eq 't';
			join ' | ', $relation, $lock ? $strength[ $lock - 1 ] : 'none',
			  $rewrite eq 't' ? 'rewritten' : (), $scan eq 't' ? 'scanned' : ();
		} @{ $r->{rows} };
		is_deeply(\@shown, [ sort @{ $case->{shows} } ], "$name: relations, locks, rewrites, scans");
		ok(@{ $case->{shows} } || $case->{nothing}, "$name: the fixture says what is shown");
		$r = $session->try(q{SELECT string_agg(statement::text, ' ' ORDER BY statement)
			FROM tapmig.rehearse($1) WHERE elapsed_ms IS NULL}, bind => [ $case->{script} ]);
		is($r->{value} // '', $case->{left_out} // '', "$name: what cannot be rehearsed");
	}
	$seen{$rule} = 1;

	# The fixture as a whole against the table.
	next if $text =~ /^-- differs: /m;
	my $named = strongest_named($rules{$rule}{lock});
	is($strongest ? $strength[ $strongest - 1 ] : undef, $named, "$rule: the lock that the table names")
	  if defined $named || $rules{$rule}{lock} =~ /^none\b/;
	my $scan = $rules{$rule}{scan};
	ok(!$rewritten && !$scanned, "$rule: no rewrite or scan, as the table says") if $scan =~ /^none\b(?!.*;)/;
	ok($rewritten, "$rule: a rewrite, as the table says") if $scan =~ /^(?:rewrite|file copy)\b/;
	ok($scanned, "$rule: a scan, as the table says")
	  if $scan =~ /^(?:(?:full|1|2|extra full|index build) )?(?:scan|scans)\b/;
}

cmp_ok(scalar(keys %seen), '>=', 60, 'so many rules have fixtures');
my @stray = grep { !$rules{$_} } map { m{([^/]+)\.sql$} } grep { !m{/common\.sql$} } glob("$dir/rehearsal/*.sql");
is_deeply(\@stray, [], 'each fixture is one of a measured rule');

is($session->try(q{SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND relation >= 16384})->{value},
	0, 'no lock is left');

done_testing();
