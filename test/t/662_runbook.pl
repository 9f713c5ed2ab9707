# doc/runbook.md: its commands run one after the other, as a reader would run
# them, and print what it says.
#
# Time is not waited for: before a block that says "a day later" staging's times
# are moved, and the server's clock is told to be at noon, or at night.

use strict;
use warnings;

use IPC::Run ();
use JSON::PP ();
use TapmigTest;
use Test::More;

my $text = read_file(top_dir() . '/doc/runbook.md');
my $node = tapmig_node('main');
my $work = scratch_dir();
tapmig_database($node, $_) for qw(dev staging prod);
my %env = (
	$node->_get_env(PGDATABASE => 'dev'),
	PATH => tapmig_bin() =~ s{/[^/]*$}{}r . ":$ENV{PATH}",
	DATABASE_URL => 'postgresql:///dev', STAGING_URL => 'postgresql:///staging', PROD_URL => 'postgresql:///prod');
delete $env{PGOPTIONS};

# Blocks with their language, in order; they may be indented, in a list.
my @blocks;
while ($text =~ /^( *)```(\w+)\n(.*?)^\1```$/msg)
{
	my ($indent, $language, $block) = ($1, $2, $3);

	$block =~ s/^$indent//mg;
	if ($language eq 'text') { $blocks[-1]{output} = $block; }
	else                     { push @blocks, { language => $language, text => $block }; }
}
is(scalar(() = $text =~ /^ *```/mg), 2 * (@blocks + grep { defined $_->{output} } @blocks), 'each block has a language');
is_deeply([ grep { $_->{language} !~ /^(?:sh|sql|yaml)$/ } @blocks ], [], 'and is one that is executed here');

sub program
{
	my ($in, @command) = @_;
	my ($out, $err) = ('', '');

	local %ENV = %env;
	my $good = IPC::Run::run(\@command, '<', \$in, '>', \$out, '2>', \$err,
		init => sub { chdir($work) or die "$work: $!" }, IPC::Run::timeout(180));
	return ($good, $out, $err);
}

# What is said, with the lines of both outputs as a terminal shows them. There is an
# order in each of them, and between them none that a busy machine keeps.
sub prints
{
	my ($out, $err, $said, $name) = @_;
	my @out = split /^/m, $out;
	my @err = split /^/m, $err;
	my $shown = '';

	for my $line (split /^/m, $said)
	{
		if    (@out && $out[0] eq $line) { $shown .= shift @out; }
		elsif (@err && $err[0] eq $line) { $shown .= shift @err; }
	}
	return is(join('', $shown, @out, @err), $said, $name);
}

# What differs from one run to the next.
sub masked
{
	my ($text) = @_;

	$text =~ s/\(\d+ ms\)/(N ms)/g;
	$text =~ s/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\S* by \w+/TIME by USER/g;
	$text =~ s/\d+:\d\d:\d\d left/TIME left/g;
	return $text;
}

# "command    # exit code 5" on a line of its own must end with that code.
sub checked
{
	my ($script) = @_;

	$script =~ s/^(.*?) +# exit code (\d+)$/status=0; $1 || status=\$?; [ "\$status" = $2 ] || { echo "exit code \$status"; exit 99; }/mg;
	return $script;
}

# Time on the server of prod: a zone in which it is half past this hour now, so that
# the hour is not over before the block is.
sub set_hour
{
	my ($hour) = @_;
	my $now = sql_value($node, "SELECT (extract(epoch FROM now()) / 60)::bigint % 1440");
	my $offset = ($hour * 60 + 30 - $now) % 1440;

	$offset -= 1440 if $offset > 720;
	$node->safe_psql('postgres', "ALTER DATABASE prod SET timezone TO '"
		  . sprintf('<X>%s%02d:%02d', $offset > 0 ? '-' : '+', int(abs($offset) / 60), abs($offset) % 60) . "'");
	return;
}

sub a_day_later
{
	$node->safe_psql('staging', <<'SQL');
ALTER TABLE tapmig.schema_migrations DISABLE TRIGGER refuse_row, DISABLE TRIGGER refuse_statement;
UPDATE tapmig.schema_migrations SET applied_at = applied_at - interval '25 hours';
ALTER TABLE tapmig.schema_migrations ENABLE ALWAYS TRIGGER refuse_row, ENABLE ALWAYS TRIGGER refuse_statement;
SQL
	return;
}

my $number = 0;
for my $block (@blocks)
{
	my ($first) = grep { !/^#/ && /\S/ } split /\n/, $block->{text};
	my ($good, $out, $err);
	my $name = ++$number . ": $first";

	a_day_later() if $block->{text} =~ /^# a day later$/m;
	set_hour($block->{text} =~ /^# at night$/m ? 3 : 12);

	# What is lost there is not nothing.
	if ($block->{text} =~ /^tapmig new drop agents note$/m)
	{
		$node->safe_psql($_, q{INSERT INTO agents (id, name, note) VALUES (4712, 'a', 'a note')}) for 'dev', 'prod';
	}
	if ($block->{language} eq 'sh')
	{
		($good, $out, $err) = program('', 'bash', '-eu', '-c', checked($block->{text}));
		ok($good, $name) or diag $out, $err;
		prints(masked($out), masked($err), masked($block->{output}), "$number: prints what is said") if defined $block->{output};
		unlike("$out$err", qr/ERROR|HINT/, "$number: and no error") unless defined $block->{output} || $block->{text} =~ /# exit code/;
	}
	elsif ($block->{language} eq 'sql')
	{
		# Staging and dev are as the reader left them; what is by hand is in a database of its own.
		($good, $out, $err) = program($block->{text}, 'psql', '-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1',
			$block->{text} =~ /INSERT/ ? 'dev' : 'staging');
		ok($good, $name) or diag $out, $err;
		is("$out$err", join('', map { "$_\n" } $block->{text} =~ /^-- → (.*)/mg), "$number: returns what is said");
	}
	else
	{
		my ($command) = $block->{text} =~ /^ *command: (\[.*\])$/m;
		($good, $out, $err) = program('', @{ JSON::PP::decode_json($command) });
		ok($good, "$number: the command of the init container") or diag $out, $err;
	}
}
cmp_ok($number, '>', 20, 'blocks were found');

# The view: what is inserted goes into the ledger.
$node->safe_psql('staging', q{INSERT INTO schema_migrations (version, source) VALUES ('090', 'through the view')});
is(sql_value($node, q{SELECT kind || ' ' || source FROM tapmig.schema_migrations WHERE version = '090'}, dbname => 'staging'),
	'registered through the view', 'schema_migrations can be inserted into');
$node->safe_psql('postgres', 'CREATE ROLE plain');
$node->safe_psql('staging', 'GRANT SELECT ON public.schema_migrations TO plain');
is(sql_error($node, q{SET ROLE plain; INSERT INTO schema_migrations (version) VALUES ('091')}, dbname => 'staging')->{sqlstate},
	'42501', 'by whom it is granted to');

# The commands of the table exist.
my (undef, $help) = program('', 'tapmig', '--help');
my %known = map { $_ => 1 } $help =~ /^  (\w+) /mg;
my ($table) = $text =~ /^## Symptoms\n\n((?:\|.*\n)+)/m;
is_deeply([ grep { !$known{$_} } $table =~ /`tapmig (\w+)/g ], [], 'the table of symptoms names commands that are there');

done_testing();
