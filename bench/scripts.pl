# scripts.pl KIND N FORM [DIR]: N migrations of a KIND, in the FORM that a way of
# applying them takes.
#
# KIND	select: SELECT 1, the least that a script can be; table: CREATE TABLE;
#	mix: CREATE TABLE, ALTER TABLE, CREATE INDEX, INSERT, in turn
# FORM	files: one each, in DIR; sqitch: a project in DIR; psql, plpgsql, apply, run:
#	one file for psql, to standard output

use strict;
use warnings;

my ($kind, $n, $form, $dir) = @ARGV;
my %script = (
	select => sub { "SELECT $_[0];\n" },
	table  => sub { "CREATE TABLE t$_[0] (id int PRIMARY KEY, name text NOT NULL);\n" },
	mix    => sub {
		my $table = 't' . int(($_[0] + 3) / 4);
		return (
			"INSERT INTO $table (id, name) SELECT g, 'name ' || g FROM generate_series(1, 10) g;\n",
			"CREATE TABLE $table (id int PRIMARY KEY, name text NOT NULL);\n",
			"ALTER TABLE $table ADD COLUMN price numeric NOT NULL DEFAULT 0;\n",
			"CREATE INDEX ON $table (name);\n")[$_[0] % 4];
	});
my $script = $script{$kind} or die "there is no kind $kind\n";

sub write_file
{
	my ($path, $text) = @_;
	open my $file, '>', $path or die "$path: $!\n";
	print $file $text;
	close $file or die "$path: $!\n";
}

if ($form eq 'sqitch')
{
	mkdir "$dir/deploy" or die "$dir/deploy: $!\n";
	write_file("$dir/sqitch.conf", "[core]\n\tengine = pg\n[user]\n\tname = bench\n\temail = bench\@localhost\n");
	write_file("$dir/sqitch.plan", join '', "%syntax-version=1.0.0\n%project=bench\n\n",
		map { sprintf "c%05d 2026-01-01T00:00:00Z bench <bench\@localhost> # %d\n", $_, $_ } 1 .. $n);
}
for my $i (1 .. $n)
{
	my $sql = $script->($i);
	my $version = sprintf '%05d', $i;
	my $literal = "'" . $sql =~ s/'/''/gr . "'";

	if    ($form eq 'files')   { write_file("$dir/${version}_bench.sql", $sql) }
	elsif ($form eq 'sqitch')  { write_file("$dir/deploy/c$version.sql", "BEGIN;\n${sql}COMMIT;\n") }
	elsif ($form eq 'psql')    { print "BEGIN;\n${sql}INSERT INTO ledger VALUES ('$version', clock_timestamp());\nCOMMIT;\n" }
	elsif ($form eq 'plpgsql') { print "SELECT bare_apply('$version', $literal);\n" }
	elsif ($form eq 'apply')   { print "SELECT tapmig.apply('${version}_bench', $literal, 'bench');\n" }
	elsif ($form eq 'run')     { print "CALL tapmig.run('${version}_bench', $literal, 'bench');\n" }
	else                       { die "there is no form $form\n" }
}
