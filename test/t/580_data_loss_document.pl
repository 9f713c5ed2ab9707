# doc/data_loss.md: its example, run as it stands.

use strict;
use warnings;

use IPC::Run ();
use TapmigTest;
use Test::More;

my $node = tapmig_node('main');
my $text = read_file(top_dir() . '/doc/data_loss.md');
my ($approved, $first, $second) = $text =~ /^```sql\n(.*?)^```$/msg;
my @consoles = $text =~ /^```console\n(.*?)^```$/msg;
my $dir = migrations_dir({ '001_agents.sql' => $first, '002_drop_note.sql' => $second });
my $work = migrations_dir({});

$node->safe_psql('postgres', 'ALTER DATABASE postgres SET tapmig.data_loss = error');

# The commands of a console block, each with what it says.
sub console
{
	my ($block) = @_;

	while ($block =~ /^\$ (.*)\n((?:(?!\$ ).*\n)*)/mg)
	{
		my ($command, $expected) = ($1, $2);
		my ($out, $err);

		if ($command =~ /^tapmig (.*)/)
		{
			(undef, $out, $err) = run_tapmig($node, [ split(' ', $1), '--dir', $dir ]);
		}
		else
		{
			my ($sql) = $command =~ /^psql -c '(.*)'$/ or die $command;
			local %ENV = $node->_get_env(PGDATABASE => 'postgres');
			IPC::Run::run([ 'psql', '-X', '-c', $sql ], '>', \$out, '2>', \$err,
				init => sub { chdir $work or die $! });
		}
		my $said = $out . $err;
		s/\(\d+ ms\)/(… ms)/, s/^\S*psql:\S*: //mg for $said;
		is($said, $expected, $command);
	}
	return;
}

console($consoles[0]);
is(sql_value($node, 'SELECT count(note) FROM agents'), 2, 'nothing is lost');
open(my $file, '>', "$dir/002_drop_note.sql") or die $!;
print $file $approved;
close $file;
console($consoles[1]);
is(read_file("$work/agents_note.csv"), "key,note\n1,first\n2,\n3,third\n", 'the export has the key and the value');
is(sql_value($node, q{SELECT directives->>'approved-by' FROM tapmig.schema_migrations WHERE version = '002'}),
	'["N. N., ticket 4711"]', 'who approved it is recorded');

done_testing();
